"""Class weights and positive weights of the loss.

A *target* is what the options ask for; the policy blends towards it (``blend``) and scales it
(``scale_weights``) epoch by epoch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonic.errors import DataError
from training.options import WeightOptions

FloatArray = NDArray[np.float64]
POSITIVE_WEIGHT_FACTOR = {
    "balanced": 0.5,
    "inverse": 1.0,
    "aggressive": 3.0,
    "very_aggressive": 5.0,
}


def class_weights(counts: ArrayLike, options: WeightOptions) -> FloatArray:
    """Target loss weight per class, ``w_c ∝ (1/freq_c)^power``, mean 1, max/min at most the cap.

    A class without samples never meets the loss; it gets the weight of the rarest class that has
    some, so that it cannot stretch the ratio.

    Args:
        counts: samples per class ``(classes,)``; class 0 is the normal one.
        options: power, extra factor on every abnormal class, clamp around the mean, ratio cap.

    Returns:
        Weights ``(classes,)`` with mean 1.

    Raises:
        DataError: fewer than two classes, a negative count, or no sample at all.
    """
    counts = class_counts(counts)
    filled = np.where(counts > 0, counts, counts[counts > 0].min())
    weights = (filled.sum() / filled) ** options.class_weight_power
    weights[1:] *= options.class_weight_abnormal
    weights /= weights.mean()
    if options.class_weight_clamp:
        clamp = options.class_weight_clamp
        weights = np.clip(weights, 1.0 / clamp, clamp)
    return _cap_ratio(weights, options.class_weight_max_ratio)


def positive_weights(labels: ArrayLike, options: WeightOptions) -> FloatArray:
    """Target weight of a positive, per label, where a negative weighs 1.

    ``balanced`` n/(2·n_pos), ``inverse`` n_neg/n_pos, ``aggressive`` 3× and ``very_aggressive`` 5×
    inverse, all times ``class_weight_multiplier``.

    Args:
        labels: 0/1 matrix ``(samples, labels)``.
        options: method and multiplier.

    Returns:
        Weights ``(labels,)``; 1 for a label without positives, which has nothing to weigh.

    Raises:
        DataError: an empty matrix, or values other than 0 and 1.
    """
    labels = label_matrix(labels)
    num_positive = labels.sum(axis=0)
    total = len(labels)
    numerator = total if options.class_weight_method == "balanced" else total - num_positive
    factor = POSITIVE_WEIGHT_FACTOR[options.class_weight_method] * options.class_weight_multiplier
    weights = factor * numerator / np.maximum(num_positive, 1)
    return np.where((num_positive > 0) & (num_positive < total), weights, 1.0)


def blend(target: ArrayLike, alpha: float) -> FloatArray:
    """Linear warm-up from uniform weights (alpha 0) to ``target`` (alpha 1)."""
    return (1.0 - alpha) + alpha * np.asarray(target, dtype=np.float64)


def scale_weights(target: ArrayLike, scale: float, max_ratio: float) -> FloatArray:
    """Class weights with their excess over the smallest one multiplied by ``scale``.

    0 gives uniform weights, 1 the target; max/min stays within ``max_ratio`` and the mean is 1.
    """
    target = np.asarray(target, dtype=np.float64)
    ratios = target / target.min()
    return _cap_ratio(1.0 + scale * (ratios - 1.0), max_ratio)


def scale_positive_weights(target: ArrayLike, scale: float) -> FloatArray:
    """Positive weights with their excess over 1 multiplied by ``scale``.

    Weights below 1 take the power form, which meets the linear one at 1 and stays positive.
    """
    target = np.asarray(target, dtype=np.float64)
    return np.where(target >= 1.0, 1.0 + scale * (target - 1.0), target**scale)


def label_matrix(labels: ArrayLike) -> FloatArray:
    """A 0/1 matrix ``(samples, labels)`` as float64.

    Raises:
        DataError: another shape, no rows, or values other than 0 and 1.
    """
    matrix = np.asarray(labels, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise DataError(
            f"multi-label targets have shape {matrix.shape}: expected (samples, labels), both ≥ 1"
        )
    if not np.isin(matrix, (0.0, 1.0)).all():
        raise DataError("multi-label targets hold values other than 0 and 1: encode them as 0/1")
    return matrix


def class_counts(counts: ArrayLike) -> FloatArray:
    """Samples per class ``(classes,)`` as float64.

    Raises:
        DataError: fewer than two classes, a negative count, or no sample at all.
    """
    array = np.asarray(counts, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise DataError(f"class counts have shape {array.shape}: expected one count per class, ≥ 2")
    if not np.isfinite(array).all() or (array < 0).any() or array.sum() == 0:
        raise DataError(f"class counts {array.tolist()}: expected counts ≥ 0 with a sum above 0")
    return array


def _cap_ratio(weights: FloatArray, max_ratio: float) -> FloatArray:
    """Mean 1 with max/min at most ``max_ratio``: large weights are lowered, small ones stay."""
    capped = np.minimum(weights, weights.min() * max_ratio)
    return capped / capped.mean()
