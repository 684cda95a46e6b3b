"""The diary of collapses: nine situations, what must happen, and that each test can fail.

Every scenario is a function of option overrides; the meta-test switches its rule off, by an option
or by replacing the one function that holds it, and demands that the scenario then fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from training import advice, policy, policy_kd, policy_rules, rebalancing, selection, thresholds
from training.advice import EpochFigures, advise_after_epoch
from training.metrics import multiclass_metrics
from training.options import ImbalanceOptions, Task
from training.policy import Phase, PolicyActions, PolicyState, start, step
from training.policy_kd import TeacherFigures, judge_teacher, start_kd, step_kd
from training.policy_rules import EpochMetrics
from training.presets import preset_names, resolve
from training.thresholds import sweep_thresholds

NAMES = ("N", "S", "V", "O")
DS1_COUNTS = (45_800, 944, 3_788, 415)
HEALTHY = EpochMetrics(miss=0.1, fpr=0.1)
ALL_POSITIVE = EpochMetrics(miss=0.0, fpr=1.0)
ALL_NEGATIVE = EpochMetrics(miss=1.0, fpr=0.0)
BALANCED = {"use_class_weights": True, "use_weighted_sampler": True}


def drive(
    options: ImbalanceOptions, epochs: list[EpochMetrics]
) -> tuple[list[PolicyState], list[PolicyActions]]:
    """States and actions, from those of epoch 0 to those after the last metrics."""
    state, actions = start(options)
    states, all_actions = [state], [actions]
    for metrics in epochs:
        state, actions = step(state, metrics, options)
        states.append(state)
        all_actions.append(actions)
    return states, all_actions


def said(actions: list[PolicyActions]) -> str:
    return "\n".join(message for one in actions for message in one.messages)


def stacked_weights_and_sampler(**overrides: Any) -> None:
    """1: sampler at power 1.0 and 7× class weights together."""
    asked = {
        "use_class_weights": True,
        "sampler_method": "power",
        "sampler_power": 1.0,
        "class_weight_power": 1.0,
        "class_weight_max_ratio": 7.0,
    }
    plan = rebalancing.plan_rebalancing(
        DS1_COUNTS, NAMES, resolve("four-class", overrides=asked | overrides)
    )
    assert plan.weight_mode == "sqrt", "stacking must be refused unless asked"
    assert max(plan.class_weights) / min(plan.class_weights) == pytest.approx(np.sqrt(7.0))
    assert any("reduced to sqrt" in line and "42.0×" in line for line in plan.messages)
    forced = rebalancing.plan_rebalancing(
        DS1_COUNTS,
        NAMES,
        resolve("four-class", overrides=asked | {"stack_sampler_with_ce": True} | overrides),
    )
    assert forced.weight_mode == "full"
    assert forced.effective_ratio == pytest.approx(42.0)
    assert any(line.startswith("warning: effective weights") for line in forced.messages)


def everything_called_positive(**overrides: Any) -> None:
    """2: FPR 100 %, miss 0 %."""
    options = resolve("binary", preset="full", overrides=BALANCED | {"use_kd": True} | overrides)
    epochs = [HEALTHY] * 12 + [ALL_POSITIVE] + [HEALTHY] * 11
    _, actions = drive(options, epochs)
    assert actions[12].phase is Phase.ACTIVE
    assert actions[12].alpha == 1.0
    after = actions[13:18]
    assert [one.phase for one in after] == [Phase.COOLDOWN] * 5
    assert all(one.alpha == 0.0 and not one.sampler_on and one.kd_paused for one in after)
    assert [one.reset_early_stopping for one in after] == [True] + [False] * 4
    assert "collapse to positive" in said(actions[13:14])
    ramp = actions[18:24]
    assert [one.phase for one in ramp] == [Phase.RAMP] * 5 + [Phase.ACTIVE]
    assert [one.alpha for one in ramp] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert not any(one.kd_paused for one in ramp)


def swing_between_the_sides(**overrides: Any) -> None:
    """3: miss 100 % with FPR 0 %, then FPR 100 % in the next epoch."""
    options = resolve("binary", preset="balanced", overrides=overrides)
    epochs = [HEALTHY] * 12 + [ALL_NEGATIVE, ALL_POSITIVE] + [HEALTHY] * 20
    _, actions = drive(options, epochs)
    assert actions[13].phase is Phase.COOLDOWN
    assert all(one.phase is Phase.LOCKED for one in actions[14:])
    assert all(one.alpha == 0.0 and not one.sampler_on and one.kd_paused for one in actions[14:])
    assert "locked off for good" in said(actions[14:15])


def too_many_misses(**overrides: Any) -> None:
    """4: miss 26 %, FPR 5 % at threshold 0.90."""
    options = resolve("binary", preset="balanced", overrides=overrides)
    missing = EpochMetrics(miss=0.26, fpr=0.05)
    states, actions = drive(options, [HEALTHY] * 12 + [missing] * 5)
    assert not any(state.rescues for state in states[:13])
    assert [state.rescues for state in states[13:]] == [1, 2, 3, 3, 3]
    assert actions[13].weight_scale == pytest.approx(1.2 * actions[12].weight_scale)
    assert actions[13].sampler_boost >= 1.5
    assert "miss 0.26 > 0.15" in said(actions[13:14])
    # At 0.90: miss 26 %, FPR 5 %, the highest F1; at 0.70: miss 8 %, FPR 9 %. A score without a
    # reward for recall would stay at 0.90, so it is the bound that decides.
    positives = np.repeat([0.4, 0.8, 0.95], [8, 18, 74])
    negatives = np.repeat([0.1, 0.75, 0.92], [1820, 80, 100])
    search = resolve("binary", overrides={"threshold_recall_gain": 0.0} | overrides).thresholds
    choice = sweep_thresholds(
        np.concatenate([positives, negatives]), np.repeat([1, 0], [100, 2000]), search
    )
    assert choice.feasible
    assert choice.miss is not None
    assert choice.miss <= 0.10
    assert choice.threshold < 0.90


def no_threshold_is_good_enough(**overrides: Any) -> None:
    """5: no threshold meets both bounds."""
    options = resolve("binary", overrides=overrides).thresholds
    rng = np.random.default_rng(5)
    labels = np.repeat([1, 0], [100, 900])
    scores = np.clip(rng.normal(np.where(labels == 1, 0.55, 0.45), 0.1), 0.0, 1.0)
    choice = sweep_thresholds(scores, labels, options, miss_ema=1.0)
    assert not choice.feasible
    curve = thresholds.threshold_curve(scores, labels, np.linspace(0.0, 1.0, 2001))
    excess = np.maximum(0.0, curve.miss - 0.10) + np.maximum(0.0, curve.fpr - 0.10)
    assert choice.violation == pytest.approx(excess.min(), abs=0.01)
    constant = sweep_thresholds(np.full(1000, 0.5), labels, options)
    for found in (choice, constant):
        assert found.fpr is not None
        assert found.fpr < 1.0, "the false-positive rate must never jump to 100 %"


def weak_teacher(**overrides: Any) -> None:
    """6: the teacher misses more than the student."""
    options = resolve("binary", preset="full", overrides=overrides).distill
    teacher = TeacherFigures(f1=0.80, miss=0.20, fpr=0.02)
    student = TeacherFigures(f1=0.78, miss=0.09, fpr=0.05)
    state, actions = start_kd(judge_teacher(teacher, student, options), options)
    assert any("teacher miss 0.200 is above the student's 0.090" in m for m in actions.messages)
    for _ in range(20):
        state, actions = step_kd(state, 0.1, options)
        assert (actions.beta, actions.gamma, actions.active) == (0.0, 0.0, False)


CONFUSIONS: dict[str, list[list[int]]] = {
    "healthy": [[900, 20, 20, 10], [20, 60, 15, 5], [10, 10, 75, 5], [5, 0, 5, 20]],
    "only S and V": [[0, 500, 450, 0], [0, 60, 40, 0], [0, 20, 80, 0], [0, 10, 20, 0]],
    "only N and O": [[900, 0, 0, 50], [80, 0, 0, 20], [60, 0, 0, 40], [5, 0, 0, 25]],
    "S dead": [[930, 0, 15, 5], [80, 0, 15, 5], [2, 0, 96, 2], [1, 0, 2, 27]],
}


def dead_classes(**overrides: Any) -> None:
    """7: only S and V columns; only N and O; one class at F1 0 while abnormal F1 looks fine."""
    options = resolve("four-class", overrides=overrides)
    figures = {name: multiclass_metrics(matrix, NAMES) for name, matrix in CONFUSIONS.items()}
    healthy = [EpochMetrics.from_confusion(CONFUSIONS["healthy"], NAMES)] * 12

    for name, both in (("only S and V", "S and V"), ("only N and O", "N and O")):
        bad = EpochMetrics.from_confusion(CONFUSIONS[name], NAMES)
        _, actions = drive(options, [*healthy, bad])
        assert actions[-1].phase is Phase.COOLDOWN
        assert f"only {both} are ever predicted" in said(actions[-1:])

    hidden = EpochMetrics.from_confusion(CONFUSIONS["S dead"], NAMES)
    _, actions = drive(options, [*healthy, hidden, hidden, hidden])
    assert "class S: F1 is 0" in said(actions[13:14])
    assert actions[15].phase is Phase.COOLDOWN
    assert "collapse of class S" in said(actions[15:])

    abnormal = figures["S dead"].abnormal_f1
    assert abnormal is not None
    assert abnormal > 0.5, "the abnormal figure looks fine"
    for name in ("only N and O", "S dead"):
        assert selection.rare_term(figures[name]) == 0.0
        drop = selection.four_class_score(figures["healthy"]) - selection.four_class_score(
            figures[name]
        )
        assert drop > 0.25


def alpha_at_the_start(**overrides: Any) -> None:
    """8: a warm-up is configured, yet alpha is 1.0 in epoch 0."""
    for task in Task:
        for preset in preset_names(task):
            for warmup in (0, 1, 5, 30):
                options = resolve(
                    task,
                    preset=preset,
                    overrides={"imbalance_warmup_epochs": warmup, "weight_warmup_epochs": 0}
                    | overrides,
                )
                _, actions = drive(options, [HEALTHY] * max(1, warmup))
                assert actions[0].alpha == 0.0
                assert actions[-1].alpha == 1.0
                assert all(0.0 < one.alpha < 1.0 for one in actions[1:-1])


def silence_of_the_positives(**overrides: Any) -> None:
    """9: 5 % positives, multi-label, nothing called positive for ten epochs."""
    options = resolve("multi-label", overrides=overrides)
    history: list[EpochFigures] = []
    given: dict[int, str] = {}
    codes: set[str] = set()
    for epoch in range(1, 11):
        history.append(EpochFigures(num_predicted_positive=0, num_true_positive=50))
        for piece in advise_after_epoch(history, options, codes):
            codes.add(piece.code)
            given[epoch] = piece.message
    assert list(given) == [5], "reported once, at epoch 5"
    assert "no positive prediction for 5 epochs" in given[5]
    for setting in ("weighted_bce", "per_class", "aggressive", "class_weight_multiplier"):
        assert setting in given[5]
    _, actions = drive(options, [ALL_NEGATIVE] * 10)
    assert not any(one.phase in (Phase.COOLDOWN, Phase.LOCKED) for one in actions)


SCENARIOS: tuple[Callable[..., None], ...] = (
    stacked_weights_and_sampler,
    everything_called_positive,
    swing_between_the_sides,
    too_many_misses,
    no_threshold_is_good_enough,
    weak_teacher,
    dead_classes,
    alpha_at_the_start,
    silence_of_the_positives,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Callable[..., None]) -> None:
    scenario()


Breaker = tuple[Callable[..., None], dict[str, Any], tuple[Any, str, Any] | None]
BREAKERS: dict[str, Breaker] = {
    "1 mild weights beside the sampler": (
        stacked_weights_and_sampler,
        {},
        (rebalancing, "_weights_beside_sampler", lambda full, *_: (full, "full", [])),
    ),
    "1 warning": (stacked_weights_and_sampler, {"effective_weight_warn_ratio": 1e6}, None),
    "2 detection": (everything_called_positive, {"detect_collapse": False}, None),
    "2 binary rule": (
        everything_called_positive,
        {},
        (policy_rules, "binary_collapse", lambda *_: None),
    ),
    "3 lock": (swing_between_the_sides, {"collapse_lock_after": 99}, None),
    "3 negative side": (swing_between_the_sides, {"collapse_to_negative": False}, None),
    "4 rescue": (too_many_misses, {"recall_rescue_limit": 0}, None),
    "4 rescue rule": (too_many_misses, {}, (policy, "rescue_reason", lambda *_: "")),
    "4 miss bound": (too_many_misses, {"threshold_target_miss": 1.0}, None),
    "5 least violation": (
        no_threshold_is_good_enough,
        {},
        (thresholds, "_least_violation", lambda curve, _: np.ones(len(curve.f1), dtype=bool)),
    ),
    "4 plain F1": (too_many_misses, {"threshold_rule": "max_f1"}, None),
    "5 plain F1": (no_threshold_is_good_enough, {"threshold_rule": "max_f1"}, None),
    "6 margin": (weak_teacher, {"kd_teacher_gen_margin": 1.0}, None),
    "6 gate": (weak_teacher, {}, (policy_kd, "teacher_faults", lambda *_: ())),
    "7 class rule": (dead_classes, {}, (policy_rules, "class_collapse", lambda *_: None)),
    "7 flags by name": (dead_classes, {}, (policy, "flag_classes", lambda *_: ())),
    "7 never predicted": (dead_classes, {"collapse_never_predicted_epochs": 99}, None),
    "7 rare term": (
        dead_classes,
        {},
        (selection, "rare_term", lambda metrics: metrics.rare_f1 or 0.0),
    ),
    "8 warm-up": (alpha_at_the_start, {}, (policy, "_alpha", lambda *_: 1.0)),
    "9 wait": (silence_of_the_positives, {"all_negative_epochs": 99}, None),
    "9 rule": (
        silence_of_the_positives,
        {},
        (
            advice,
            "RULES",
            {code: rule for code, rule in advice.RULES.items() if code != "all-negative"},
        ),
    ),
    "9 not a collapse": (silence_of_the_positives, {"collapse_to_negative": True}, None),
}


@pytest.mark.parametrize("name", BREAKERS)
def test_scenario_fails_when_its_rule_is_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, overrides, patch = BREAKERS[name]
    if patch is not None:
        monkeypatch.setattr(*patch)
    with pytest.raises(AssertionError):
        scenario(**overrides)


def test_every_scenario_has_a_breaker() -> None:
    assert {breaker[0] for breaker in BREAKERS.values()} == set(SCENARIOS)
