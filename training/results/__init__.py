"""The results page: protocols, models and seeds of finished runs as Markdown tables."""

from __future__ import annotations

from training.results.collect import Protocol, Variant, collect
from training.results.render import render

__all__ = ["Protocol", "Variant", "collect", "render"]
