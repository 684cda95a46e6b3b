"""Cores that matrices are put on and light is sent through: simulated ones, and real ones."""

from photonic.backends.core import PhotonicCore, checked_mvm
from photonic.backends.registry import backend_names, open_backend

__all__ = ["PhotonicCore", "backend_names", "checked_mvm", "open_backend"]
