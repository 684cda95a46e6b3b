"""Where R peaks come from: a detector that hears the samples, or annotations that know them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Peak(NamedTuple):
    """An R peak.

    Attributes:
        sample: its position, counted from the first sample of the stream.
        known_at: number of samples that had to be seen before it was known.
        shift: samples from there to where its beat is centred.
    """

    sample: int
    known_at: int
    shift: int = 0

    @property
    def centre(self) -> int:
        """Sample that windows and intervals are taken from."""
        return self.sample + self.shift


class PeakSource(Protocol):
    """Turns samples into R peaks, ascending; what it returns does not depend on the chunks."""

    max_delay: int
    """No peak is announced later than this many samples after itself."""

    def push(self, samples: NDArray[np.float64]) -> list[Peak]:
        """Take the next samples (n,) at 360 Hz, NaN where missing, and return the new peaks."""
        ...

    def finish(self) -> list[Peak]:
        """The peaks that were still open when the stream ended."""
        ...


class AnnotatedPeaks:
    """R peaks from annotations: each is known as soon as its sample has arrived.

    Args:
        samples: (beats,) ascending sample numbers at 360 Hz.
    """

    max_delay = 1

    def __init__(self, samples: ArrayLike) -> None:
        self._samples = np.asarray(samples, dtype=np.int64)
        self._next = 0
        self._seen = 0

    def push(self, samples: NDArray[np.float64]) -> list[Peak]:
        self._seen += len(samples)
        first = self._next
        self._next = int(np.searchsorted(self._samples, self._seen))
        return [Peak(int(s), int(s) + 1) for s in self._samples[first : self._next]]

    def finish(self) -> list[Peak]:
        return []
