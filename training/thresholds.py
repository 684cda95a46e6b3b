"""Decision thresholds: constrained sweep, plain rules, blended sets, one threshold per label.

The decision is ``probability >= threshold`` everywhere. Every search sorts once and reads all
candidates from sorted arrays by binary search; no candidate touches the samples again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonic.errors import DataError
from training.imbalance import label_matrix
from training.metrics import FloatArray, check_finite, checked_binary
from training.options import ThresholdOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdChoice:
    """The chosen threshold and its figures (blended ones where two sets were given).

    ``feasible`` tells whether both bounds hold; ``violation`` is by how much they do not.
    ``miss``, ``f1`` are None without positives, ``fpr`` without negatives.
    """

    threshold: float
    rule: str
    feasible: bool
    violation: float
    score: float
    f1: float | None
    miss: float | None
    fpr: float | None
    num_candidates: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Figures of every candidate ``(candidates,)``; NaN where a side has no samples."""

    f1: FloatArray
    miss: FloatArray
    fpr: FloatArray


def sweep_thresholds(
    probabilities: ArrayLike,
    labels: ArrayLike,
    options: ThresholdOptions,
    *,
    miss_ema: float | None = None,
    unseen: tuple[ArrayLike, ArrayLike] | None = None,
) -> ThresholdChoice:
    """Chooses the threshold of a binary task by the configured rule.

    ``constrained``: among the candidates with miss ≤ ``threshold_target_miss`` and FPR ≤
    ``threshold_max_fpr``, the best score ``F1 + recall_gain·TPR - fpr_penalty·FPR -
    reg·|threshold - center|``, recall_gain = 1 + 1.8·miss_ema. If there is none, the candidates
    with the least violation, and the best score among those; a candidate that calls everything
    abnormal is taken only if all do. ``min_miss_fpr``: least miss + FPR. ``max_f1``: highest F1.
    Ties go to the lowest threshold.

    New patients' scores lie a little higher or lower than those that choose. With
    ``threshold_spread`` s the plain rules weigh the figures to be expected if all logits were
    displaced by the same unknown amount, uniform in ±s; those of the choice are reported as they
    are.

    Args:
        probabilities: probability of the positive class ``(samples,)``.
        labels: 0 or 1 ``(samples,)``.
        options: rule, bounds, score and candidates.
        miss_ema: running miss rate from the policy; None counts as 0.
        unseen: probabilities and labels of unseen records, blended in with
            ``threshold_generalization_weight`` when ``use_blended_thresholds`` is on.

    Returns:
        The choice.

    Raises:
        DataError: empty, mismatched or non-finite input, labels other than 0 and 1, or blending
            without unseen records.
    """
    sets = [checked_binary(probabilities, labels)]
    weight = 0.0
    if options.use_blended_thresholds:
        if unseen is None:
            raise DataError(
                "use_blended_thresholds is on but there are no unseen records: "
                "choose a split that has some, or switch it off"
            )
        sets.append(checked_binary(*unseen))
        weight = options.threshold_generalization_weight
    ordered = [np.sort(scores) for scores, _ in sets]
    candidates = _candidates(ordered, options)

    def figures(spread: float) -> Curve:
        curves = [
            _curve(candidates, everything, np.sort(scores[positive]), spread)
            for everything, (scores, positive) in zip(ordered, sets, strict=True)
        ]
        return curves[0] if len(curves) == 1 else _blended(curves[0], curves[1], weight)

    curve = figures(0.0)
    scores = _scores(candidates, curve, miss_ema or 0.0, options)
    violations = _violations(curve, options)
    plain = options.threshold_rule != "constrained"
    judged = figures(options.threshold_spread) if plain else curve
    best = _RULES[options.threshold_rule](judged, scores, violations)
    return ThresholdChoice(
        threshold=float(candidates[best]),
        rule=options.threshold_rule,
        feasible=bool(violations[best] == 0.0),
        violation=float(violations[best]),
        score=float(scores[best]),
        f1=_known(curve.f1[best]),
        miss=_known(curve.miss[best]),
        fpr=_known(curve.fpr[best]),
        num_candidates=len(candidates),
    )


def threshold_curve(probabilities: ArrayLike, labels: ArrayLike, candidates: ArrayLike) -> Curve:
    """F1, miss and FPR at every candidate, from one sort.

    Args:
        probabilities: ``(samples,)``.
        labels: 0 or 1 ``(samples,)``.
        candidates: thresholds ``(candidates,)``, any order.

    Raises:
        DataError: empty, mismatched or non-finite input, or labels other than 0 and 1.
    """
    scores, positive = checked_binary(probabilities, labels)
    cuts = np.asarray(candidates, dtype=np.float64)
    return _curve(cuts, np.sort(scores), np.sort(scores[positive]))


def per_label_thresholds(
    probabilities: ArrayLike, labels: ArrayLike, options: ThresholdOptions
) -> FloatArray:
    """One threshold per label, maximising F1 or balanced accuracy over all distinct cuts.

    A label with only positives or only negatives keeps 0.5: it has nothing to choose by. The cuts
    lie halfway between neighbouring probabilities, so rounding cannot move a sample across.

    Args:
        probabilities: ``(samples, labels)``.
        labels: 0/1 ``(samples, labels)``.
        options: ``threshold_objective``.

    Returns:
        Thresholds ``(labels,)``; all 0.5 when ``optimize_thresholds`` is off.

    Raises:
        DataError: mismatched, empty or non-finite input, or labels other than 0 and 1.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    truth = label_matrix(labels) > 0
    if scores.shape != truth.shape:
        raise DataError(
            f"probabilities {scores.shape} and labels {truth.shape}: expected the same shape"
        )
    check_finite(scores)
    thresholds = np.full(scores.shape[1], 0.5)
    if not options.optimize_thresholds:
        return thresholds
    for index in range(scores.shape[1]):
        positive = truth[:, index]
        if positive.all() or not positive.any():
            continue
        ordered = np.sort(scores[:, index])
        cuts = _halfway_cuts(ordered)
        curve = _curve(cuts, ordered, np.sort(scores[positive, index]))
        if options.threshold_objective == "f1":
            objective = curve.f1
        else:
            objective = 1.0 - 0.5 * (curve.miss + curve.fpr)
        thresholds[index] = cuts[np.argmax(objective)]
    return thresholds


def _candidates(ordered: list[FloatArray], options: ThresholdOptions) -> FloatArray:
    """Sorted candidates: a grid plus quantiles, or every distinct cut for the plain rules."""
    if options.threshold_rule != "constrained":
        merged = ordered[0] if len(ordered) == 1 else np.sort(np.concatenate(ordered))
        return _halfway_cuts(merged)
    half = options.threshold_candidates // 2
    num_quantiles = options.threshold_candidates - half
    grid = np.linspace(options.threshold_grid_min, options.threshold_grid_max, half)
    share = -(-num_quantiles // len(ordered))
    quantiles = [_quantiles(values, share) for values in ordered]
    return np.sort(np.concatenate([grid, *quantiles]))


def _quantiles(ordered: FloatArray, count: int) -> FloatArray:
    """Evenly spaced quantiles of sorted values, linear between neighbours."""
    position = np.linspace(0.0, len(ordered) - 1.0, count)
    low = position.astype(np.int64)
    high = np.minimum(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def _halfway_cuts(ordered: FloatArray) -> FloatArray:
    """The lowest value and the middles between distinct neighbours: every possible decision."""
    distinct = ordered[np.append(True, np.diff(ordered) > 0)]
    middles = 0.5 * (distinct[:-1] + distinct[1:])
    # Two neighbouring floats have no middle: the upper one then makes the same cut.
    middles = np.where(middles > distinct[:-1], middles, distinct[1:])
    return np.append(distinct[0], middles)


def _curve(
    candidates: FloatArray, ordered: FloatArray, positives: FloatArray, spread: float = 0.0
) -> Curve:
    num_positive, num_negative = len(positives), len(ordered) - len(positives)
    called = _reaching(ordered, candidates, spread)
    hits = _reaching(positives, candidates, spread)
    unknown = np.full(len(candidates), np.nan)
    return Curve(
        f1=2.0 * hits / (num_positive + called) if num_positive else unknown,
        miss=(num_positive - hits) / num_positive if num_positive else unknown,
        fpr=(called - hits) / num_negative if num_negative else unknown,
    )


def _reaching(
    ordered: FloatArray, candidates: FloatArray, spread: float
) -> FloatArray | NDArray[np.intp]:
    """How many scores reach each candidate; expected, if logits are displaced within ±spread."""
    if not spread:
        return len(ordered) - np.searchsorted(ordered, candidates, side="left")
    levels, cuts = _logit(ordered), _logit(candidates)
    total = np.append(0.0, np.cumsum(levels))
    first = np.searchsorted(levels, cuts - spread)
    last = np.searchsorted(levels, cuts + spread)
    shares = total[last] - total[first] - (last - first) * (cuts - spread)
    return len(levels) - last + shares / (2.0 * spread)


def _logit(probabilities: FloatArray) -> FloatArray:
    inside = np.clip(probabilities, 1e-12, 1.0 - 1e-12)
    return np.log(inside) - np.log1p(-inside)


def _blended(first: Curve, second: Curve, weight: float) -> Curve:
    """Weighted mean of two curves; a side that one set lacks comes from the other."""

    def mix(one: FloatArray, two: FloatArray) -> FloatArray:
        mixed = (1.0 - weight) * one + weight * two
        return np.where(np.isnan(one), two, np.where(np.isnan(two), one, mixed))

    return Curve(mix(first.f1, second.f1), mix(first.miss, second.miss), mix(first.fpr, second.fpr))


def _scores(
    candidates: FloatArray, curve: Curve, miss_ema: float, options: ThresholdOptions
) -> FloatArray:
    recall_gain = options.threshold_recall_gain + options.threshold_recall_gain_slope * miss_ema
    return (
        np.nan_to_num(curve.f1)
        + recall_gain * np.nan_to_num(1.0 - curve.miss)
        - options.threshold_fpr_penalty * np.nan_to_num(curve.fpr)
        - options.threshold_reg * np.abs(candidates - options.threshold_center)
    )


def _violations(curve: Curve, options: ThresholdOptions) -> FloatArray:
    """Summed excess over the two bounds; a side without samples cannot violate its bound."""
    over_miss = np.maximum(0.0, curve.miss - options.threshold_target_miss)
    over_fpr = np.maximum(0.0, curve.fpr - options.threshold_max_fpr)
    return np.nan_to_num(over_miss) + np.nan_to_num(over_fpr)


def _constrained(curve: Curve, scores: FloatArray, violations: FloatArray) -> int:
    feasible = violations == 0.0
    if not feasible.any():
        feasible = _least_violation(curve, violations)
    return int(np.argmax(np.where(feasible, scores, -np.inf)))


def _least_violation(curve: Curve, violations: FloatArray) -> NDArray[np.bool_]:
    """Candidates as near to the bounds as any; calling everything abnormal is the last resort."""
    sensible = ~(curve.fpr >= 1.0)
    if not sensible.any():
        sensible = np.ones_like(sensible)
    return sensible & (violations == violations[sensible].min())


def _min_miss_fpr(curve: Curve, scores: FloatArray, violations: FloatArray) -> int:
    return int(np.argmin(np.nan_to_num(curve.miss) + np.nan_to_num(curve.fpr)))


def _max_f1(curve: Curve, scores: FloatArray, violations: FloatArray) -> int:
    return int(np.argmax(np.nan_to_num(curve.f1)))


_RULES = {"constrained": _constrained, "min_miss_fpr": _min_miss_fpr, "max_f1": _max_f1}


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
