"""What a photonic core is to calibration, verification and sweeps, simulated or real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from photonic.errors import RunError
from photonic.profile import HardwareProfile


@runtime_checkable
class PhotonicCore(Protocol):
    """One core, or several alike that are programmed and read side by side: its *lanes*.

    A chip on a bench has one lane. Settings are those of the profile's device kind
    (:meth:`photonic.devices.Device.compile`), each array with the lanes first.
    """

    @property
    def profile(self) -> HardwareProfile:
        """The hardware as designed."""
        ...

    @property
    def lanes(self) -> int:
        """How many cores there are."""
        ...

    def program(
        self, settings: Mapping[str, np.ndarray], *, slot: int = 0, gain: float = 1.0
    ) -> None:
        """Put a matrix on every lane; settings are rounded to what the hardware can set.

        Args:
            settings: of the device kind, ``(lanes, ...)`` each.
            slot: number of the matrix in its program; it stays where it was put before.
            gain: of the amplifier in front of the ADC.
        """
        ...

    def mvm(self, x: np.ndarray) -> np.ndarray:
        """What the ADC reads for inputs ``x``: ``gain · W·x`` with all errors, float64.

        Args:
            x: ``(n, cols)`` for all lanes or ``(lanes, n, cols)``, in [-full_scale, full_scale].

        Returns:
            ``(lanes, n, rows)``.
        """
        ...


def checked_mvm(core: PhotonicCore, x: np.ndarray) -> np.ndarray:
    """``core.mvm(x)``, once its answer is known to be one.

    Raises:
        RunError: an answer of another shape, or one with NaN or infinities.
    """
    y = np.asarray(core.mvm(x), dtype=np.float64)
    shape = (core.lanes, x.shape[-2], core.profile.core.rows)
    if y.shape != shape:
        raise RunError(f"backend: answered with shape {y.shape}; {shape} was expected")
    bad = ~np.isfinite(y)
    if bad.any():
        raise RunError(
            f"backend: {int(bad.sum())} of {y.size} readings are no finite numbers; check the "
            "detectors and the connection, then run the command again"
        )
    return y
