"""Any sampling rate to 360 Hz while the samples arrive.

A polyphase filter as in ``scipy.signal.resample_poly`` (Kaiser window, β = 5, ten zero crossings on
either side), with its history kept between calls. Each branch is scaled to pass a constant as it
is, so that an offset of many millivolts does not ripple.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from photonic.beats import FS_HZ
from photonic.errors import ConfigError

SLOWEST_HZ, FASTEST_HZ = 50.0, 20_000.0
"""A QRS complex has no shape below, and no recorder samples above."""

_ZERO_CROSSINGS, _KAISER_BETA = 10, 5.0
_MOST_BRANCHES = 1000


class Resampler:
    """Samples at ``fs_hz`` in, samples at 360 Hz out; the first of both is at the same time.

    A missing sample (NaN) makes every output missing whose filter touches it.

    Args:
        fs_hz: rate of the samples that arrive.

    Raises:
        ConfigError: a rate outside 50 Hz to 20 kHz, or 360 Hz itself.
    """

    def __init__(self, fs_hz: float) -> None:
        if not SLOWEST_HZ <= fs_hz <= FASTEST_HZ:
            raise ConfigError(
                f"sampling rate {fs_hz:g} Hz: {SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz can be brought "
                f"to {FS_HZ} Hz; give the rate in Hz"
            )
        if fs_hz == FS_HZ:
            raise ConfigError(f"samples at {FS_HZ} Hz need no resampling")
        ratio = (FS_HZ / Fraction(fs_hz).limit_denominator(1000)).limit_denominator(_MOST_BRANCHES)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._branches, self._lead = _polyphase(self._up, self._down)
        self._num_taps = self._branches.shape[1]
        self._held: NDArray[np.float64] | None = None  # from input sample `_held_from` on
        self._held_from = 0
        self._num_in = 0
        self._num_out = 0

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs that the next samples (n,) complete."""
        if not len(samples):
            return samples
        held = self._held
        if held is None:  # before the stream the first sample is taken to have lasted
            held = np.full(self._num_taps, samples[0])
            self._held_from = -self._num_taps
        self._held = np.concatenate([held, samples])
        self._num_in += len(samples)
        return self._emit(((self._num_in - self._lead) * self._up - 1) // self._down + 1)

    def finish(self) -> NDArray[np.float64]:
        """The outputs up to the end of the stream, whose last sample is taken to last."""
        if self._held is None:
            return np.empty(0)
        self._held = np.concatenate([self._held, np.full(self._lead, self._held[-1])])
        return self._emit((self._num_in * self._up - 1) // self._down + 1)

    def _emit(self, until: int) -> NDArray[np.float64]:
        """Outputs from the next one to number ``until``."""
        assert self._held is not None
        if until <= self._num_out:
            return np.empty(0)
        position = np.arange(self._num_out, until) * self._down
        # The newest sample that output m needs is ⌊m·down/up⌋ + lead.
        first = position // self._up + self._lead - self._num_taps + 1 - self._held_from
        windows = np.lib.stride_tricks.sliding_window_view(self._held, self._num_taps)[first]
        outputs = (windows * self._branches[position % self._up]).sum(axis=1)
        self._num_out = until
        oldest = until * self._down // self._up + self._lead - self._num_taps + 1
        keep = max(oldest - self._held_from, 0)
        self._held, self._held_from = self._held[keep:], self._held_from + keep
        return outputs


def _polyphase(up: int, down: int) -> tuple[NDArray[np.float64], int]:
    """Branches (up, taps), oldest sample first, and how many samples the filter looks ahead."""
    half = _ZERO_CROSSINGS * max(up, down)
    grid = np.arange(-half, half + 1)
    taps = np.sinc(grid / max(up, down)) * np.kaiser(2 * half + 1, _KAISER_BETA)
    lead = half // up + 1
    behind = half // up + 1
    branches = np.zeros((up, behind + lead + 1))
    for phase in range(up):
        # Output m = (q·up + phase)/down lies phase/up samples after input q; the input q + j lies
        # phase − j·up steps of the fine grid before it.
        steps = phase - np.arange(-behind, lead + 1) * up
        inside = np.abs(steps) <= half
        branches[phase, inside] = taps[steps[inside] + half]
    return branches / branches.sum(axis=1, keepdims=True), lead
