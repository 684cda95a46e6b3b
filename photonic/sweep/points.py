"""Finished points of a sweep: counts of every chip, their scores, and the summary over chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from photonic.errors import ConfigError
from photonic.execute import run_float
from photonic.program import Program
from photonic.scores import Score, score, scores_of_tally
from photonic.sweep.job import BEATS_PER_BLOCK, SweepData
from photonic.tallies import tally


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One point of the grid.

    Attributes:
        params: what was varied.
        counts: of every chip, int64 ``(chips, *tally shape)``.
        metric: the score that summary and yield are about.
        classes: names of the classes.
    """

    params: Mapping[str, Any]
    counts: np.ndarray
    metric: Score
    classes: Sequence[str]

    @property
    def scores(self) -> np.ndarray:
        """The metric of each chip, ``(chips,)``."""
        return self.metric.of(self.counts)

    def all_scores(self) -> dict[str, np.ndarray]:
        """Every score that the counts give, the metric first, each ``(chips,)``."""
        known = scores_of_tally(self.metric.tally, self.classes)
        return {s.name: s.of(self.counts) for s in sorted(known, key=self._is_not_metric)}

    def _is_not_metric(self, other: Score) -> bool:
        return other.name != self.metric.name

    def summary(self, reference: float, keep: float) -> dict[str, Any]:
        """Mean, 5/50/95 % quantiles and yield: the share of chips with ``≥ keep · reference``.

        A chip whose score is undefined (it never decides for a class) counts as 0.
        """
        scores = np.nan_to_num(self.scores)
        p05, p50, p95 = np.quantile(scores, [0.05, 0.5, 0.95])
        return {
            "params": dict(self.params),
            "metric_mean": float(scores.mean()),
            "metric_p05": float(p05),
            "metric_p50": float(p50),
            "metric_p95": float(p95),
            "yield": yield_of(scores, reference, keep),
        }


def yield_of(scores: np.ndarray, reference: float, keep: float) -> float:
    """Share of chips that keep at least ``keep`` of the reference."""
    return float((np.nan_to_num(scores) >= keep * reference).mean())


def reference_score(program: Program, data: SweepData) -> float:
    """The score of the float model, which yield is measured against.

    Raises:
        ConfigError: the data has no sample that the metric needs.
    """
    classes = data.decision.classes
    metric = score(data.metric, classes)
    counting = tally(metric.tally, len(classes))
    total = np.zeros(counting.shape, dtype=np.int64)
    for first in range(0, len(data.labels), BEATS_PER_BLOCK):
        block = slice(first, first + BEATS_PER_BLOCK)
        logits = run_float(program, {n: x[block] for n, x in data.inputs.items()}, np.float32)
        total += counting.count(data.labels[block], logits, data.decision)
    value = float(metric.of(total))
    if np.isnan(value):
        raise ConfigError(
            f"metric {data.metric!r} is undefined on this data: a class it needs has no sample"
        )
    return value
