"""R peaks of any source, each with the middle of its QRS complex: what training calls ``qrs``."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.stream.buffer import SampleBuffer
from export.stream.peaks import Peak, PeakSource
from photonic.fiducial import MAX_SHIFT, REACH, centre_shift


class CentredPeaks:
    """Holds the R peaks of a source until the samples that decide their centre are there.

    The centres are those of :func:`photonic.fiducial.qrs_centres` over the whole signal.

    Args:
        source: finds the R peaks.
    """

    def __init__(self, source: PeakSource) -> None:
        self._source = source
        self.max_delay = max(source.max_delay, REACH + 1) + MAX_SHIFT
        self._samples = SampleBuffer()
        self._samples.append(np.full(REACH, np.nan))  # before the first sample nothing is known
        self._open: deque[Peak] = deque()
        self._latest = -MAX_SHIFT

    def push(self, samples: NDArray[np.float64]) -> list[Peak]:
        self._samples.append(samples)
        self._open.extend(self._source.push(samples))
        peaks = []
        while self._open and self._open[0].sample + 2 * REACH < self._samples.end:
            peaks.append(self._centred(self._open.popleft()))
        oldest = self._samples.end - REACH - self._source.max_delay
        if self._open:
            oldest = min(oldest, self._open[0].sample)
        self._samples.drop_before(oldest)
        return peaks

    def finish(self) -> list[Peak]:
        self._open.extend(self._source.finish())
        self._samples.append(np.full(REACH, np.nan))
        peaks = [self._centred(peak) for peak in self._open]
        self._open.clear()
        return peaks

    def _centred(self, peak: Peak) -> Peak:
        # The buffer runs REACH samples ahead of the stream: sample s is its number s + REACH.
        around = self._samples.view(peak.sample, peak.sample + 2 * REACH + 1)
        self._latest = max(self._latest, peak.sample + centre_shift(around))
        return Peak(
            peak.sample,
            max(peak.known_at, peak.sample + REACH + 1),
            self._latest - peak.sample,
        )


def as_trained(source: PeakSource, preprocessing: Mapping[str, Any]) -> PeakSource:
    """The source, centred where the bundle's manifest says that its student was trained so."""
    return CentredPeaks(source) if preprocessing.get("centre") == "qrs" else source
