from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from photonic.errors import DataError
from training.imbalance import (
    blend,
    class_weights,
    label_matrix,
    positive_weights,
    scale_positive_weights,
    scale_weights,
)
from training.options import WeightOptions

COUNTS = st.lists(st.integers(1, 100_000), min_size=2, max_size=6)
WEIGHTS = hnp.arrays(np.float64, st.integers(2, 6), elements=st.floats(0.05, 20.0))


def test_inverse_square_root_frequency_by_hand():
    weights = class_weights([80, 20], WeightOptions(class_weight_max_ratio=5.0))
    np.testing.assert_allclose(weights[1] / weights[0], 2.0)
    np.testing.assert_allclose(weights.mean(), 1.0)


@given(COUNTS, st.floats(0.0, 2.0), st.floats(1.0, 10.0), st.floats(1.0, 5.0))
def test_class_weights_keep_mean_ratio_and_order(counts, power, max_ratio, clamp):
    options = WeightOptions(
        class_weight_power=power, class_weight_max_ratio=max_ratio, class_weight_clamp=clamp
    )
    weights = class_weights(counts, options)
    np.testing.assert_allclose(weights.mean(), 1.0)
    assert weights.max() / weights.min() <= max_ratio * (1 + 1e-9)
    by_rarity = weights[np.argsort(counts)[::-1]]
    assert (np.diff(by_rarity) >= -1e-12).all()


def test_the_binary_default_clamps_and_caps():
    options = WeightOptions(
        class_weight_abnormal=1.3, class_weight_max_ratio=2.0, class_weight_clamp=2.0
    )
    weights = class_weights([50_000, 1_000], options)
    np.testing.assert_allclose(weights[1] / weights[0], 2.0)
    mild = class_weights([500, 500], options)
    np.testing.assert_allclose(mild[1] / mild[0], 1.3)


def test_a_class_without_samples_does_not_stretch_the_weights():
    options = WeightOptions(class_weight_power=1.0, class_weight_max_ratio=100.0)
    weights = class_weights([90, 0, 10], options)
    np.testing.assert_allclose(weights[1], weights[2])
    assert np.isfinite(weights).all()


@pytest.mark.parametrize(
    ("method", "expected"),
    [("balanced", 10.0), ("inverse", 19.0), ("aggressive", 57.0), ("very_aggressive", 95.0)],
)
def test_positive_weights_by_hand(method, expected):
    labels = np.zeros((100, 1))
    labels[:5] = 1
    options = WeightOptions(class_weight_method=method)
    np.testing.assert_allclose(positive_weights(labels, options), [expected])
    doubled = options.model_copy(update={"class_weight_multiplier": 2.0})
    np.testing.assert_allclose(positive_weights(labels, doubled), [2 * expected])


def test_a_label_without_positives_or_negatives_weighs_one():
    labels = np.array([[0, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(positive_weights(labels, WeightOptions()), [1.0, 1.0, 1.0])


@given(WEIGHTS, st.floats(0.0, 1.0))
def test_blend_is_linear_from_uniform_to_target(target, alpha):
    np.testing.assert_array_equal(blend(target, 0.0), np.ones_like(target))
    np.testing.assert_allclose(blend(target, 1.0), target)
    np.testing.assert_allclose(blend(target, alpha) - 1.0, alpha * (target - 1.0), atol=1e-12)


@given(WEIGHTS, st.floats(0.0, 4.0), st.floats(1.0, 10.0))
def test_scaled_class_weights_stay_positive_within_the_cap(target, scale, max_ratio):
    scaled = scale_weights(target, scale, max_ratio)
    np.testing.assert_allclose(scaled.mean(), 1.0)
    assert scaled.min() > 0.0
    assert scaled.max() / scaled.min() <= max_ratio * (1 + 1e-9)
    np.testing.assert_allclose(scale_weights(target, 0.0, max_ratio), np.ones_like(target))
    wide = target.max() / target.min() + 1.0
    np.testing.assert_allclose(scale_weights(target, 1.0, wide), target / target.mean())


@given(WEIGHTS, st.floats(0.0, 4.0))
def test_scaled_positive_weights_meet_their_ends(target, scale):
    assert (scale_positive_weights(target, scale) > 0.0).all()
    np.testing.assert_allclose(scale_positive_weights(target, 0.0), np.ones_like(target))
    np.testing.assert_allclose(scale_positive_weights(target, 1.0), target)


@pytest.mark.parametrize("counts", [[5], [[1, 2]], [0, 0], [3, -1], [3, np.nan]])
def test_bad_counts_are_refused(counts):
    with pytest.raises(DataError, match="class counts"):
        class_weights(counts, WeightOptions())


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "shape"), (np.zeros((0, 3)), "both ≥ 1"), ([[0, 2]], "other than 0 and 1")],
)
def test_bad_label_matrices_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        label_matrix(labels)
