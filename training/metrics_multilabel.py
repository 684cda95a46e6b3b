"""Figures of merit of multi-label tasks: ranking, decisions and calibration, per label and macro.

A label without positives has support 0 and None for what cannot be known; macro figures skip it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from photonic.errors import DataError
from training.imbalance import label_matrix
from training.metrics import FloatArray, binary_metrics, check_finite, known_mean

NUM_ECE_BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMetrics:
    """Figures of one label at its threshold; ``support`` counts positives, ``predicted`` calls."""

    name: str
    threshold: float
    f1: float | None
    recall: float | None
    ppv: float | None
    fpr: float | None
    auroc: float | None
    auprc: float | None
    brier: float
    ece: float
    support: int
    predicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLabelMetrics:
    """Macro means over the labels for which a figure is known, and the labels one by one."""

    macro_f1: float | None
    macro_recall: float | None
    roc_auc: float | None
    average_precision: float | None
    brier: float
    ece: float
    num_samples: int
    per_label: tuple[LabelMetrics, ...]


def multilabel_metrics(
    probabilities: ArrayLike,
    labels: ArrayLike,
    thresholds: ArrayLike,
    label_names: Sequence[str],
) -> MultiLabelMetrics:
    """All figures of a multi-label task.

    Args:
        probabilities: ``(samples, labels)``.
        labels: 0/1 ``(samples, labels)``.
        thresholds: one per label ``(labels,)``, or one for all; the decision is ``>=``.
        label_names: one name per label.

    Raises:
        DataError: mismatched, empty or non-finite input, or labels other than 0 and 1.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    truth = label_matrix(labels)
    names = tuple(label_names)
    if scores.shape != truth.shape or len(names) != truth.shape[1]:
        raise DataError(
            f"probabilities {scores.shape}, labels {truth.shape} and {len(names)} names: "
            "expected (samples, labels) twice and one name per label"
        )
    check_finite(scores)
    cuts = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), (len(names),))
    brier = brier_score(scores, truth)
    ece = expected_calibration_error(scores, truth)
    per_label = []
    for index, name in enumerate(names):
        figures = binary_metrics(scores[:, index], truth[:, index], float(cuts[index]))
        per_label.append(
            LabelMetrics(
                name=name,
                threshold=figures.threshold,
                f1=figures.f1,
                recall=figures.sensitivity,
                ppv=figures.ppv,
                fpr=figures.fpr,
                auroc=figures.auroc,
                auprc=figures.auprc,
                brier=float(brier[index]),
                ece=float(ece[index]),
                support=figures.num_positive,
                predicted=int((scores[:, index] >= cuts[index]).sum()),
            )
        )
    return MultiLabelMetrics(
        macro_f1=known_mean([label.f1 for label in per_label]),
        macro_recall=known_mean([label.recall for label in per_label]),
        roc_auc=known_mean([label.auroc for label in per_label]),
        average_precision=known_mean([label.auprc for label in per_label]),
        brier=float(brier.mean()),
        ece=float(ece.mean()),
        num_samples=len(scores),
        per_label=tuple(per_label),
    )


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> FloatArray:
    """Mean squared error of the probabilities (Brier 1950, one-sided form), over axis 0."""
    scores = np.asarray(probabilities, dtype=np.float64)
    return np.mean((scores - np.asarray(labels, dtype=np.float64)) ** 2, axis=0)


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, num_bins: int = NUM_ECE_BINS
) -> FloatArray:
    """Expected calibration error of the positive probability (Guo et al. 2017, eq. 3) per label.

    Args:
        probabilities: in [0, 1], ``(samples, labels)``.
        labels: 0/1 ``(samples, labels)``.
        num_bins: bins of equal width on [0, 1].

    Returns:
        Sample-weighted mean over bins of |mean probability - positive rate|, ``(labels,)``.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    gaps = scores - np.asarray(labels, dtype=np.float64)
    num_labels = scores.shape[1]
    bins = np.minimum((scores * num_bins).astype(np.int64), num_bins - 1)
    cells = bins + np.arange(num_labels) * num_bins
    # |Σ gap| per bin is its sample count times its gap between confidence and accuracy.
    sums = np.bincount(cells.ravel(), weights=gaps.ravel(), minlength=num_labels * num_bins)
    return np.abs(sums).reshape(num_labels, num_bins).sum(axis=1) / len(scores)
