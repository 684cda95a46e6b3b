from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.errors import ConfigError, DataError
from training.options import SamplerOptions, Task
from training.samplers import (
    abnormal_share,
    balanced_indices,
    class_multipliers,
    expected_mix,
    expected_positive_rates,
    multilabel_sample_weights,
    record_weights,
    sampler_kind,
    shuffled_indices,
    weighted_indices,
)

POWER = SamplerOptions(use_weighted_sampler=True)
BOOST = SamplerOptions(use_weighted_sampler=True, sampler_method="boost")
MIX = SamplerOptions(
    use_weighted_sampler=True,
    sampler_method="target_mix",
    target_mix=(0.5, 0.2, 0.2, 0.1),
    sampler_max_ratio=1000.0,
)
COUNTS = st.lists(st.integers(1, 50_000), min_size=2, max_size=5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_target_mix_is_reached_when_the_cap_allows():
    counts = [45_800, 944, 3_788, 415]
    mix = expected_mix(counts, class_multipliers(counts, MIX, "target_mix"))
    np.testing.assert_allclose(mix, MIX.target_mix)


@given(COUNTS, st.floats(0.0, 2.0), st.floats(1.0, 20.0))
def test_power_multipliers_are_capped_and_fair_on_average(counts, power, max_ratio):
    options = POWER.model_copy(update={"sampler_power": power, "sampler_max_ratio": max_ratio})
    multipliers = class_multipliers(counts, options, "power")
    assert multipliers.max() / multipliers.min() <= max_ratio * (1 + 1e-9)
    np.testing.assert_allclose(np.dot(multipliers, counts) / np.sum(counts), 1.0)


@given(COUNTS, st.floats(1.0, 10.0))
def test_a_boost_never_takes_the_abnormal_share_over_its_cap(counts, boost):
    natural = abnormal_share(counts)
    mix = expected_mix(counts, class_multipliers(counts, BOOST, "boost", boost=boost))
    assert 1.0 - mix[0] <= max(0.5, natural) + 1e-9
    assert 1.0 - mix[0] >= natural - 1e-9


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=200),
    st.floats(0.0, 1.0),
)
def test_record_weights_leave_the_class_mix_and_flatten_records_within_a_class(pairs, power):
    label, record = np.array(pairs).T
    weights = record_weights(label, record, power)
    for c in np.unique(label):
        inside = label == c
        assert weights[inside].mean() == pytest.approx(1.0)
        _, number, counts = np.unique(record[inside], return_inverse=True, return_counts=True)
        shares = np.bincount(number, weights[inside])
        expected = counts ** (1.0 - power)
        np.testing.assert_allclose(shares / shares.sum(), expected / expected.sum())


def test_a_small_boost_is_taken_at_its_word():
    multipliers = class_multipliers([900, 100], BOOST, "boost", boost=1.2)
    np.testing.assert_allclose(multipliers[1] / multipliers[0], 1.2)


@pytest.mark.parametrize("kind", ["power", "target_mix"])
def test_strength_blends_the_whole_sampler(kind):
    options = MIX if kind == "target_mix" else POWER
    counts = [800, 100, 80, 20]
    full = class_multipliers(counts, options, kind)
    off = class_multipliers(counts, options, kind, strength=0.0, boost=3.0)
    np.testing.assert_allclose(off, np.ones(4))
    half = class_multipliers(counts, options, kind, strength=0.5)
    np.testing.assert_allclose((half[1] / half[0]) ** 2, full[1] / full[0])


def test_a_class_without_samples_is_never_drawn():
    multipliers = class_multipliers([90, 0, 10], POWER, "power")
    assert multipliers[1] == 0.0
    assert np.isfinite(multipliers).all()


@pytest.mark.parametrize(
    ("counts", "options", "kind"),
    [
        ([900, 100], SamplerOptions(), "off"),
        ([900, 100], BOOST, "boost"),
        ([600, 400], BOOST, "shuffle"),
        ([600, 400], SamplerOptions(force_balanced_batches=True), "balanced_batches"),
        ([550, 450], SamplerOptions(force_balanced_batches=True), "shuffle"),
        ([600, 400], POWER, "power"),
    ],
)
def test_which_sampler_the_data_call_for(counts, options, kind):
    assert sampler_kind(counts, options, Task.BINARY) == kind


def test_balanced_batches_expect_half_and_half():
    counts = [800, 150, 50]
    mix = expected_mix(counts, class_multipliers(counts, POWER, "balanced_batches"))
    np.testing.assert_allclose(mix, [0.5, 0.375, 0.125])


def test_draws_follow_the_weights_and_the_expected_mix():
    counts = np.array([9_000, 800, 200])
    labels = np.repeat([0, 1, 2], counts)
    multipliers = class_multipliers(counts, POWER, "power")
    drawn = weighted_indices(multipliers[labels], 400, 256, generator()).numpy()
    observed = np.bincount(labels[drawn.ravel()], minlength=3) / drawn.size
    np.testing.assert_allclose(observed, expected_mix(counts, multipliers), atol=0.006)


def test_draws_have_the_distribution_of_the_torch_sampler():
    weights = np.random.default_rng(1).random(50) ** 3
    ours = weighted_indices(weights, 2_000, 100, generator(1)).flatten()
    theirs = torch.tensor(
        list(
            torch.utils.data.WeightedRandomSampler(
                weights.tolist(), 200_000, generator=generator(2)
            )
        )
    )
    share = [torch.bincount(drawn, minlength=50) / 200_000 for drawn in (ours, theirs)]
    torch.testing.assert_close(share[0], share[1], atol=0.004, rtol=0.0)


def test_draws_are_reproducible_and_depend_on_the_generator():
    weights = np.arange(1.0, 100.0)
    first, again, other = (weighted_indices(weights, 5, 16, generator(s)) for s in (3, 3, 4))
    assert first.shape == (5, 16)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(st.lists(st.sampled_from([0.0, 0.0, 1e-12, 0.3, 7.0]), min_size=1, max_size=30).filter(any))
@settings(max_examples=50)
def test_a_sample_of_weight_zero_is_never_drawn(weights):
    drawn = weighted_indices(weights, 4, 64, generator()).flatten().numpy()
    assert (np.asarray(weights)[drawn] > 0.0).all()


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [[1.0]]])
def test_bad_sampling_weights_are_refused(weights):
    with pytest.raises(DataError, match="finite, ≥ 0 and not all zero"):
        weighted_indices(weights, 1, 1, generator())


@given(st.integers(1, 50), st.integers(1, 12), st.integers(1, 12))
def test_a_shuffle_uses_every_sample_equally_often(num_samples, steps, batch):
    drawn = shuffled_indices(num_samples, steps, batch, generator())
    assert drawn.shape == (steps, batch)
    times = torch.bincount(drawn.flatten(), minlength=num_samples)
    assert times.max() - times.min() <= 1


@given(st.integers(2, 33), st.integers(1, 6), st.integers(1, 40), st.integers(1, 5))
def test_balanced_batches_are_half_abnormal(batch, steps, num_normal, num_abnormal):
    labels = np.repeat([0, 2], [num_normal, num_abnormal])
    drawn = balanced_indices(labels, steps, batch, generator())
    assert drawn.shape == (steps, batch)
    abnormal = (labels[drawn.numpy()] != 0).sum(axis=1)
    assert (abnormal == batch // 2).all()


@pytest.mark.parametrize(
    ("labels", "batch", "error", "message"),
    [
        ([0, 0], 4, DataError, "no abnormal sample"),
        ([1, 1], 4, DataError, "no normal sample"),
        ([0, 1], 1, ConfigError, "at least 2"),
    ],
)
def test_balanced_batches_refuse_what_they_cannot_do(labels, batch, error, message):
    with pytest.raises(error, match=message):
        balanced_indices(labels, 2, batch, generator())


LABELS = np.array([[1, 0], [1, 1], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [1, 0]])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # n_neg/n_pos is 5/3 for the first label and 7 for the second, which decides row 1.
        ("per_class", np.array([5 / 3, 7, 1, 1, 1, 1, 1, 5 / 3])),
        ("aggressive", np.array([5, 5, 1, 1, 1, 1, 1, 5])),
        (
            "balanced",
            np.where(LABELS == 1, [8 / 6, 8 / 2], [8 / 10, 8 / 14]).mean(axis=1),
        ),
    ],
)
def test_multilabel_row_weights_by_hand(method, expected):
    options = SamplerOptions(weight_method=method, sampler_max_ratio=100.0)
    weights = multilabel_sample_weights(LABELS, options)
    np.testing.assert_allclose(weights, expected / expected.mean())


def test_multilabel_rates_rise_with_the_sampler_and_return_at_strength_zero():
    options = SamplerOptions(weight_method="per_class")
    natural = LABELS.mean(axis=0)
    sampled = expected_positive_rates(LABELS, multilabel_sample_weights(LABELS, options))
    assert (sampled > natural).all()
    off = multilabel_sample_weights(LABELS, options, strength=0.0, boost=2.0)
    np.testing.assert_allclose(expected_positive_rates(LABELS, off), natural)


def test_empty_inputs_are_refused():
    with pytest.raises(DataError, match="no training samples"):
        class_multipliers([0, 0], POWER, "power")
    with pytest.raises(DataError, match="both ≥ 1"):
        multilabel_sample_weights(np.zeros((0, 2)), POWER)
    with pytest.raises(DataError, match="0 samples"):
        shuffled_indices(0, 1, 1, generator())
    with pytest.raises(ConfigError, match="4 shares for 2 classes"):
        class_multipliers([5, 5], MIX, "target_mix")
