"""Second by second: what was wrong with the signal, whether or not there was a beat in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.stream.quality import SignalRange, at_rails
from photonic.beats import FS_HZ

_FAULTS = ("gap", "flat", "saturated", "hum", "offset")
_MAINS_HZ = (50, 60)
_HUM_SHARE = 0.25  # of the variance of a second
_OFFSET_DEVIATIONS = 10.0

# One second holds whole periods of both mains frequencies: the four rows are orthogonal.
_PHASE = 2 * np.pi * np.outer(_MAINS_HZ, np.arange(FS_HZ)) / FS_HZ
_MAINS = np.stack([np.cos(_PHASE), np.sin(_PHASE)], axis=1)


class SignalMonitor:
    """Counts the seconds in which the signal had a fault; the last, unfinished one is left out.

    ``gap``: a sample is missing. ``flat``: the lead is off, nothing changes. ``saturated``: a
    sample is at the limit of the converter. ``hum``: a quarter of the power is at 50 or 60 Hz.
    ``offset``: the mean is ten standard deviations from zero.

    Args:
        signal_range: range of the converter, where it is known.
    """

    def __init__(self, signal_range: SignalRange | None = None) -> None:
        self._range = signal_range
        self._rest = np.empty(0)
        self.num_seconds = 0
        self.faults: dict[str, int] = dict.fromkeys(_FAULTS, 0)

    def push(self, samples: NDArray[np.float64]) -> None:
        """Take the next samples (n,) at 360 Hz."""
        held = np.concatenate([self._rest, samples])
        num = len(held) // FS_HZ
        self._rest = held[num * FS_HZ :]
        if num:
            self._count(held[: num * FS_HZ].reshape(num, FS_HZ))

    def _count(self, seconds: NDArray[np.float64]) -> None:
        self.num_seconds += len(seconds)
        whole = np.isfinite(seconds).all(axis=1)
        self.faults["gap"] += int((~whole).sum())
        signal = seconds[whole]
        mean, power = signal.mean(axis=1), signal.var(axis=1)
        flat = np.ptp(signal, axis=1) == 0.0
        # The power of a sinusoid of amplitude a is a²/2; its projections are a·n/2.
        hum = 2.0 * np.square(np.tensordot(signal, _MAINS, axes=(1, 2)) / FS_HZ).sum(axis=2)
        self.faults["flat"] += int(flat.sum())
        self.faults["hum"] += int(((hum.max(axis=1) > _HUM_SHARE * power) & ~flat).sum())
        far = np.abs(mean) > _OFFSET_DEVIATIONS * np.sqrt(power)
        self.faults["offset"] += int((far & ~flat).sum())
        if self._range is not None:
            self.faults["saturated"] += int(at_rails(signal, self._range).any(axis=1).sum())
