"""Device kinds: how a matrix is put on a core and what the core makes of it."""

from photonic.devices.base import Device, device_for, register_device
from photonic.devices.generic import GenericDevice

__all__ = ["Device", "GenericDevice", "device_for", "register_device"]
