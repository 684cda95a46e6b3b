"""Online R-peak detector: stateful, causal, the same peaks whatever the chunks.

band-pass and derivative → energy → maxima → threshold, T-wave test, search-back → R peak. A peak is
known 0.33 s after its sample, before its window is complete; one that only search-back finds, when
1.4 mean intervals have passed without a complex; those of the first 2 s, when the levels have been
learned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.stream.buffer import SampleBuffer
from export.stream.candidates import REFRACTORY, MaximumPicker
from export.stream.envelope import ENVELOPE_DELAY, GapBridge, QrsEnvelope
from export.stream.peaks import Peak
from export.stream.qrs_rules import LEARNING, MEMORY, Complex, QrsRules

USUAL_DELAY = ENVELOPE_DELAY + REFRACTORY + 1
"""Samples from the maximum of the envelope to the sample that makes it a complex."""

# The R peak is the largest deflection from the mean around the maximum of the envelope. Annotations
# sit on the upward deflection unless the downward one is clearly larger.
_REACH, _MEAN_REACH, _UPWARD = 25, 60, 1.5


class RPeakDetector:
    """R peaks of one lead at 360 Hz."""

    max_delay = max(MEMORY, LEARNING) + USUAL_DELAY + _REACH
    """No peak is announced later than this many samples after itself."""

    def __init__(self) -> None:
        self._bridge = GapBridge()
        self._envelope = QrsEnvelope()
        self._picker = MaximumPicker()
        self._rules = QrsRules()
        self._samples = SampleBuffer()

    def push(self, samples: NDArray[np.float64]) -> list[Peak]:
        """Take the next samples (n,), NaN where missing, in any unit; return the new peaks."""
        if not len(samples):  # np.convolve would swap samples and filter
            return []
        bridged = self._bridge.push(samples)
        self._samples.append(bridged)
        candidates = self._picker.push(self._envelope.push(bridged))
        peaks = self._peaks(self._rules.push(candidates, self._picker.settled))
        self._samples.drop_before(self._samples.end - self.max_delay - _MEAN_REACH)
        return peaks

    def finish(self) -> list[Peak]:
        """The peaks that were still open; half a filter of rest closes the stream."""
        end = self._samples.end
        rest = np.full(ENVELOPE_DELAY, self._samples.view(end - 1, end)[0] if end else 0.0)
        candidates = self._picker.push(self._envelope.push(rest)) + self._picker.finish()
        found = self._rules.push(candidates, self._picker.settled)
        return self._peaks(found + self._rules.finish(self._picker.settled))

    def _peaks(self, complexes: list[Complex]) -> list[Peak]:
        end = self._samples.end
        return [
            Peak(
                sample=self._locate(c.position - ENVELOPE_DELAY),
                known_at=min(c.settled + REFRACTORY, end),
            )
            for c in complexes
        ]

    def _locate(self, centre: int) -> int:
        """Sample of the largest deflection around the centre of a complex."""
        first, end = self._samples.start, self._samples.end
        centre = min(max(centre, first), end - 1)

        def around(reach: int) -> tuple[int, NDArray[np.float64]]:
            start = max(centre - reach, first)
            return start, self._samples.view(start, min(centre + reach + 1, end))

        start, near = around(_REACH)
        wide = around(_MEAN_REACH)[1]
        mean = np.add.reduce(wide) / len(wide)  # .mean() takes twice the time
        top, bottom = int(near.argmax()), int(near.argmin())
        up, down = _UPWARD * (near[top] - mean), mean - near[bottom]
        if up == down:
            return start + min(top, bottom)
        return start + (top if up > down else bottom)
