from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.errors import DataError
from training.options import DistillOptions
from training.policy_kd import (
    KdActions,
    TeacherFigures,
    TeacherVerdict,
    judge_teacher,
    kd_state_from_dict,
    kd_state_to_dict,
    start_kd,
    step_kd,
)

ON = DistillOptions(use_kd=True)
GOOD = TeacherFigures(f1=0.92, miss=0.03, fpr=0.01)
STUDENT = TeacherFigures(f1=0.85, miss=0.08, fpr=0.04)
PASSED = TeacherVerdict(enabled=True, logit_factor=1.0, reasons=())
MISSES = st.sampled_from([None, 0.0, 0.1, 0.2, 0.25, 0.35, 0.36, 0.9])


def test_a_good_teacher_teaches():
    verdict = judge_teacher(GOOD, STUDENT, ON)
    assert verdict.enabled
    assert verdict.logit_factor == 1.0


@pytest.mark.parametrize(
    ("teacher", "reason"),
    [
        (TeacherFigures(f1=0.4, miss=0.03, fpr=0.01), "F1 0.400 is below 0.5"),
        (TeacherFigures(f1=0.9, miss=0.45, fpr=0.01), "sensitivity 0.550 is below 0.6"),
        (TeacherFigures(f1=0.9, miss=0.09, fpr=0.01), "miss 0.090 is above the student's 0.080"),
        (TeacherFigures(f1=0.9, miss=0.03, fpr=0.05), "FPR 0.050 is above the student's 0.040"),
        (TeacherFigures(f1=None, miss=0.03, fpr=0.05), "not defined"),
    ],
)
def test_a_weak_teacher_is_gated_off_with_the_reason(teacher, reason):
    verdict = judge_teacher(teacher, STUDENT, ON)
    assert not verdict.enabled
    assert any(reason in line for line in verdict.reasons)
    _, actions = start_kd(verdict, ON)
    assert (actions.beta, actions.gamma, actions.active) == (0.0, 0.0, False)
    assert actions.alpha == ON.alpha
    assert actions.messages == verdict.reasons


def test_a_generalisation_gap_halves_the_logit_term_only():
    gap = TeacherFigures(f1=0.90, miss=0.03, fpr=0.01, train_f1=0.98)
    verdict = judge_teacher(gap, STUDENT, ON)
    assert verdict.enabled
    assert "gap is 8.0 points" in verdict.reasons[0]
    state, actions = start_kd(verdict, ON)
    for _ in range(6):
        state, actions = step_kd(state, 0.1, ON)
    assert actions.beta == pytest.approx(0.5 * ON.beta)
    assert actions.gamma == pytest.approx(ON.gamma)


def test_without_kd_nothing_is_said_or_done():
    _, actions = start_kd(judge_teacher(GOOD, STUDENT, DistillOptions()), DistillOptions())
    assert not actions.active
    assert actions.messages == ()


def test_the_warmup_grows_from_zero():
    state, actions = start_kd(PASSED, ON)
    betas = [actions.beta]
    for _ in range(6):
        state, actions = step_kd(state, 0.1, ON)
        betas.append(actions.beta)
    assert betas == pytest.approx([0.5 * min(1.0, i / 5) for i in range(7)])


def test_pause_and_resume_have_a_gap_between_them():
    state, _ = start_kd(PASSED, ON)
    taken = []
    for miss in (0.30, 0.36, 0.30, 0.21, 0.19, 0.30):
        state, actions = step_kd(state, miss, ON)
        taken.append((actions.active, *actions.messages))
    assert [row[0] for row in taken] == [True, False, False, False, True, True]
    assert taken[1][1] == "KD paused: miss 0.36 > 0.35"
    assert taken[4][1] == "KD resumed: miss 0.19 < 0.2"


def test_the_rebalancing_policy_can_hold_kd_without_being_remembered():
    state, _ = start_kd(PASSED, ON)
    state, held = step_kd(state, 0.1, ON, policy_paused=True)
    assert not held.active
    state, free = step_kd(state, 0.1, ON)
    assert free.active


@given(st.lists(MISSES, max_size=20), st.booleans())
def test_a_gated_teacher_never_teaches_and_a_state_survives_json(misses, enabled):
    state, _ = start_kd(
        TeacherVerdict(enabled=enabled, logit_factor=float(enabled), reasons=()), ON
    )
    for miss in misses:
        state, actions = step_kd(state, miss, ON)
        assert enabled or not actions.active
        assert 0.0 <= actions.beta <= ON.beta
        assert kd_state_from_dict(json.loads(json.dumps(kd_state_to_dict(state)))) == state


def test_kd_cannot_touch_sampler_or_class_weights():
    assert {field.name for field in fields(KdActions)} == {
        "alpha", "beta", "gamma", "active", "messages",
    }  # fmt: skip


def test_bad_input_is_refused():
    state, _ = start_kd(PASSED, ON)
    with pytest.raises(DataError, match="miss rate is nan"):
        step_kd(state, float("nan"), ON)
    with pytest.raises(DataError, match="differs in paused"):
        kd_state_from_dict({"epoch": 1, "enabled": True, "logit_factor": 1.0})
