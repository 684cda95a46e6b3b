"""Backends by name: ours, and those that installed packages offer as entry points.

An entry point of the group ``photonic.backends`` is a function ``(address, profile) →``
:class:`~photonic.backends.core.PhotonicCore`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from photonic.backends.core import PhotonicCore
from photonic.errors import ConfigError
from photonic.profile import HardwareProfile

GROUP = "photonic.backends"
Factory = Callable[[str, HardwareProfile], PhotonicCore]


def backend_names() -> list[str]:
    """Every backend that can be named."""
    return sorted({*_OURS, *(entry.name for entry in entry_points(group=GROUP))})


def open_backend(text: str, profile: HardwareProfile) -> PhotonicCore:
    """The core that ``NAME`` or ``NAME:ADDRESS`` means.

    Args:
        text: e.g. ``simulator``, ``simulator:17`` (chip 17) or
            ``scpi:TCPIP::10.0.0.5::5025::SOCKET``.
        profile: the hardware that settings are compiled for.

    Raises:
        ConfigError: no backend of that name, or an address it cannot use.
    """
    name, _, address = text.partition(":")
    if name in _OURS:
        return _OURS[name](address, profile)
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()(address, profile)
    raise ConfigError(f"backend {name!r}: known are {', '.join(backend_names())}")


def _simulator(address: str, profile: HardwareProfile) -> PhotonicCore:
    from photonic.backends.simulator import SimulatedCore

    if address and not address.isdecimal():
        raise ConfigError(f"backend simulator:{address}: give a chip's number, e.g. simulator:17")
    return SimulatedCore(profile, [int(address or 0)])


def _scpi(address: str, profile: HardwareProfile) -> PhotonicCore:
    from photonic.backends.scpi import open_instrument

    return open_instrument(address, profile)


_OURS: dict[str, Factory] = {"simulator": _simulator, "scpi": _scpi}
