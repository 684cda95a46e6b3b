from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from photonic.errors import ConfigError, DataError
from training.policy import start
from training.presets import resolve
from training.rebalancing import (
    effective_weights,
    loss_weights,
    plan_multilabel,
    plan_rebalancing,
    sampling_multipliers,
)
from training.samplers import expected_mix

NAMES = ("N", "S", "V", "O")
COUNTS = (45_800, 944, 3_788, 415)


def test_the_four_class_default_states_expected_and_target_mix():
    plan = plan_rebalancing(COUNTS, NAMES, resolve("four-class"))
    assert plan.weight_mode == "sqrt"
    assert plan.sampler_kind == "target_mix"
    assert plan.target_mix == (0.5, 0.2, 0.2, 0.1)
    # The cap of 6 keeps S and O below their target: 3.33 times 1.9 % and 0.8 %.
    np.testing.assert_allclose(plan.expected_mix, (0.634, 0.078, 0.253, 0.034), atol=1e-3)
    assert "expected batch mix N 0.63 S 0.08 V 0.25 O 0.03" in plan.messages
    assert "target batch mix N 0.50 S 0.20 V 0.20 O 0.10" in plan.messages


def test_full_weights_without_a_sampler():
    options = resolve("four-class", overrides={"use_weighted_sampler": False})
    plan = plan_rebalancing(COUNTS, NAMES, options)
    assert (plan.weight_mode, plan.sampler_kind) == ("full", "off")
    np.testing.assert_allclose(max(plan.class_weights) / min(plan.class_weights), 5.0)
    np.testing.assert_allclose(plan.expected_mix, np.array(COUNTS) / sum(COUNTS))


def test_uniform_weights_beside_the_sampler_on_request():
    options = resolve("four-class", overrides={"sampler_class_weights": "uniform"})
    plan = plan_rebalancing(COUNTS, NAMES, options)
    assert plan.weight_mode == "uniform"
    np.testing.assert_array_equal(plan.class_weights, np.ones(4))


def test_effective_weights_by_hand():
    product, ratio = effective_weights([0.5, 3.0], [1.0, 2.0], [80, 20])
    np.testing.assert_allclose(product, np.array([0.5, 6.0]) / (0.8 * 0.5 + 0.2 * 6.0))
    assert ratio == pytest.approx(12.0)


def test_an_absent_class_is_named_and_does_not_count():
    plan = plan_rebalancing((900, 0, 90, 10), NAMES, resolve("four-class"))
    assert "warning: no training sample of S" in plan.messages
    assert plan.expected_mix[1] == 0.0
    assert np.isfinite(plan.effective_ratio)


def test_the_policy_turns_the_plan_into_the_numbers_of_an_epoch():
    options = resolve("four-class")
    plan = plan_rebalancing(COUNTS, NAMES, options)
    _, actions = start(options)
    np.testing.assert_array_equal(loss_weights(plan, actions, options), np.ones(4))
    full = replace(actions, alpha=1.0)
    np.testing.assert_allclose(loss_weights(plan, full, options), plan.class_weights)
    stronger = loss_weights(plan, replace(full, weight_scale=1.2), options)
    assert stronger.max() / stronger.min() > max(plan.class_weights) / min(plan.class_weights)
    mix = expected_mix(COUNTS, sampling_multipliers(plan, actions, options))
    np.testing.assert_allclose(mix, plan.expected_mix)
    off = sampling_multipliers(plan, replace(actions, sampler_on=False), options)
    np.testing.assert_array_equal(off, np.ones(4))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("stacked", [False, True])
def test_what_is_said_of_weights_is_what_an_active_policy_does(strength, stacked):
    overrides = {"stack_sampler_with_ce": stacked}
    options = resolve("four-class", preset="full", strength=strength, overrides=overrides)
    plan = plan_rebalancing(COUNTS, NAMES, options)
    _, actions = start(options)
    active = replace(actions, alpha=1.0)
    np.testing.assert_allclose(loss_weights(plan, active, options), plan.full_class_weights)
    multipliers = sampling_multipliers(plan, active, options)
    np.testing.assert_allclose(multipliers, plan.multipliers)
    expected, ratio = effective_weights(multipliers, plan.full_class_weights, COUNTS)
    np.testing.assert_allclose(plan.effective, expected)
    assert plan.effective_ratio == pytest.approx(ratio)
    assert multipliers.max() / multipliers.min() <= options.sampler.sampler_max_ratio + 1e-9
    if not strength:
        np.testing.assert_allclose(plan.effective, np.ones(4))


def labels_with_rates(*rates: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((4_000, len(rates))) < rates).astype(int)


def test_multilabel_plan_warns_when_weights_and_sampler_pile_up():
    options = resolve("multi-label", preset="aggressive")
    plan = plan_multilabel(labels_with_rates(0.05, 0.15), ("stroke", "asthma"), options)
    assert any(line.startswith("warning: a positive counts up to") for line in plan.messages)
    _, actions = start(options)
    np.testing.assert_array_equal(loss_weights(plan, actions, options), np.ones(2))
    full = replace(actions, alpha=1.0)
    np.testing.assert_allclose(loss_weights(plan, full, options), plan.positive_weights)


def test_multilabel_weights_are_mild_beside_the_sampler():
    labels = labels_with_rates(0.05, 0.15)
    alone = plan_multilabel(
        labels, ("a", "b"), resolve("multi-label", overrides={"loss_type": "weighted_bce"})
    )
    beside = plan_multilabel(labels, ("a", "b"), resolve("multi-label", preset="balanced"))
    np.testing.assert_allclose(beside.positive_weights, np.sqrt(alone.positive_weights))
    assert any("reduced to sqrt" in line for line in beside.messages)
    assert (np.array(beside.expected_rates) > beside.observed_rates).all()


def test_the_multilabel_default_leaves_everything_as_it_is():
    labels = labels_with_rates(0.05, 0.0)
    plan = plan_multilabel(labels, ("a", "b"), resolve("multi-label"))
    assert plan.positive_weights == (1.0, 1.0)
    np.testing.assert_allclose(plan.expected_rates, plan.observed_rates)
    assert "warning: no training positive of b" in plan.messages


def test_mismatched_names_are_refused():
    with pytest.raises(DataError, match="3 class names for 4 class counts"):
        plan_rebalancing(COUNTS, NAMES[:3], resolve("four-class"))
    with pytest.raises(DataError, match="1 label names for 2 labels"):
        plan_multilabel(np.ones((3, 2)), ("a",), resolve("multi-label"))
    with pytest.raises(ConfigError, match="4 shares for 5 classes"):
        plan_rebalancing((*COUNTS, 7), "NSVFQ", resolve("four-class"))
