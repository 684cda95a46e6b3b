"""Robustness sweeps: a grid of profile values × many chips → a score per point and chip.

Chips are simulated in chunks that fit a byte budget and beats in fixed blocks, so neither the
memory given nor the number of chips beside it changes what a chip decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from photonic.decision import Decision
from photonic.errors import ConfigError
from photonic.execute import run_float
from photonic.profile import HardwareProfile
from photonic.program import Program
from photonic.scores import confusion_counts, score
from photonic.simulate import simulate

BEATS_PER_BLOCK = 512
# Values of a program that live at once while a step runs, as a multiple of all its values' size:
# every value is kept until the end, and a step needs its result and one temporary beside them.
LIVE_COPIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """Scores of every chip at one point of the grid."""

    params: Mapping[str, Any]
    scores: np.ndarray

    def summary(self, reference: float, keep: float) -> dict[str, Any]:
        """Mean, 5/50/95 % quantiles and yield: the share of chips with ``≥ keep · reference``."""
        p05, p50, p95 = np.quantile(self.scores, [0.05, 0.5, 0.95])
        return {
            "params": dict(self.params),
            "metric_mean": float(self.scores.mean()),
            "metric_p05": float(p05),
            "metric_p50": float(p50),
            "metric_p95": float(p95),
            "yield": float((self.scores >= keep * reference).mean()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepData:
    """What a sweep scores: inputs ``(n, tokens, channels)``, labels and the decision rule."""

    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray
    decision: Decision
    metric: str


def grid_points(vary: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values, the last key changing fastest.

    Raises:
        ConfigError: a key without values.
    """
    for key, values in vary.items():
        if not len(values):
            raise ConfigError(f"vary {key!r}: no values given")
    return [dict(zip(vary, point, strict=True)) for point in itertools.product(*vary.values())]


def reference_score(program: Program, data: SweepData) -> float:
    """The score of the float model, which yield is measured against."""
    decided = data.decision(run_float(program, data.inputs, np.float32))
    return float(_scores(decided, data))


def sweep(
    program: Program,
    profile: HardwareProfile,
    data: SweepData,
    *,
    vary: Mapping[str, Sequence[Any]],
    num_chips: int,
    seed: int = 0,
    memory_mb: float = 512.0,
    on_point: Callable[[int, int], None] = lambda done, total: None,
) -> list[SweepPoint]:
    """Scores of ``num_chips`` chips at every point of the grid over profile values.

    The same chips (static errors of ``(seed, chip)``) are used at every point, so that points
    differ by the hardware and not by the draw.

    Args:
        program: the model.
        profile: hardware that the grid departs from.
        data: what is scored.
        vary: values by dotted profile key, e.g. ``{"weight.programming_sigma": [0, 0.05]}``.
        num_chips: chips per point.
        seed: of chips and read noise.
        memory_mb: bound on the simulator's working memory.
        on_point: called with the number of points done and of all.

    Raises:
        ConfigError: no chips, an empty grid, or a budget too small for one chip.
        ProfileError: an unknown key or a value out of range.
    """
    if num_chips < 1:
        raise ConfigError(f"chips {num_chips}: at least 1")
    points = grid_points(vary)
    profiles = []
    for params in points:
        changed = profile
        for key, value in params.items():
            changed = changed.with_value(key, value)
        profiles.append(changed)
    chunk = chips_per_chunk(program, min(BEATS_PER_BLOCK, len(data.labels)), memory_mb)
    results = []
    for done, (params, changed) in enumerate(zip(points, profiles, strict=True), start=1):
        scores = [
            chip_scores(program, changed, data, range(first, min(first + chunk, num_chips)), seed)
            for first in range(0, num_chips, chunk)
        ]
        results.append(SweepPoint(params=params, scores=np.concatenate(scores)))
        on_point(done, len(points))
    return results


def chip_scores(
    program: Program,
    profile: HardwareProfile,
    data: SweepData,
    chips: Sequence[int],
    seed: int,
) -> np.ndarray:
    """Score of each of ``chips`` over all of ``data``, ``(chips,)``."""
    decided = np.empty((len(chips), len(data.labels)), dtype=np.int64)
    for part, first in enumerate(range(0, len(data.labels), BEATS_PER_BLOCK)):
        block = slice(first, first + BEATS_PER_BLOCK)
        inputs = {name: x[block] for name, x in data.inputs.items()}
        logits = simulate(program, profile, inputs, chips=chips, seed=seed, part=part)
        decided[:, block] = data.decision(logits)
    return _scores(decided, data)


def chips_per_chunk(program: Program, beats: int, memory_mb: float) -> int:
    """How many chips' values for ``beats`` beats fit into ``memory_mb``.

    Raises:
        ConfigError: not even one; the message says what one needs.
    """
    values = sum(tokens * channels for tokens, channels in program.shapes().values())
    one_chip_mb = values * beats * 4 * LIVE_COPIES / 2**20
    if one_chip_mb > memory_mb:
        raise ConfigError(
            f"memory_mb {memory_mb:g}: one chip needs {one_chip_mb:.0f} MB for {beats} beats"
        )
    return int(memory_mb / one_chip_mb)


def _scores(decided: np.ndarray, data: SweepData) -> np.ndarray:
    counts = confusion_counts(data.labels, decided, len(data.decision.classes))
    return score(data.metric)(counts)
