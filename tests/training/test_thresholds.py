from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.errors import DataError
from training.metrics import binary_metrics
from training.options import ThresholdOptions
from training.thresholds import per_label_thresholds, sweep_thresholds, threshold_curve

SMALL = ThresholdOptions(threshold_candidates=40)
# Scores on a coarse grid make ties; one value or one label throughout is allowed.
SCORES = st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.52, 0.78, 0.9, 0.95, 1.0]) | st.floats(0, 1)
SAMPLES = st.lists(st.tuples(SCORES, st.integers(0, 1)), min_size=1, max_size=40)
CONSTANT = st.tuples(SCORES, st.lists(st.integers(0, 1), min_size=1, max_size=20)).map(
    lambda pair: [(pair[0], label) for label in pair[1]]
)
BOUNDS = st.sampled_from([0.0, 0.05, 0.1, 0.25, 1.0])


def columns(samples: list) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = zip(*samples, strict=True)
    return np.array(scores, dtype=float), np.array(labels)


def quantile(values: np.ndarray, share: float) -> float:
    """Linear quantile, the long way round."""
    ordered = sorted(values.tolist())
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def figures_at(scores: np.ndarray, labels: np.ndarray, cut: float) -> tuple[float, float, float]:
    """F1, miss and FPR counted sample by sample; 0 where a side is empty."""
    hits = sum(1 for s, y in zip(scores, labels, strict=True) if s >= cut and y)
    alarms = sum(1 for s, y in zip(scores, labels, strict=True) if s >= cut and not y)
    positives, negatives = int(labels.sum()), int((1 - labels).sum())
    f1 = 2.0 * hits / (positives + hits + alarms) if positives else 0.0
    miss = (positives - hits) / positives if positives else 0.0
    return f1, miss, alarms / negatives if negatives else 0.0


def brute_force(
    scores: np.ndarray, labels: np.ndarray, options: ThresholdOptions, miss_ema: float
) -> tuple[float, float]:
    """The constrained choice, one candidate after the other: its score and its violation."""
    half = options.threshold_candidates // 2
    num_quantiles = options.threshold_candidates - half
    low, high = options.threshold_grid_min, options.threshold_grid_max
    cuts = [low + (high - low) * i / (half - 1) for i in range(half)]
    cuts += [quantile(scores, i / (num_quantiles - 1)) for i in range(num_quantiles)]
    rows = []
    for cut in cuts:
        f1, miss, fpr = figures_at(scores, labels, cut)
        over_miss = max(0.0, miss - options.threshold_target_miss)
        over_fpr = max(0.0, fpr - options.threshold_max_fpr)
        gain = options.threshold_recall_gain + options.threshold_recall_gain_slope * miss_ema
        recall = (1.0 - miss) if labels.any() else 0.0
        score = f1 + gain * recall - options.threshold_fpr_penalty * fpr
        score -= options.threshold_reg * abs(cut - options.threshold_center)
        rows.append((score, over_miss + over_fpr, fpr))
    feasible = [row for row in rows if row[1] == 0.0]
    if not feasible:
        sensible = [row for row in rows if row[2] < 1.0] or rows
        least = min(row[1] for row in sensible)
        feasible = [row for row in sensible if row[1] == least]
    best = max(feasible, key=lambda row: row[0])
    return best[0], best[1]


@given(SAMPLES | CONSTANT, BOUNDS, BOUNDS, st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=100)
def test_the_sweep_equals_a_brute_force_search(samples, target_miss, max_fpr, miss_ema):
    scores, labels = columns(samples)
    options = SMALL.model_copy(
        update={"threshold_target_miss": target_miss, "threshold_max_fpr": max_fpr}
    )
    choice = sweep_thresholds(scores, labels, options, miss_ema=miss_ema)
    score, violation = brute_force(scores, labels, options, miss_ema)
    assert choice.score == pytest.approx(score, abs=1e-12)
    assert choice.violation == pytest.approx(violation, abs=1e-12)
    assert choice.feasible == (violation == 0.0)
    figures = figures_at(scores, labels, choice.threshold)
    stated = (choice.f1 or 0.0, choice.miss or 0.0, choice.fpr or 0.0)
    assert stated == pytest.approx(figures)


def test_the_comparison_above_can_fail():
    scores, labels = columns([(0.1, 0), (0.3, 0), (0.52, 1), (0.5, 0), (0.9, 1)])
    other = SMALL.model_copy(update={"threshold_reg": 0.5})
    assert sweep_thresholds(scores, labels, SMALL).score != pytest.approx(
        brute_force(scores, labels, other, 0.0)[0]
    )


@given(SAMPLES)
def test_the_plain_rules_find_the_best_cut_of_all(samples):
    scores, labels = columns(samples)
    cuts = [*np.unique(scores), 2.0]
    table = np.array([figures_at(scores, labels, cut) for cut in cuts])
    best_f1 = sweep_thresholds(scores, labels, ThresholdOptions(threshold_rule="max_f1"))
    assert (best_f1.f1 or 0.0) == pytest.approx(table[:, 0].max())
    balanced = sweep_thresholds(scores, labels, ThresholdOptions(threshold_rule="min_miss_fpr"))
    if 0 < labels.sum() < len(labels):
        total = (balanced.miss or 0.0) + (balanced.fpr or 0.0)
        assert total == pytest.approx((table[:, 1] + table[:, 2]).min())


@given(SAMPLES, st.floats(0.1, 4.0))
def test_a_spread_weighs_what_displaced_logits_would_give(samples, spread):
    scores, labels = columns(samples)
    logits = np.clip(scores, 1e-12, 1 - 1e-12)
    logits = np.log(logits) - np.log1p(-logits)
    displacements = np.linspace(-spread, spread, 4001)

    def expected(threshold):
        cut = np.log(threshold) - np.log1p(-threshold)
        called = (logits[:, None] + displacements >= cut).mean(axis=1)
        miss = 1 - called[labels == 1].mean() if labels.any() else 0.0
        return miss + (called[labels == 0].mean() if not labels.all() else 0.0)

    options = ThresholdOptions(threshold_rule="min_miss_fpr", threshold_spread=spread)
    choice = sweep_thresholds(scores, labels, options)
    distinct = np.unique(scores)
    cuts = [distinct[0], *(distinct[:-1] + distinct[1:]) / 2]
    cuts = np.clip(cuts, 1e-12, 1 - 1e-12)
    assert expected(np.clip(choice.threshold, 1e-12, 1 - 1e-12)) == pytest.approx(
        min(expected(cut) for cut in cuts), abs=2e-3
    )
    assert (choice.f1 or 0.0) == pytest.approx(figures_at(scores, labels, choice.threshold)[0])


def test_a_spread_leaves_a_dent_for_the_middle_of_the_valley():
    """One normal and one abnormal sample far off make a dent; the valley is wide."""
    scores = np.concatenate([np.full(50, 0.02), [0.06], np.full(50, 0.98), [0.055]])
    labels = np.array([0] * 50 + [0] + [1] * 50 + [1])
    plain = ThresholdOptions(threshold_rule="min_miss_fpr")
    wide = plain.model_copy(update={"threshold_spread": 3.0})
    assert sweep_thresholds(scores, labels, plain).threshold < 0.06
    assert 0.2 < sweep_thresholds(scores, labels, wide).threshold < 0.8


@given(SAMPLES, st.lists(SCORES, min_size=1, max_size=20))
def test_the_curve_equals_the_metrics_at_every_candidate(samples, cuts):
    scores, labels = columns(samples)
    curve = threshold_curve(scores, labels, cuts)
    for index, cut in enumerate(cuts):
        expected = binary_metrics(scores, labels, cut)
        for name in ("f1", "miss", "fpr"):
            value, known = getattr(curve, name)[index], getattr(expected, name)
            assert np.isnan(value) if known is None else value == pytest.approx(known)


def overlapping(num: int, gap: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(num) < 0.1).astype(int)
    return np.clip(rng.normal(0.4 + gap * labels, 0.12), 0.0, 1.0), labels


def test_infeasible_bounds_take_the_least_violation_not_the_best_score():
    scores, labels = overlapping(4_000, 0.1, 0)
    options = ThresholdOptions(threshold_recall_gain=50.0)
    choice = sweep_thresholds(scores, labels, options)
    assert not choice.feasible
    grid = threshold_curve(scores, labels, np.linspace(0.0, 1.0, 5_001))
    greedy = np.argmax(50.0 * (1.0 - grid.miss) + grid.f1 - 0.9 * grid.fpr)
    assert grid.fpr[greedy] > 0.9, "the unconstrained maximum would call everything abnormal"
    assert choice.fpr is not None
    assert choice.fpr < 0.6


def test_a_constant_model_is_not_called_abnormal_throughout():
    labels = np.repeat([0, 1], [90, 10])
    for level in (0.2, 0.5, 0.9):
        choice = sweep_thresholds(np.full(100, level), labels, ThresholdOptions())
        assert (choice.fpr, choice.miss) == (0.0, 1.0)
        assert not choice.feasible


def test_a_rising_miss_rate_buys_recall():
    scores, labels = overlapping(4_000, 0.35, 1)
    options = ThresholdOptions(threshold_target_miss=1.0, threshold_max_fpr=1.0)
    calm = sweep_thresholds(scores, labels, options, miss_ema=0.0)
    worried = sweep_thresholds(scores, labels, options, miss_ema=1.0)
    assert (worried.miss or 0.0) < (calm.miss or 0.0)


def test_blending_moves_the_choice_between_the_two_sets():
    near, far = overlapping(3_000, 0.35, 2), overlapping(3_000, 0.35, 3)
    shifted = (np.clip(far[0] + 0.2, 0.0, 1.0), far[1])
    alone = [
        sweep_thresholds(*samples, ThresholdOptions()).threshold for samples in (near, shifted)
    ]
    chosen = []
    for weight in (0.0, 0.35, 1.0):
        options = ThresholdOptions(
            use_blended_thresholds=True, threshold_generalization_weight=weight
        )
        chosen.append(sweep_thresholds(*near, options, unseen=shifted).threshold)
    assert chosen[0] == pytest.approx(alone[0], abs=0.01)
    assert chosen[2] == pytest.approx(alone[1], abs=0.01)
    assert min(alone) <= chosen[1] <= max(alone)


def test_unseen_records_are_ignored_unless_asked_for():
    near = overlapping(500, 0.35, 2)
    plain = sweep_thresholds(*near, ThresholdOptions())
    assert sweep_thresholds(*near, ThresholdOptions(), unseen=([0.1, 0.2], [0, 1])) == plain


@pytest.mark.parametrize("objective", ["f1", "balanced_accuracy"])
def test_one_threshold_per_label_beats_every_other_cut(objective):
    rng = np.random.default_rng(4)
    labels = (rng.random((600, 3)) < [0.05, 0.2, 0.5]).astype(int)
    scores = np.round(np.clip(rng.normal(0.2 + 0.2 * labels, 0.15), 0.0, 1.0), 2)
    options = ThresholdOptions(threshold_objective=objective)
    cuts = per_label_thresholds(scores, labels, options)
    for index in range(3):

        def value(cut: float, index: int = index) -> float:
            f1, miss, fpr = figures_at(scores[:, index], labels[:, index], cut)
            return f1 if objective == "f1" else 1.0 - 0.5 * (miss + fpr)

        best = max(value(cut) for cut in [*np.unique(scores[:, index]), 2.0])
        assert value(float(cuts[index])) == pytest.approx(best)


def test_labels_with_nothing_to_choose_by_keep_one_half():
    scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.2, 0.7]])
    cuts = per_label_thresholds(scores, [[1, 0, 0], [1, 0, 1]], ThresholdOptions())
    assert cuts[0] == cuts[1] == 0.5
    assert 0.2 < cuts[2] <= 0.7
    fixed = ThresholdOptions(optimize_thresholds=False)
    np.testing.assert_array_equal(per_label_thresholds(scores, [[1, 0, 0], [1, 0, 1]], fixed), 0.5)


def test_bad_input_is_one_clear_line():
    options = ThresholdOptions()
    with pytest.raises(DataError, match="same length"):
        sweep_thresholds([], [], options)
    with pytest.raises(DataError, match="1 of 2 probabilities are not finite"):
        sweep_thresholds([0.1, np.nan], [0, 1], options)
    blended = ThresholdOptions(use_blended_thresholds=True)
    with pytest.raises(DataError, match="no unseen records"):
        sweep_thresholds([0.1, 0.2], [0, 1], blended)
    with pytest.raises(DataError, match="expected the same shape"):
        per_label_thresholds(np.ones((2, 1)), np.ones((2, 2)), options)
    with pytest.raises(DataError, match="not finite"):
        per_label_thresholds([[np.nan]], [[1]], options)
