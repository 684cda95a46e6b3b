"""Confidence intervals of every figure of a run, by drawing records (patients), not beats."""

from __future__ import annotations

from typing import Any

import numpy as np

from photonic.decision import Decision
from training.bootstrap import (
    NUM_DRAWS,
    Interval,
    auroc_draws,
    draw_weights,
    interval,
    summed,
)
from training.evaluate import Predictions
from training.metrics import class_f1, confusion_matrix


def metric_intervals(
    decision: Decision, predictions: Predictions, *, draws: int = NUM_DRAWS, seed: int = 0
) -> dict[str, Any] | None:
    """95 % intervals by the names of :func:`training.evaluate.report`; None for one record.

    A figure has none (None) where so few records hold its class that many draws lack it.

    Args:
        decision: how a class is chosen.
        predictions: of samples of several records.
        draws: how many.
        seed: of the draws.
    """
    names, owner = np.unique(predictions.record, return_inverse=True)
    if len(names) < 2:
        return None
    size = len(decision.classes)
    predicted = decision.from_probabilities(predictions.probs)
    per_record = np.stack(
        [
            confusion_matrix(predictions.label[owner == r], predicted[owner == r], size)
            for r in range(len(names))
        ]
    )
    weights = draw_weights(len(names), draws=draws, seed=seed)
    counts = summed(weights, per_record).astype(np.float64)
    areas = auroc_draws(weights, 1.0 - predictions.probs[:, 0], predictions.label > 0, owner)
    return _of_counts(decision.classes, counts) | {"auroc": interval(areas)}


def _of_counts(classes: tuple[str, ...], counts: np.ndarray) -> dict[str, Any]:
    """Intervals from the confusion matrices (draws, classes, classes) of the draws."""
    f1 = class_f1(counts)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    sensitivity = _ratio(hits, support)
    ppv = np.where(support > 0, _ratio(hits, predicted), np.nan)
    found: dict[str, Interval] = {
        "macro_f1": interval(_mean(f1)),
        "abnormal_f1": interval(_mean(f1[:, 1:])),
        "rare_f1": interval(_mean(f1[:, 1:3])),
        "accuracy": interval(_ratio(hits.sum(axis=-1), support.sum(axis=-1))),
        "miss": interval(_ratio(counts[:, 1:, 0].sum(axis=-1), support[:, 1:].sum(axis=-1))),
        "fpr": interval(_ratio(counts[:, 0, 1:].sum(axis=-1), support[:, 0])),
    }
    if len(classes) == 2:
        found["f1"] = interval(f1[:, 1])
    per_class = {
        name: {
            "sensitivity": interval(sensitivity[:, k]),
            "ppv": interval(ppv[:, k]),
            "f1": interval(f1[:, k]),
        }
        for k, name in enumerate(classes)
    }
    return {**found, "per_class": per_class}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the classes that a draw holds, NaN where it holds none."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
