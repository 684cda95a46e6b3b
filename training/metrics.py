"""Figures of merit of single-label tasks, vectorised; an undefined figure is None, never 0.

A class without samples has support 0 and None for what cannot be known about it, and averages leave
it out. The decision of a binary task is ``probability >= threshold``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonic.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryMetrics:
    """Binary figures at one threshold; the positive class is the abnormal one.

    ``miss`` = FN/(TP+FN), ``fpr`` = FP/(FP+TN), ``ppv`` = TP/(TP+FP).
    """

    threshold: float
    f1: float | None
    macro_f1: float | None
    miss: float | None
    fpr: float | None
    sensitivity: float | None
    ppv: float | None
    accuracy: float
    auroc: float | None
    auprc: float | None
    num_positive: int
    num_negative: int

    @property
    def macro_recall(self) -> float | None:
        """Mean sensitivity of the two classes; of one where the other has no samples."""
        return known_mean([self.sensitivity, None if self.fpr is None else 1.0 - self.fpr])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """Figures of one class against the others; None where the class has no support."""

    name: str
    sensitivity: float | None
    ppv: float | None
    f1: float | None
    support: int
    predicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiClassMetrics:
    """Figures of a single-label task; class 0 is the normal one.

    ``macro_f1`` averages the classes with support, ``abnormal_f1`` those other than class 0,
    ``rare_f1`` those of the two first abnormal classes (S and V). ``miss`` and ``fpr`` are class 0
    against the rest, and so is ``auroc`` where probabilities are known.
    """

    macro_f1: float
    abnormal_f1: float | None
    rare_f1: float | None
    accuracy: float
    miss: float | None
    fpr: float | None
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    auroc: float | None = None

    @property
    def macro_recall(self) -> float | None:
        """Mean sensitivity of the classes with support."""
        return known_mean([one.sensitivity for one in self.per_class])


def binary_metrics(
    probabilities: ArrayLike, labels: ArrayLike, threshold: float = 0.5
) -> BinaryMetrics:
    """All binary figures at one threshold.

    Args:
        probabilities: probability of the positive class ``(samples,)``.
        labels: 0 or 1 ``(samples,)``.
        threshold: positive when ``probability >= threshold``.

    Raises:
        DataError: empty, mismatched or non-finite input, labels other than 0 and 1.
    """
    scores, positive = checked_binary(probabilities, labels)
    called = scores >= threshold
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    hits = int((called & positive).sum())
    false_alarms = int(called.sum()) - hits
    quiet, wrong = num_negative - false_alarms, false_alarms + num_positive - hits
    f1 = _ratio(2 * hits, num_positive + hits + false_alarms) if num_positive else None
    normal_f1 = _ratio(2 * quiet, 2 * quiet + wrong) if num_negative else None
    return BinaryMetrics(
        threshold=float(threshold),
        f1=f1,
        macro_f1=known_mean([f1, normal_f1]),
        miss=_ratio(num_positive - hits, num_positive),
        fpr=_ratio(false_alarms, num_negative),
        sensitivity=_ratio(hits, num_positive),
        ppv=_ratio(hits, hits + false_alarms),
        accuracy=(hits + num_negative - false_alarms) / len(positive),
        auroc=auroc(scores, positive),
        auprc=auprc(scores, positive),
        num_positive=num_positive,
        num_negative=num_negative,
    )


def auroc(probabilities: ArrayLike, labels: ArrayLike) -> float | None:
    """Area under the ROC curve, ties counting half (Mann-Whitney U); None with one class only."""
    scores, positive = checked_binary(probabilities, labels)
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    if not num_positive or not num_negative:
        return None
    positives, negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    below = np.searchsorted(negatives, positives, side="left").sum()
    at_or_below = np.searchsorted(negatives, positives, side="right").sum()
    return float((below + at_or_below) / (2.0 * num_positive * num_negative))


def auprc(probabilities: ArrayLike, labels: ArrayLike) -> float | None:
    """Average precision ``Σ (R_k - R_{k-1}) P_k`` over distinct scores; None without positives."""
    scores, positive = checked_binary(probabilities, labels)
    num_positive = int(positive.sum())
    if not num_positive:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(positive[order])[ends]
    precision = hits / (ends + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / num_positive)


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, num_classes: int) -> IntArray:
    """Confusion matrices, true classes in rows, predicted ones in columns.

    Args:
        labels: class indices ``(samples,)``.
        predictions: class indices ``(..., samples)``: a population of models at once.
        num_classes: size of the matrix.

    Returns:
        Counts, int64 ``(..., classes, classes)``.

    Raises:
        DataError: mismatched lengths, no samples, or indices outside the classes.
    """
    true = np.asarray(labels)
    called = np.asarray(predictions)
    if true.ndim != 1 or true.size == 0 or called.ndim < 1 or called.shape[-1] != len(true):
        raise DataError(
            f"labels {true.shape} and predictions {called.shape}: expected (samples,) and "
            "(..., samples) with at least one sample"
        )
    for name, values in (("labels", true), ("predictions", called)):
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if low < 0 or high >= num_classes:
            raise DataError(
                f"{name} reach from {low} to {high}: expected class indices 0 to {num_classes - 1}"
            )
    models = called.reshape(-1, len(true)).astype(np.int64)
    size = num_classes * num_classes
    cells = np.arange(len(models))[:, None] * size + true.astype(np.int64) * num_classes + models
    counts = np.bincount(cells.ravel(), minlength=len(models) * size)
    return counts.reshape(*called.shape[:-1], num_classes, num_classes)


def class_f1(confusion: ArrayLike) -> FloatArray:
    """F1 per class ``(..., classes)`` of confusion matrices ``(..., classes, classes)``.

    NaN for a class without support, whatever is predicted.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    return np.divide(
        2.0 * hits, support + predicted, out=np.full(hits.shape, np.nan), where=support > 0
    )


def multiclass_metrics(confusion: ArrayLike, class_names: Sequence[str]) -> MultiClassMetrics:
    """All figures of a single-label task from its confusion matrix.

    Args:
        confusion: ``(classes, classes)``, true classes in rows.
        class_names: one name per class, the normal one first.

    Raises:
        DataError: a matrix that does not fit the names, or is empty.
    """
    counts = np.asarray(confusion)
    size = len(class_names)
    if counts.shape != (size, size) or not counts.sum():
        raise DataError(
            f"confusion matrix {counts.shape} with {counts.sum()} samples for {size} classes: "
            f"expected ({size}, {size}) and at least one sample"
        )
    f1 = class_f1(counts)
    support, predicted = counts.sum(axis=1), counts.sum(axis=0)
    per_class = []
    for index, name in enumerate(class_names):
        seen, hits = int(support[index]), int(counts[index, index])
        per_class.append(
            ClassMetrics(
                name=name,
                sensitivity=_ratio(hits, seen),
                ppv=_ratio(hits, int(predicted[index])) if seen else None,
                f1=float(f1[index]) if seen else None,
                support=seen,
                predicted=int(predicted[index]),
            )
        )
    return MultiClassMetrics(
        macro_f1=float(np.nanmean(f1)),
        abnormal_f1=_mean(f1[1:]),
        rare_f1=_mean(f1[1:3]),
        accuracy=float(np.trace(counts) / counts.sum()),
        miss=_ratio(int(counts[1:, 0].sum()), int(support[1:].sum())),
        fpr=_ratio(int(counts[0, 1:].sum()), int(support[0])),
        per_class=tuple(per_class),
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
    )


def checked_binary(
    probabilities: ArrayLike, labels: ArrayLike
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Probabilities as float64 and labels as bool, both ``(samples,)``.

    Raises:
        DataError: empty, mismatched or non-finite input, labels other than 0 and 1.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels)
    if scores.ndim != 1 or scores.size == 0 or truth.shape != scores.shape:
        raise DataError(
            f"probabilities {scores.shape} and labels {truth.shape}: "
            "expected two vectors of the same length ≥ 1"
        )
    check_finite(scores)
    if truth.dtype != np.bool_ and not ((truth == 0) | (truth == 1)).all():
        raise DataError("binary labels hold values other than 0 and 1: encode normal 0, abnormal 1")
    return scores, truth.astype(bool)


def check_finite(probabilities: FloatArray) -> None:
    """Refuses NaN and infinite probabilities.

    Raises:
        DataError: with their number and the first place.
    """
    bad = ~np.isfinite(probabilities)
    if bad.any():
        first = tuple(int(index) for index in np.argwhere(bad)[0])
        raise DataError(
            f"{int(bad.sum())} of {probabilities.size} probabilities are not finite (first at "
            f"index {', '.join(map(str, first))}): the model diverged; lower the learning rate"
        )


def known_mean(values: Sequence[float | None]) -> float | None:
    """Mean of the figures that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: FloatArray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
