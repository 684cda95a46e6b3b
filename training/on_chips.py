"""What a trained student scores on chips that its training never saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from photonic.decision import Decision
from photonic.profile import HardwareProfile
from photonic.program import Program
from photonic.scores import default_score, score
from photonic.simulate import simulate
from photonic.tallies import tally

NUM_CHIPS = 50


def score_on_chips(
    program: Program,
    profile: HardwareProfile,
    decision: Decision,
    inputs: Mapping[str, np.ndarray],
    label: np.ndarray,
    *,
    seed: int,
    num_chips: int = NUM_CHIPS,
) -> dict[str, Any]:
    """The default score of each simulated chip: mean and 5, 50 and 95 % quantiles over them.

    Args:
        program: the student.
        profile: the hardware, with its errors and noise.
        decision: as chosen without them.
        inputs: program inputs ``(n, tokens, channels)``.
        label: class index ``(n,)``.
        seed: of chips and noise.
        num_chips: chips 0 to this.
    """
    metric = score(default_score(len(decision.classes)), decision.classes)
    logits = simulate(program, profile, inputs, chips=range(num_chips), seed=seed)
    counts = tally(metric.tally, len(decision.classes)).count(label, logits, decision)
    scores = np.nan_to_num(metric.of(counts))
    low, middle, high = np.quantile(scores, [0.05, 0.5, 0.95]).tolist()
    return {
        "profile": profile.name,
        "num_chips": num_chips,
        "num_samples": len(label),
        "metric": metric.name,
        "mean": float(scores.mean()),
        "p05": low,
        "p50": middle,
        "p95": high,
    }
