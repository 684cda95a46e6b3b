from __future__ import annotations

import pytest

from training.advice import EpochFigures, advise_after_epoch, advise_before_training
from training.presets import resolve
from training.rebalancing import plan_rebalancing

NAMES = ("N", "S", "V", "O")
FOUR = resolve("four-class")
TABLE = resolve("multi-label")


def told(history: list[EpochFigures], options=FOUR, already=()) -> dict[str, str]:
    return {one.code: one.message for one in advise_after_epoch(history, options, already)}


def recalls(normal: float, last: float = 0.5, rare_f1: float = 0.3) -> EpochFigures:
    return EpochFigures(recalls=(normal, 0.5, 0.5, last), rare_f1=rare_f1)


def test_low_expected_shares_are_named_before_training():
    plan = plan_rebalancing((45_800, 944, 3_788, 415), NAMES, FOUR)
    advice = {one.code: one.message for one in advise_before_training(plan, FOUR)}
    assert "S 7.8%" in advice["low-expected-share"]
    assert "raise sampler_power" in advice["low-expected-share"]
    even = plan_rebalancing((500, 200, 200, 100), NAMES, FOUR)
    assert advise_before_training(even, FOUR) == ()


@pytest.mark.parametrize(("max_ratio", "heard"), [(5.0, False), (9.0, True)])
def test_large_class_weights_are_warned_about(max_ratio, heard):
    asked = {
        "use_weighted_sampler": False,
        "class_weight_power": 1.0,
        "class_weight_max_ratio": max_ratio,
    }
    options = resolve("four-class", overrides=asked)
    plan = plan_rebalancing((9_000, 3_000, 3_000, 10), NAMES, options)
    advice = {one.code: one.message for one in advise_before_training(plan, options)}
    assert ("large-class-weight" in advice) == heard
    if heard:
        assert "O 9.0×" in advice["large-class-weight"]


@pytest.mark.parametrize(("epoch", "heard"), [(1, True), (2, True), (3, False)])
def test_low_normal_recall_counts_in_the_first_two_epochs(epoch, heard):
    history = [recalls(0.9)] * (epoch - 1) + [recalls(0.3)]
    advice = told(history)
    assert ("low-normal-recall" in advice) == heard
    if heard:
        assert "sampler_max_ratio to 4-5" in advice["low-normal-recall"]


def test_dead_rare_classes_after_five_epochs():
    dead = recalls(0.9, rare_f1=0.0)
    assert "dead-rare-classes" not in told([dead] * 4)
    message = told([dead] * 5)["dead-rare-classes"]
    assert "class_weight_max_ratio to 8-10" in message
    assert "focal_gamma to 2.5" in message
    assert "dead-rare-classes" not in told([dead] * 4 + [recalls(0.9)])


def test_both_ends_falling():
    falling = [recalls(0.9 - 0.05 * i, 0.6 - 0.05 * i) for i in range(4)]
    assert "0.55/0.18/0.18/0.09" in told(falling)["falling-ends"]
    steady = [recalls(0.9 - 0.05 * i, 0.6) for i in range(4)]
    assert "falling-ends" not in told(steady)
    assert "falling-ends" not in told(falling[:3])


def test_advice_is_given_once():
    dead = [recalls(0.9, rare_f1=0.0)] * 5
    assert "dead-rare-classes" not in told(dead, already={"dead-rare-classes"})


def test_the_next_settings_leave_out_what_is_in_use():
    silent = [EpochFigures(num_predicted_positive=0, num_true_positive=50)] * 5
    first = told(silent, TABLE)["all-negative"]
    assert "loss_type weighted_bce" in first
    strongest = told(silent, resolve("multi-label", preset="very_aggressive"))["all-negative"]
    assert strongest == "no positive prediction for 5 epochs: try class_weight_multiplier 10"
    binary = told(silent, resolve("binary"))["all-negative"]
    assert "use_class_weights, then use_weighted_sampler" in binary


def test_too_many_positives_and_low_precision():
    many = [EpochFigures(num_predicted_positive=200, num_true_positive=50)]
    assert "overfitting to positives" in told(many, TABLE)["overcalling"]
    loose = [EpochFigures(precision=0.1, recall=0.9)]
    assert "raise the thresholds" in told(loose, TABLE)["low-precision"]
    assert told([EpochFigures(precision=0.4, recall=0.9)], TABLE) == {}


def test_an_unstable_loss():
    swinging = [EpochFigures(train_loss=1.0 + 0.3 * (-1) ** i) for i in range(5)]
    assert "learning rate to 5e-4" in told(swinging, TABLE)["unstable-loss"]
    falling = [EpochFigures(train_loss=1.0 / (i + 1)) for i in range(5)]
    assert "unstable-loss" not in told(falling, TABLE)
