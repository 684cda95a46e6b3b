"""Logs of many kinds, read into one normal form."""

from training.inspector.adapters.choose import find_log, read_log
from training.inspector.adapters.text import Patterns, read_patterns

__all__ = ["Patterns", "find_log", "read_log", "read_patterns"]
