"""Device kinds: how a matrix is put on a core and what the core makes of it.

Importing this package imports nothing else, so that its torch-free modules (``mesh``, ``noise``,
``link``, ``heaters``, ``drift``) stay so; the names below are looked up when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photonic.devices.base import Device, Transfer, device_for, register_device
    from photonic.devices.core import DeviceCore
    from photonic.devices.generic import GenericDevice
    from photonic.devices.mrr import MrrDevice
    from photonic.devices.mzi import MziDevice
    from photonic.devices.pcm import PcmDevice

__all__ = [
    "Device",
    "DeviceCore",
    "GenericDevice",
    "MrrDevice",
    "MziDevice",
    "PcmDevice",
    "Transfer",
    "device_for",
    "register_device",
]

_MODULE_OF_NAME = {
    "Device": "base",
    "DeviceCore": "core",
    "GenericDevice": "generic",
    "MrrDevice": "mrr",
    "MziDevice": "mzi",
    "PcmDevice": "pcm",
    "Transfer": "base",
    "device_for": "base",
    "register_device": "base",
}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF_NAME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
