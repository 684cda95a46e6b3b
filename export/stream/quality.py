"""Faults of the signal that leave a beat without a class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.stream.beat import Fault
from photonic.errors import ConfigError

# On the 48 MIT-BIH records no window holds more than 10 equal samples in a row, but for seven of
# record 116 that sit at the converter's limit. A noise-free signal may well rest for 0.1 s.
_FLAT_SAMPLES = 108  # 0.3 s
_SATURATED_SAMPLES = 5
_NEAR_RAIL = 1e-3  # of the range: resampling rings by less than that around a clipped sample
_STILL = 1e-9  # of the largest magnitude: what resampling's rounding leaves of a constant


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRange:
    """The lowest and the highest value that the converter can give, in the unit of the signal.

    Raises:
        ConfigError: the range is empty.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"signal range {self.low} to {self.high}: low must lie below high")


def at_rails(samples: NDArray[np.float64], signal_range: SignalRange) -> NDArray[np.bool_]:
    """Which samples are at the lowest or the highest value of the converter."""
    floor, ceiling = _edges(signal_range)
    return (samples <= floor) | (samples >= ceiling)


def window_fault(window: NDArray[np.float64], signal_range: SignalRange | None) -> Fault | None:
    """The fault of a window (360,), or None where it can be classified.

    A missing sample is a gap; five samples at the limit of the converter, where it is known, are
    saturation; 0.3 s without any change are a lead that is off.
    """
    low, high = float(window.min()), float(window.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return Fault.GAP
    if signal_range is not None:
        floor, ceiling = _edges(signal_range)
        if (low <= floor or high >= ceiling) and (
            np.count_nonzero(at_rails(window, signal_range)) >= _SATURATED_SAMPLES
        ):
            return Fault.SATURATED
    steps = window[1:] - window[:-1]
    still = np.abs(steps, out=steps) <= _STILL * max(abs(low), abs(high))
    if np.count_nonzero(still) < _FLAT_SAMPLES - 1:
        return None
    changes = np.flatnonzero(np.concatenate([[True], ~still, [True]]))
    return Fault.FLAT if np.diff(changes).max() >= _FLAT_SAMPLES else None


def _edges(signal_range: SignalRange) -> tuple[float, float]:
    margin = _NEAR_RAIL * (signal_range.high - signal_range.low)
    return signal_range.low + margin, signal_range.high - margin
