"""Samples in, beats out: the same beats whatever the chunks the samples come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from export.stream.beat import Fault, StreamedBeat
from export.stream.buffer import SampleBuffer
from export.stream.classifier import BeatClassifier
from export.stream.monitor import SignalMonitor
from export.stream.peaks import Peak, PeakSource
from export.stream.resample import Resampler
from photonic.beats import FS_HZ, WINDOW
from photonic.errors import DataError

# photonic.rhythm counts every interval over 3 s as 3 s: after that the next beat changes nothing.
_LONGEST_WAIT = 3 * FS_HZ


class BeatStream:
    """Holds samples until a beat's window, and the R peak after it where needed, are there.

    Args:
        classifier: from a window to a class; it forgets the beats of any stream before.
        peaks: where the R peaks come from.
        resampler: brings what arrives to 360 Hz, where it has another rate.
        monitor: counts the seconds with a fault.
    """

    def __init__(
        self,
        classifier: BeatClassifier,
        peaks: PeakSource,
        *,
        resampler: Resampler | None = None,
        monitor: SignalMonitor | None = None,
    ) -> None:
        classifier.restart()
        self._classifier = classifier
        self._peaks = peaks
        self._resampler = resampler
        self._monitor = monitor
        self._samples = SampleBuffer()
        self._pending: deque[Peak] = deque()

    @property
    def num_samples(self) -> int:
        """Samples at 360 Hz seen so far."""
        return self._samples.end

    def push(self, samples: ArrayLike) -> list[StreamedBeat]:
        """Take the next samples (n,), NaN where missing; return the beats now decided.

        Raises:
            DataError: the samples have more than one dimension.
        """
        chunk = np.asarray(samples, dtype=np.float64)
        if chunk.ndim != 1:
            raise DataError(f"samples have shape {chunk.shape}; (samples,) of one lead is allowed")
        self._take(chunk if self._resampler is None else self._resampler.push(chunk))
        beats = self._decide(at_end=False)
        oldest = self._samples.end - self._peaks.max_delay
        if self._pending:
            oldest = min(oldest, self._pending[0].centre)
        self._samples.drop_before(oldest - WINDOW // 2)
        return beats

    def finish(self) -> list[StreamedBeat]:
        """The beats that were still open; those whose window is incomplete get no class."""
        if self._resampler is not None:
            self._take(self._resampler.finish())
        self._pending.extend(self._peaks.finish())
        return self._decide(at_end=True)

    def _take(self, samples: NDArray[np.float64]) -> None:
        """Samples at 360 Hz."""
        self._samples.append(samples)
        if self._monitor is not None:
            self._monitor.push(samples)
        self._pending.extend(self._peaks.push(samples))

    def _decide(self, *, at_end: bool) -> list[StreamedBeat]:
        beats = []
        while self._pending:
            ready_at = self._ready_at()
            if ready_at > self._samples.end and not at_end:
                break
            beats.append(self._decide_first(min(ready_at, self._samples.end)))
        return beats

    def _ready_at(self) -> int:
        """Number of samples that decide the first open beat."""
        peak = self._pending[0]
        ready_at = max(peak.known_at, peak.centre + WINDOW // 2)
        if not self._classifier.needs_next_peak:
            return ready_at
        latest = peak.centre + _LONGEST_WAIT + self._peaks.max_delay
        if len(self._pending) > 1:
            latest = min(latest, self._pending[1].known_at)
        return max(ready_at, latest)

    def _decide_first(self, decided_at: int) -> StreamedBeat:
        peak = self._pending.popleft()
        start, stop = peak.centre - WINDOW // 2, peak.centre + WINDOW // 2
        if start < 0 or stop > self._samples.end:
            return self._classifier.skip(peak, Fault.CUT, decided_at)
        return self._classifier.classify(
            self._samples.view(start, stop), peak, self._next_r_peak(peak), decided_at
        )

    def _next_r_peak(self, peak: Peak) -> int | None:
        if not self._classifier.needs_next_peak:  # it may be known, if it came in the same chunk
            return None
        if self._pending:
            return self._pending[0].centre
        latest = peak.centre + _LONGEST_WAIT
        return latest if self._samples.end >= latest + self._peaks.max_delay else None


def in_chunks(signal: NDArray[np.float64], size: int) -> Iterator[NDArray[np.float64]]:
    """A signal (samples,) in chunks of ``size`` samples; the last may be shorter."""
    for start in range(0, len(signal), size):
        yield signal[start : start + size]
