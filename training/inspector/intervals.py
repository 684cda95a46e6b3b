"""Intervals of a metric by resampling records: beats of one patient are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.bootstrap import draw_weights, interval, summed
from training.inspector.evidence import FloatArray, Predictions
from training.metrics import auprc, auroc, class_f1

RANKINGS = {"auroc": auroc, "auprc": auprc}
FEWEST_GROUPS = 6
"""Fewer patients say next to nothing about the spread between patients."""
MOST_RANKED = 200
"""Resamples of a metric that has to sort every time."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the range it may have, and where the range comes from."""

    value: float
    low: float
    high: float
    kind: str


def bootstrap_interval(
    predictions: Predictions, metric: str, *, level: float, resamples: int, seed: int = 0
) -> Interval | None:
    """Percentile interval of a metric over resampled records.

    Args:
        predictions: of one subset, finite.
        metric: f1, macro_f1, accuracy, auroc or auprc.
        level: coverage, e.g. 0.95.
        resamples: how many.
        seed: of the draws.

    Returns:
        None for a metric that cannot be computed from these predictions.
    """
    groups, kind = _groups(predictions)
    number = int(groups.max()) + 1
    if metric in RANKINGS and predictions.exclusive:
        weights = draw_weights(number, draws=min(resamples, MOST_RANKED), seed=seed)
        values = _rankings(predictions, metric, groups, weights)
        point = RANKINGS[metric](1.0 - predictions.probs[:, 0], ~predictions.truth[:, 0])
    elif metric in ("f1", "macro_f1", "accuracy"):
        weights = draw_weights(number, draws=resamples, seed=seed)
        confusions = _confusions(predictions, groups, number)
        values = _called(summed(weights, confusions), metric)
        point = float(_called(confusions.sum(axis=0)[None], metric)[0])
    else:
        return None
    if point is None or np.isnan(point):
        return None
    span = interval(values, level=level) if number >= FEWEST_GROUPS else None
    if span is None:
        return Interval(float(point), -np.inf, np.inf, f"interval unknown: {number} {kind} only")
    return Interval(float(point), *span, f"{level:.0%} over {number} {kind}")


def _groups(predictions: Predictions) -> tuple[np.ndarray, str]:
    """Index of the group of every sample ``(samples,)``, and what a group is."""
    for key in ("patient", "record", "chrom", "chromosome"):
        if key in predictions.keys:
            groups = np.unique(predictions.keys[key], return_inverse=True)[1]
            return groups.reshape(-1), f"{key}s"
    return np.arange(len(predictions)), "samples"


def _confusions(predictions: Predictions, groups: np.ndarray, number: int) -> FloatArray:
    """Confusion matrices ``(groups, matrices, classes, classes)``; one matrix per label."""
    size = len(predictions.classes)
    if predictions.exclusive:
        truth, called = predictions.truth.argmax(axis=1), predictions.predicted.argmax(axis=1)
        cells = (groups * size + truth) * size + called
        flat = np.bincount(cells, minlength=number * size * size)
        return flat.reshape(number, 1, size, size).astype(np.float64)
    cells = (groups[:, None] * 2 + predictions.truth) * 2 + predictions.predicted
    flat = [np.bincount(column, minlength=number * 4).reshape(number, 2, 2) for column in cells.T]
    return np.stack(flat, axis=1).astype(np.float64)


def _called(confusions: FloatArray, metric: str) -> FloatArray:
    """A metric of calls ``(resamples,)`` from matrices ``(resamples, matrices, C, C)``."""
    if metric == "accuracy":
        hits = np.trace(confusions, axis1=-2, axis2=-1).sum(axis=-1)
        return hits / confusions.sum(axis=(-3, -2, -1))
    by_class = class_f1(confusions)
    several = confusions.shape[1] > 1
    # Of each label, or of the abnormal class of two: the second column.
    second = metric == "f1" or several
    chosen = by_class[..., 1] if second else by_class.reshape(len(by_class), -1)
    with np.errstate(invalid="ignore"):
        known = ~np.isnan(chosen)
        return np.where(known, chosen, 0.0).sum(axis=-1) / known.sum(axis=-1)


def _rankings(
    predictions: Predictions, metric: str, groups: np.ndarray, weights: np.ndarray
) -> FloatArray:
    score, truth = 1.0 - predictions.probs[:, 0], ~predictions.truth[:, 0]
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(groups))[:-1])
    values = []
    for weight in weights:
        drawn = np.repeat(np.arange(len(weight)), weight)
        chosen = np.concatenate([members[group] for group in drawn])
        area = RANKINGS[metric](score[chosen], truth[chosen])
        values.append(np.nan if area is None else area)
    return np.asarray(values)
