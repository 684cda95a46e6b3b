"""Thresholds of a finished run scanned again on its saved probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from photonic.decision import Decision
from photonic.errors import ConfigError
from training.evaluate import Predictions, between, report
from training.options import ThresholdOptions
from training.run import Run
from training.thresholds import sweep_thresholds

SAVED = "saved with the run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rule's threshold and its figures; ``feasible`` says whether both bounds hold."""

    rule: str
    threshold: float
    feasible: bool
    val: dict[str, Any]
    test: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescan:
    """What every rule chooses on the validation samples."""

    num_samples: int
    num_candidates: int
    rows: tuple[Row, ...]


def rescan(run: Run, options: ThresholdOptions) -> Rescan:
    """The threshold that every rule chooses on the saved validation probabilities of a run.

    Args:
        run: a finished binary run.
        options: bounds, score and density of the search.

    Raises:
        ConfigError: a run without a threshold.
        RunError: no saved probabilities.
    """
    if run.decision.kind != "threshold" or run.decision.threshold is None:
        raise ConfigError(
            f"{run.path}: decides between {len(run.classes)} classes by the largest logit; a "
            "threshold belongs to a binary run"
        )
    val = run.predictions("val")
    test = run.predictions("test") if run.meta["split"]["num_test"] else None
    scores = val.probs[:, 1]
    rules = get_args(ThresholdOptions.model_fields["threshold_rule"].annotation)
    rows = [_row(run, SAVED, run.decision.threshold, options, val, test)]
    num_candidates = 0
    for rule in rules:
        ruled = options.model_copy(update={"threshold_rule": rule, "use_blended_thresholds": False})
        choice = sweep_thresholds(scores, val.label, ruled)
        num_candidates = max(num_candidates, choice.num_candidates)
        threshold = between(choice.threshold, scores)
        rows.append(_row(run, rule, threshold, options, val, test))
    return Rescan(num_samples=len(scores), num_candidates=num_candidates, rows=tuple(rows))


def _row(
    run: Run,
    rule: str,
    threshold: float,
    options: ThresholdOptions,
    val: Predictions,
    test: Predictions | None,
) -> Row:
    decision = Decision(kind="threshold", classes=run.classes, threshold=threshold)
    figures = _figures(decision, val)
    miss, fpr = figures["miss"], figures["fpr"]
    feasible = (miss is None or miss <= options.threshold_target_miss) and (
        fpr is None or fpr <= options.threshold_max_fpr
    )
    return Row(
        rule=rule,
        threshold=threshold,
        feasible=feasible,
        val=figures,
        test=None if test is None else _figures(decision, test),
    )


def _figures(decision: Decision, predictions: Predictions) -> dict[str, Any]:
    return report(decision, np.asarray(predictions.probs), predictions.label)
