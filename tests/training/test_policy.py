from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.errors import DataError
from training.options import ImbalanceOptions, Task
from training.policy import (
    Phase,
    PolicyActions,
    PolicyState,
    actions_for,
    start,
    state_from_dict,
    state_to_dict,
    step,
)
from training.policy_rules import EpochMetrics, class_collapse, find_collapse
from training.presets import preset_names, resolve

NAMES = ("N", "S", "V", "O")
HEALTHY = EpochMetrics(miss=0.1, fpr=0.1)
ALL_POSITIVE = EpochMetrics(miss=0.0, fpr=1.0)
ALL_NEGATIVE = EpochMetrics(miss=1.0, fpr=0.0)
MISSING = EpochMetrics(miss=0.26, fpr=0.05)

SHARE = st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.6, 0.97, 1.0])
CONFUSION = st.lists(
    st.lists(st.sampled_from([0, 0, 3, 50]), min_size=4, max_size=4), min_size=4, max_size=4
)
METRICS = st.builds(
    EpochMetrics, miss=SHARE | st.none(), fpr=SHARE | st.none(), unseen_miss=SHARE, unseen_fpr=SHARE
) | CONFUSION.map(lambda matrix: EpochMetrics.from_confusion(matrix, NAMES))
OPTIONS = st.sampled_from([(task, name) for task in Task for name in preset_names(task)]).flatmap(
    lambda pair: st.builds(
        lambda overrides: resolve(pair[0], preset=pair[1], overrides=overrides),
        st.fixed_dictionaries(
            {
                "imbalance_warmup_epochs": st.integers(0, 4),
                "imbalance_ramp_epochs": st.integers(0, 4),
                "collapse_cooldown_epochs": st.integers(1, 3),
                "collapse_lock_after": st.integers(1, 3),
                "enable_adaptive_reweight": st.booleans(),
                "use_generalization_rescue": st.booleans(),
            }
        ),
    )
)


def run(
    options: ImbalanceOptions, epochs: list[EpochMetrics]
) -> tuple[PolicyState, list[PolicyActions]]:
    state, actions = start(options)
    taken = [actions]
    for metrics in epochs:
        state, actions = step(state, metrics, options)
        taken.append(actions)
    return state, taken


def phases(options: ImbalanceOptions, epochs: list[EpochMetrics]) -> list[Phase]:
    return [actions.phase for actions in run(options, epochs)[1]]


@given(OPTIONS, st.lists(METRICS, max_size=40))
@settings(max_examples=60)
def test_laws_of_the_policy(options, epochs):
    policy = options.policy
    state, actions = start(options)
    assert actions.alpha == 0.0
    for metrics in epochs:
        before = state
        state, actions = step(state, metrics, options)
        assert 0.0 <= actions.alpha <= 1.0
        assert 0.0 <= actions.sampler_strength <= 1.0
        assert actions.sampler_boost >= 1.0
        off = actions.phase in (Phase.COOLDOWN, Phase.LOCKED)
        assert actions.kd_paused == off
        if off:
            assert actions.alpha == 0.0
            assert not actions.sampler_on
        if before.phase is Phase.LOCKED:
            assert state.phase is Phase.LOCKED
        assert state.collapses <= policy.collapse_lock_after
        assert (state.phase is Phase.LOCKED) == (state.collapses == policy.collapse_lock_after)
        assert state.rescues <= policy.recall_rescue_limit
        if state.rescues > before.rescues:
            assert state.phase in (Phase.RAMP, Phase.ACTIVE)
        assert actions.reset_early_stopping == (state.collapses > before.collapses)
        entered = state.phase is not before.phase
        assert not entered or actions.messages, "every change of phase is explained"
        assert not (actions.remember_weights and actions.restore_weights)
        assert actions.reset_early_stopping or not actions.restore_weights
        transient = {"reset_early_stopping": False, "remember_weights": False}
        transient |= {"restore_weights": False, "messages": ()}
        assert actions_for(state, options) == replace(actions, **transient)


@given(OPTIONS, st.lists(METRICS, min_size=1, max_size=20), st.data())
@settings(max_examples=50)
def test_a_state_written_as_json_resumes_the_run(options, epochs, data):
    cut = data.draw(st.integers(0, len(epochs)))
    whole_state, whole_actions = run(options, epochs)
    state, _ = run(options, epochs[:cut])
    state = state_from_dict(json.loads(json.dumps(state_to_dict(state))))
    for index, metrics in enumerate(epochs[cut:], start=cut + 1):
        state, actions = step(state, metrics, options)
        assert actions == whole_actions[index]
    assert state == whole_state


def test_the_plain_course_is_warmup_ramp_active():
    options = resolve("binary", preset="default", overrides={"use_class_weights": True})
    seen = phases(options, [HEALTHY] * 11)
    assert seen == [Phase.WARMUP] * 5 + [Phase.RAMP] * 5 + [Phase.ACTIVE] * 2
    alphas = [actions.alpha for actions in run(options, [HEALTHY] * 6)[1]]
    assert alphas == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_weight_warmup_of_four_classes_runs_on_into_the_ramp():
    options = resolve("four-class")
    actions = run(options, [HEALTHY] * 9)[1]
    assert [one.alpha for one in actions] == pytest.approx([min(1.0, i / 8) for i in range(10)])
    assert actions[5].phase is Phase.RAMP


def test_a_net_that_has_not_started_is_not_a_collapse():
    options = resolve("binary", preset="balanced")
    assert phases(options, [ALL_POSITIVE])[1] is Phase.WARMUP
    assert set(phases(options, [ALL_NEGATIVE] * 5)) == {Phase.WARMUP}
    assert phases(options, [HEALTHY, ALL_NEGATIVE])[2] is Phase.COOLDOWN
    assert phases(options, [ALL_NEGATIVE, ALL_POSITIVE])[2] is Phase.COOLDOWN


def test_one_long_collapse_is_counted_once_and_holds_the_cooldown():
    options = resolve("binary", preset="balanced", overrides={"collapse_cooldown_epochs": 2})
    state, actions = run(options, [HEALTHY] * 3 + [ALL_POSITIVE] * 6)
    assert state.collapses == 1
    assert all(one.phase is Phase.COOLDOWN for one in actions[4:])
    assert "still collapsed" in actions[-1].messages[0]
    _, actions = run(options, [HEALTHY] * 3 + [ALL_POSITIVE] * 6 + [HEALTHY])
    assert actions[-1].phase is Phase.RAMP


def test_a_collapse_goes_back_to_good_weights_but_not_to_none():
    options = resolve("binary", preset="balanced")
    actions = run(options, [HEALTHY, HEALTHY, ALL_NEGATIVE, ALL_NEGATIVE, HEALTHY])[1]
    assert [one.restore_weights for one in actions] == [False] * 3 + [True] + [False] * 2
    assert [one.remember_weights for one in actions] == [False, True, True, False, False, True]
    assert "back to the last good weights" in actions[3].messages[0]
    # Never healthy: pushed to the rare side it begins anew, but a slow net keeps what it has.
    assert run(options, [ALL_NEGATIVE, ALL_POSITIVE])[1][-1].restore_weights
    slow, actions = run(options, [ALL_NEGATIVE] * 20)
    assert slow.collapses == 1
    assert not any(one.restore_weights for one in actions)
    kept = resolve("binary", preset="balanced", overrides={"collapse_restore": False})
    assert not any(one.restore_weights for one in run(kept, [HEALTHY] * 2 + [ALL_NEGATIVE])[1])


def test_after_a_cooldown_there_is_a_ramp_even_where_none_was_asked_for():
    asked = {"imbalance_warmup_epochs": 0, "imbalance_ramp_epochs": 0}
    asked |= {"collapse_cooldown_epochs": 2}
    options = resolve("binary", preset="balanced", overrides=asked)
    actions = run(options, [HEALTHY, ALL_POSITIVE] + [HEALTHY] * 5)[1]
    named = [one.phase.value for one in actions]
    assert named == ["warmup", "active", "cooldown", "cooldown", "ramp", "ramp", "active", "active"]
    assert [one.alpha for one in actions[2:]] == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.0, 1.0])


def test_the_founding_lock_at_the_first_collapse_is_an_option():
    options = resolve("binary", preset="balanced", overrides={"collapse_lock_after": 1})
    assert phases(options, [HEALTHY] * 3 + [ALL_POSITIVE])[-1] is Phase.LOCKED


def test_a_rescue_that_has_nothing_to_strengthen_says_so():
    options = resolve("binary", overrides={"imbalance_warmup_epochs": 0})
    actions = run(options, [MISSING])[1][-1]
    assert any("nothing to strengthen" in message for message in actions.messages)


def test_unseen_records_can_trigger_the_rescue_only_on_request():
    unseen = replace(HEALTHY, unseen_miss=0.4, unseen_fpr=0.05)
    for asked in (False, True):
        options = resolve(
            "binary", preset="balanced", overrides={"use_generalization_rescue": asked}
        )
        state, actions = run(options, [HEALTHY] * 6 + [unseen])
        assert state.rescues == int(asked)
    assert "on unseen records 0.40" in "".join(actions[-1].messages)


def test_the_rescue_stops_at_the_fpr_cap():
    options = resolve("binary", preset="balanced")
    noisy = EpochMetrics(miss=0.26, fpr=0.25)
    assert run(options, [HEALTHY] * 6 + [noisy] * 3)[0].rescues == 0


def test_adaptive_reweighting_grows_smoothly_to_twice_the_base():
    options = resolve(
        "binary", preset="full", overrides={"recall_rescue_limit": 0, "collapse_high": 1.0}
    )
    calm = run(options, [HEALTHY] * 15)[1][-1]
    missing = run(options, [EpochMetrics(miss=0.5, fpr=0.1)] * 60)[1][-1]
    worst = run(options, [EpochMetrics(miss=1.0, fpr=0.2)] * 60)[1][-1]
    assert calm.weight_scale == 1.0
    assert 1.0 < missing.weight_scale < worst.weight_scale
    assert worst.weight_scale == pytest.approx(2.0)
    assert worst.sampler_boost == pytest.approx(2.0 * options.sampler.sampler_abnormal_boost)


def test_strength_zero_leaves_nothing_to_rebalance():
    options = resolve("binary", preset="balanced", strength=0.0)
    actions = run(options, [HEALTHY] * 20)[1][-1]
    assert (actions.weight_scale, actions.sampler_boost) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        ([[95, 0, 1, 0], [9, 0, 0, 0], [9, 0, 1, 0], [9, 0, 0, 0]], "collapse to class N"),
        ([[50, 0, 50, 0], [5, 0, 5, 0], [5, 0, 5, 0], [5, 0, 5, 0]], "only N and V"),
    ],
)
def test_class_collapses_are_named(matrix, reason):
    metrics = EpochMetrics.from_confusion(matrix, NAMES)
    found = class_collapse(metrics, (0, 0, 0, 0), resolve("four-class").policy)
    assert found is not None
    assert found.direction == "common"
    assert reason in found.reason


def test_a_truly_dominant_class_may_be_predicted_as_often_as_it_is_there():
    matrix = [[970, 1, 1, 0], [1, 9, 0, 0], [1, 0, 9, 0], [2, 0, 0, 6]]
    metrics = EpochMetrics.from_confusion(matrix, NAMES)
    assert find_collapse(metrics, (0,) * 4, resolve("four-class").policy) is None


def test_two_present_classes_may_be_the_only_two_predicted():
    matrix = [[90, 0, 5, 0], [0, 0, 0, 0], [2, 0, 8, 0], [0, 0, 0, 0]]
    metrics = EpochMetrics.from_confusion(matrix, NAMES)
    assert find_collapse(metrics, (0,) * 4, resolve("four-class").policy) is None


def test_a_swept_threshold_does_not_hide_a_collapse():
    options = resolve("binary", preset="balanced")
    hidden = EpochMetrics(miss=0.5, fpr=0.5, plain_miss=0.0, plain_fpr=1.0)
    assert phases(options, [HEALTHY, hidden])[-1] is Phase.COOLDOWN
    fine = EpochMetrics(miss=0.0, fpr=1.0, plain_miss=0.1, plain_fpr=0.1)
    assert phases(options, [HEALTHY, fine])[-1] is Phase.WARMUP


def test_flags_are_said_once_while_they_last():
    dead = EpochMetrics.from_confusion(
        [[90, 0, 5, 5], [10, 0, 0, 0], [1, 0, 9, 0], [0, 0, 1, 3]], NAMES
    )
    options = resolve("four-class", overrides={"detect_collapse": False})
    actions = run(options, [dead] * 3)[1]
    said = [sum("class S" in message for message in one.messages) for one in actions]
    assert said == [0, 1, 0, 0]


def test_actions_carry_what_the_loop_needs():
    names = {field.name for field in fields(PolicyActions)}
    assert names >= {
        "alpha", "weight_scale", "sampler_on", "sampler_boost", "kd_paused",
        "reset_early_stopping", "remember_weights", "restore_weights", "messages",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"miss": float("nan")}, "miss is nan"),
        ({"fpr": 1.5}, "fpr is 1.5"),
        ({"confusion": ((1, 0), (0, 1)), "class_names": ("N",)}, "do not match"),
        ({"confusion": ((1, 0),), "class_names": ("N", "A")}, "do not match"),
    ],
)
def test_bad_metrics_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        EpochMetrics(**arguments)


@pytest.mark.parametrize("change", [{"phase": "asleep"}, {"mood": 1}])
def test_a_damaged_state_is_refused(change):
    data = state_to_dict(PolicyState()) | change
    with pytest.raises(DataError, match="start the run again without resuming"):
        state_from_dict(data)
    with pytest.raises(DataError, match="cannot be read"):
        state_from_dict({"epoch": 3})
