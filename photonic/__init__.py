"""Classifiers on photonic chips: constrained layers, programs of blocks, hardware profiles.

Importing this package imports nothing else: the names below are looked up when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photonic.errors import PhotonicError
    from photonic.profile import HardwareProfile, load_profile
    from photonic.program import Program
    from photonic.quantize import Quantizer

    __version__: str

__all__ = [
    "HardwareProfile",
    "PhotonicError",
    "Program",
    "Quantizer",
    "__version__",
    "load_profile",
]

_MODULE_OF_NAME = {
    "HardwareProfile": "photonic.profile",
    "PhotonicError": "photonic.errors",
    "Program": "photonic.program",
    "Quantizer": "photonic.quantize",
    "load_profile": "photonic.profile",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("photonic-deploy")
    module = _MODULE_OF_NAME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
