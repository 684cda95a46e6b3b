"""Maxima of the envelope that nothing within the refractory time exceeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

REFRACTORY = 80
"""Samples at 360 Hz, 0.22 s: two QRS complexes are further apart than that."""


class Candidate(NamedTuple):
    """A maximum of the envelope: its number in the stream, and its height."""

    position: int
    height: float


class MaximumPicker:
    """Finds the candidates of an envelope that arrives in chunks.

    Attributes:
        settled: every maximum before this position has been returned.
    """

    def __init__(self) -> None:
        self._tail = np.zeros(0)
        self._tail_start = 0
        self._last: int | None = None
        self.settled = 0

    def push(self, envelope: NDArray[np.float64]) -> list[Candidate]:
        """Take the next values (n,) and return the maxima that are settled now."""
        held = np.concatenate([self._tail, envelope])
        until = self._tail_start + len(held) - REFRACTORY
        return self._settle(held, until)

    def finish(self) -> list[Candidate]:
        """The maxima of the last :data:`REFRACTORY` values."""
        return self._settle(self._tail, self._tail_start + len(self._tail))

    def _settle(self, held: NDArray[np.float64], until: int) -> list[Candidate]:
        found = []
        if until > self.settled:
            highest = maximum_filter1d(held, 2 * REFRACTORY + 1, mode="constant", cval=0.0)
            span = slice(self.settled - self._tail_start, until - self._tail_start)
            is_maximum = (held[span] == highest[span]) & (held[span] > 0.0)
            for position in (np.flatnonzero(is_maximum) + self.settled).tolist():
                # Of equal values the first one counts.
                if self._last is None or position - self._last > REFRACTORY:
                    self._last = position
                    found.append(Candidate(position, float(held[position - self._tail_start])))
            self.settled = until
        keep = max(self.settled - REFRACTORY - self._tail_start, 0)
        self._tail, self._tail_start = held[keep:].copy(), self._tail_start + keep
        return found
