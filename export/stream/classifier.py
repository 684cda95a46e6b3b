"""From the window of a beat to its class, with a clock beside it."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from export.stream.beat import Fault, StreamedBeat
from export.stream.features import BeatFeatures
from export.stream.peaks import Peak
from export.stream.quality import SignalRange, window_fault
from export.stream.runner import BeatRunner
from export.wire import identity_model
from photonic.beats import Template
from photonic.decision import Decision
from photonic.program import Input

_US_PER_NS = 1e-3


class BeatClassifier:
    """Features, graph and decision of one beat after the other.

    Args:
        graph: serialised ONNX model, float or quantised.
        inputs: its inputs.
        decision: from its logits to a class.
        causal: the student does without the next R peak.
        template: what beats are compared with.
        signal_range: range of the converter, where it is known.
    """

    def __init__(
        self,
        graph: bytes,
        inputs: Sequence[Input],
        decision: Decision,
        *,
        causal: bool = False,
        template: Template = "mean",
        signal_range: SignalRange | None = None,
    ) -> None:
        self._runner = BeatRunner(graph, inputs)
        self._floor = BeatRunner(
            identity_model((i.name, i.tokens, i.channels) for i in inputs),
            inputs,
            self._runner.inputs,
        )
        self._logits = self._runner.output[0]
        self._features = BeatFeatures(inputs, self._runner.inputs, causal=causal, template=template)
        self._decision = decision
        self._signal_range = signal_range
        self._floor_first = False
        self.needs_next_peak = self._features.needs_next_peak

    def restart(self) -> None:
        """Forget every beat: what comes next is another record."""
        self._features.restart()

    def skip(self, peak: Peak, fault: Fault, decided_at: int) -> StreamedBeat:
        """A beat without a window."""
        self._features.skip(peak.centre)
        return StreamedBeat(
            sample=peak.sample, known_at=peak.known_at, decided_at=decided_at, fault=fault
        )

    def classify(
        self, window: NDArray[np.float64], peak: Peak, next_r_peak: int | None, decided_at: int
    ) -> StreamedBeat:
        """Class of a beat, or the fault of its signal.

        Args:
            window: (360,) samples around its centre, NaN where missing.
            peak: its R peak.
            next_r_peak: centre of the one after it, where it is needed and known.
            decided_at: samples that have to have arrived for this.
        """
        started = perf_counter_ns()
        fault = window_fault(window, self._signal_range)
        if fault is not None:
            return self.skip(peak, fault, decided_at)
        self._features.fill(window, peak.centre, next_r_peak)
        filled = perf_counter_ns()
        # The first call of a beat finds cold caches. Graph and floor take turns in being that one.
        self._floor_first = not self._floor_first
        floor_us = self._time_floor() if self._floor_first else 0.0
        called = perf_counter_ns()
        self._runner.run()
        inferred = perf_counter_ns()
        logits = self._logits.tolist()
        label = self._decision.of_one(logits)
        decided = perf_counter_ns()
        return StreamedBeat(
            sample=peak.sample,
            known_at=peak.known_at,
            decided_at=decided_at,
            label=label,
            logits=tuple(logits),
            preprocess_us=(filled - started) * _US_PER_NS,
            inference_us=(inferred - called) * _US_PER_NS,
            total_us=(filled - started + decided - called) * _US_PER_NS,
            floor_us=floor_us or self._time_floor(),
        )

    def _time_floor(self) -> float:
        """Microseconds of the identity graph on the input of the last beat."""
        started = perf_counter_ns()
        self._floor.run()
        return (perf_counter_ns() - started) * _US_PER_NS
