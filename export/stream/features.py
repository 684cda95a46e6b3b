"""A beat's window and R peak as the inputs of a student, one beat at a time.

The numbers come from :mod:`photonic.beats` and :mod:`photonic.rhythm`, as in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from photonic.beats import WINDOW, Template, TemplateState, normalise_beat
from photonic.errors import BundleError
from photonic.program import Input
from photonic.rhythm import RhythmState

BEAT, RHYTHM = "beat", "rhythm"
# What streaming can compute: name -> the shapes (tokens, channels) it may have.
_KNOWN: dict[str, tuple[tuple[int, int], ...]] = {
    BEAT: ((WINDOW, 1), (WINDOW, 2)),  # the beat; with its difference from the running template
    RHYTHM: ((2, 4),),
}


class BeatFeatures:
    """Fills a student's input buffers beat by beat, in the order of time.

    Args:
        inputs: the student's inputs.
        buffers: name -> (1, tokens, channels) float32, written by :meth:`fill`.
        causal: leave the rhythm slots that need the next R peak at zero.
        template: what beats are compared with.

    Raises:
        BundleError: the student has an input that streaming does not know.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        buffers: Mapping[str, NDArray[np.float32]],
        *,
        causal: bool = False,
        template: Template = "mean",
    ) -> None:
        for value in inputs:
            shape = (value.tokens, value.channels)
            if shape not in _KNOWN.get(value.name, ()):
                raise BundleError(
                    f"the bundle's input {value.name!r} of shape {shape} is no feature of a heart "
                    f"beat; streaming knows {_KNOWN}: stream a bundle of the ecg workload"
                )
        shapes = {value.name: value for value in inputs}
        self._beat = buffers[BEAT][0] if BEAT in shapes else None
        self._rhythm = buffers[RHYTHM][0] if RHYTHM in shapes else None
        self._channels = np.empty((2, WINDOW), dtype=np.float32)  # NumPy is faster on whole rows
        num_channels = 0 if self._beat is None else self._beat.shape[1]
        self._wanted = self._channels[:num_channels].T
        self._with_template = num_channels == 2 or self._rhythm is not None
        self._template: Template = template
        self.needs_next_peak = self._rhythm is not None and not causal
        self.restart()

    def restart(self) -> None:
        """Forget every beat: what comes next is another record."""
        self._template_state = TemplateState(self._template)
        self._rhythm_state = RhythmState()

    def skip(self, r_peak: int) -> None:
        """Take in a beat that has no usable window; it still is a neighbour in time."""
        if self._rhythm is not None:
            self._rhythm_state.advance(r_peak)

    def fill(
        self, window: NDArray[np.float64], r_peak: int, next_r_peak: int | None = None
    ) -> None:
        """Write the inputs of the next beat into the buffers.

        Args:
            window: (360,) samples around the R peak.
            r_peak: its sample number at 360 Hz.
            next_r_peak: that of the beat after it, where it is needed and known.
        """
        beat, residual = self._channels
        amplitude, ratio = normalise_beat(window, beat), 1.0
        if self._with_template:
            ratio = self._template_state.push(beat, amplitude, out=residual)
        if self._beat is not None:
            self._beat[:] = self._wanted
        if self._rhythm is None:
            return
        if next_r_peak is None:
            self._rhythm[:] = self._rhythm_state.push(r_peak, ratio)
        else:
            self._rhythm_state.advance(r_peak, ratio)
            self._rhythm[:] = self._rhythm_state.with_post(next_r_peak)
