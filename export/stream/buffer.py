"""The last samples of a stream, addressed by their number since its start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class SampleBuffer:
    """Samples ``[start, end)`` of a stream in one contiguous array.

    Attributes:
        start: number of the oldest sample held.
        end: number of samples seen so far.
    """

    __slots__ = ("_data", "_first", "_used", "end", "start")

    def __init__(self, capacity: int = 1 << 13) -> None:
        self._data = np.empty(capacity)
        self._first = 0
        self._used = 0
        self.start = 0
        self.end = 0

    def append(self, samples: NDArray[np.float64]) -> None:
        """Add the next samples (n,)."""
        num = len(samples)
        if self._used + num > len(self._data):
            self._make_room(num)
        self._data[self._used : self._used + num] = samples
        self._used += num
        self.end += num

    def drop_before(self, sample: int) -> None:
        """Forget the samples before number ``sample``; their memory is reused when it is needed."""
        step = min(max(sample - self.start, 0), self.end - self.start)
        self._first += step
        self.start += step

    def view(self, start: int, stop: int) -> NDArray[np.float64]:
        """Samples ``[start, stop)``, which must be held, without a copy.

        The view is valid until the next :meth:`append`.
        """
        offset = self._first - self.start
        return self._data[start + offset : stop + offset]

    def _make_room(self, num: int) -> None:
        held = self._data[self._first : self._used]
        target = self._data
        if len(held) + num > len(self._data) // 2:  # else every append would move the samples
            target = np.empty(2 * (len(held) + num))
        target[: len(held)] = held
        self._data, self._first, self._used = target, 0, len(held)
