"""The strength of the QRS band as a causal stream.

Two filters of the same length, an even and an odd one (a Gabor pair: a cosine and a sine under a
Gaussian), pass the band of the QRS complex. The odd one is a smoothed derivative, the even one a
smoothed second derivative; the root of their summed energy is smooth and has one maximum per
complex whatever its polarity or shape, so that no further averaging is needed (Gabor 1946, "Theory
of communication", for the pair; Pan & Tompkins 1985 for derivative and energy).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonic.beats import FS_HZ

_CENTRE_HZ = 14.0
_SIGMA_S = 0.033
_HALF = round(3 * _SIGMA_S * FS_HZ)

ENVELOPE_DELAY = _HALF
"""Samples by which the envelope lags behind the signal."""


def gabor_pair(
    centre_hz: float = _CENTRE_HZ, sigma_s: float = _SIGMA_S, half: int = _HALF
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Even and odd band-pass filters (2·half + 1,) of unit energy; neither passes a constant."""
    time_s = np.arange(-half, half + 1) / FS_HZ
    window = np.exp(-0.5 * (time_s / sigma_s) ** 2)
    even = window * np.cos(2 * np.pi * centre_hz * time_s)
    even -= window * (even.sum() / window.sum())
    odd = window * np.sin(2 * np.pi * centre_hz * time_s)
    return even / np.linalg.norm(even), odd / np.linalg.norm(odd)


class QrsEnvelope:
    """Envelope of the QRS band; what it returns does not depend on the chunks."""

    def __init__(self) -> None:
        self._filters = gabor_pair()
        self._past = np.zeros(2 * _HALF)

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Envelope (n,) for the next samples (n,); it lags by :data:`ENVELOPE_DELAY`."""
        held = np.concatenate([self._past, samples])
        self._past = held[len(samples) :]
        # "valid" makes every output one scalar product of the same length, wherever the cuts are;
        # partial sums carried from chunk to chunk would round differently.
        even, odd = (np.convolve(held, taps, mode="valid") for taps in self._filters)
        return np.sqrt(even * even + odd * odd)


class GapBridge:
    """Removes the offset of the first sample and closes gaps without a step.

    Missing samples become the last one before them, and what follows is shifted to continue from
    there: to the filters a gap is a rest, not an edge.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._level = 0.0
        self._in_gap = False

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """The next samples (n,) without gaps and offset."""
        finite = np.isfinite(samples)
        if self._offset is not None and not self._in_gap and finite.all():
            bridged = samples - self._offset
        else:
            bridged = np.empty(len(samples))
            edges = np.flatnonzero(finite[1:] != finite[:-1]) + 1
            for start, stop in zip([0, *edges], [*edges, len(samples)], strict=True):
                if stop > start:
                    bridged[start:stop] = self._run(samples[start:stop], bool(finite[start]))
        if len(bridged):
            self._level = float(bridged[-1])
            self._in_gap = not finite[-1]
        return bridged

    def _run(self, samples: NDArray[np.float64], is_signal: bool) -> NDArray[np.float64] | float:
        """One run of samples that are all there or all missing."""
        if not is_signal:
            self._in_gap = True
            return self._level
        if self._offset is None or self._in_gap:
            self._offset = float(samples[0]) - self._level
            self._in_gap = False
        bridged = samples - self._offset
        self._level = float(bridged[-1])
        return bridged
