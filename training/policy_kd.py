"""Gating of distillation: a verdict on the teacher before training, and a weight per epoch.

Both are pure. Distillation never touches samplers or class weights: its actions hold nothing but
the weights of the distillation loss. Gated off means beta = gamma = 0: plain cross-entropy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from photonic.errors import DataError
from training.options import DistillOptions

LOGIT_FACTOR_AT_GAP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherFigures:
    """A model at its own swept threshold, on the selection samples.

    ``train_f1`` (teacher only) is the F1 on its training samples: the generalisation gap is
    ``train_f1 - f1``.
    """

    f1: float | None
    miss: float | None
    fpr: float | None
    train_f1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherVerdict:
    """Whether the teacher may teach, the factor on its logit term, and why."""

    enabled: bool
    logit_factor: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KdState:
    """What the gate remembers: epochs trained, the verdict, and whether KD is paused."""

    epoch: int = 0
    enabled: bool = False
    logit_factor: float = 1.0
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KdActions:
    """Weights of the loss terms in the next epoch, and messages saying why they changed."""

    alpha: float
    beta: float
    gamma: float
    active: bool
    messages: tuple[str, ...] = ()


def judge_teacher(
    teacher: TeacherFigures, student: TeacherFigures, options: DistillOptions
) -> TeacherVerdict:
    """Whether the teacher is good enough to teach this student.

    Off when its F1 or sensitivity is below the floor, when a figure is unknown, or when its miss or
    FPR on the selection records exceeds the student's baseline by more than
    ``kd_teacher_gen_margin``. A generalisation gap over ``kd_teacher_max_gap`` halves the logit
    weight.

    Args:
        teacher: the teacher at its own threshold.
        student: the student trained without KD, at its own threshold, on the same samples.
        options: the distillation group.
    """
    if not options.use_kd:
        return TeacherVerdict(enabled=False, logit_factor=0.0, reasons=())
    if teacher.f1 is None or teacher.miss is None or teacher.fpr is None:
        reason = "KD off: the teacher's F1, miss or FPR is not defined on the selection samples"
        return TeacherVerdict(enabled=False, logit_factor=0.0, reasons=(reason,))
    reasons = teacher_faults(teacher, student, options)
    if reasons:
        return TeacherVerdict(enabled=False, logit_factor=0.0, reasons=reasons)
    if teacher.train_f1 is not None and teacher.train_f1 - teacher.f1 > options.kd_teacher_max_gap:
        gap = 100.0 * (teacher.train_f1 - teacher.f1)
        reason = (
            f"KD logit weight halved: the teacher's generalisation gap is {gap:.1f} points of F1, "
            f"over {100.0 * options.kd_teacher_max_gap:g}"
        )
        return TeacherVerdict(enabled=True, logit_factor=LOGIT_FACTOR_AT_GAP, reasons=(reason,))
    return TeacherVerdict(enabled=True, logit_factor=1.0, reasons=("KD on: the teacher passed",))


def teacher_faults(
    teacher: TeacherFigures, student: TeacherFigures, options: DistillOptions
) -> tuple[str, ...]:
    """Every reason to keep this teacher from teaching, in words."""
    faults = []
    f1, miss, fpr = teacher.f1, teacher.miss, teacher.fpr
    if f1 is not None and f1 < options.teacher_min_f1:
        faults.append(f"KD off: teacher F1 {f1:.3f} is below {options.teacher_min_f1:g}")
    if miss is not None and 1.0 - miss < options.teacher_min_sensitivity:
        faults.append(
            f"KD off: teacher sensitivity {1.0 - miss:.3f} is below "
            f"{options.teacher_min_sensitivity:g}"
        )
    margin = options.kd_teacher_gen_margin
    for name, own, base in (("miss", miss, student.miss), ("FPR", fpr, student.fpr)):
        if own is not None and base is not None and own > base + margin:
            faults.append(
                f"KD off: teacher {name} {own:.3f} is above the student's {base:.3f} "
                f"(margin {margin:g})"
            )
    return tuple(faults)


def start_kd(verdict: TeacherVerdict, options: DistillOptions) -> tuple[KdState, KdActions]:
    """State before the first epoch and the weights of epoch 0 (beta = gamma = 0 in the warm-up)."""
    state = KdState(enabled=verdict.enabled, logit_factor=verdict.logit_factor)
    return state, kd_actions_for(state, options, messages=verdict.reasons)


def step_kd(
    state: KdState, miss: float | None, options: DistillOptions, *, policy_paused: bool = False
) -> tuple[KdState, KdActions]:
    """One transition.

    Args:
        state: from ``start_kd`` or the last ``step_kd``.
        miss: validation miss rate of the epoch just trained; None changes nothing.
        options: the distillation group.
        policy_paused: ``kd_paused`` of the rebalancing policy's actions for the next epoch (a
            cool-down or a lock); it only reads through and is not remembered here.

    Returns:
        The new state and the loss weights of the next epoch.

    Raises:
        DataError: a miss rate outside [0, 1].
    """
    if miss is not None and not 0.0 <= miss <= 1.0:
        raise DataError(f"miss rate is {miss}: expected a share in [0, 1]")
    paused, messages = state.paused, []
    if miss is not None and state.enabled:
        paused = next_pause(state.paused, miss, options)
        if paused and not state.paused:
            messages.append(f"KD paused: miss {miss:.2f} > {options.kd_pause_miss:g}")
        elif state.paused and not paused:
            messages.append(f"KD resumed: miss {miss:.2f} < {options.kd_resume_miss:g}")
    following = replace(state, epoch=state.epoch + 1, paused=paused)
    return following, kd_actions_for(
        following, options, policy_paused=policy_paused, messages=tuple(messages)
    )


def next_pause(paused: bool, miss: float, options: DistillOptions) -> bool:
    """Pause above ``kd_pause_miss``, resume below ``kd_resume_miss``, else stay."""
    if paused:
        return not miss < options.kd_resume_miss
    return miss > options.kd_pause_miss


def kd_actions_for(
    state: KdState,
    options: DistillOptions,
    *,
    policy_paused: bool = False,
    messages: tuple[str, ...] = (),
) -> KdActions:
    """Loss weights that a state asks for: beta and gamma grow linearly over the KD warm-up."""
    off = not state.enabled or state.paused or policy_paused
    warm = min(1.0, state.epoch / options.kd_warmup_epochs) if options.kd_warmup_epochs else 1.0
    factor = 0.0 if off else warm
    beta, gamma = options.beta * state.logit_factor * factor, options.gamma * factor
    return KdActions(
        alpha=options.alpha, beta=beta, gamma=gamma, active=beta + gamma > 0.0, messages=messages
    )


def kd_state_to_dict(state: KdState) -> dict[str, Any]:
    """JSON-ready form of a state, for resuming."""
    return asdict(state)


def kd_state_from_dict(data: Mapping[str, Any]) -> KdState:
    """Inverse of ``kd_state_to_dict``.

    Raises:
        DataError: missing or unknown fields.
    """
    missing = set(asdict(KdState())) ^ set(data)
    if missing:
        raise DataError(
            f"saved KD state differs in {', '.join(sorted(missing))}: "
            "start the run again without resuming"
        )
    return KdState(**data)
