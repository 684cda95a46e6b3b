"""Device kinds: how a matrix is put on a core and what the core makes of it."""

from photonic.devices.base import Device, Transfer, device_for, register_device
from photonic.devices.generic import GenericDevice
from photonic.devices.mrr import MrrDevice
from photonic.devices.mzi import MziDevice
from photonic.devices.pcm import PcmDevice

__all__ = [
    "Device",
    "GenericDevice",
    "MrrDevice",
    "MziDevice",
    "PcmDevice",
    "Transfer",
    "device_for",
    "register_device",
]
