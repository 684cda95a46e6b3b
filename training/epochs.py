"""What an epoch does, and what the log says about what was learned in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from photonic.decision import Decision
from photonic.errors import DataError
from training.judge import Scored, scores_to_dict
from training.loop import Drawing, EpochPlan, EpochStats, Learner
from training.optim import learning_rates
from training.policy import PolicyActions
from training.policy_kd import kd_actions_for
from training.problem import Problem, Progress, Stage
from training.rebalancing import RebalancingPlan, loss_weights, sampling_multipliers

TRAIN_PROBE = 8192
"""About how many training samples are scored after an epoch, for the curves."""
Phase = Literal["choose", "refit"]


class Diverged(DataError):
    """Weights that are no numbers any more; ``record`` is what the log says about it."""

    def __init__(self, message: str, record: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.record = record

    def __reduce__(self) -> tuple[type[Diverged], tuple[str, Mapping[str, Any]]]:
        return type(self), (str(self), self.record)


def plan_epoch(
    problem: Problem,
    rebalancing: RebalancingPlan,
    stage: Stage,
    progress: Progress,
    actions: PolicyActions,
) -> EpochPlan:
    """The next epoch of a stage, as the policy's actions have it."""
    options = problem.imbalance
    kind = rebalancing.sampler_kind if actions.sampler_on else "off"
    drawing: Drawing = "weighted"
    if kind in ("off", "shuffle") and not options.sampler.record_balance:
        drawing = "shuffle"
    elif kind == "balanced_batches":
        drawing = "balanced"
    alpha, beta, gamma = 1.0, 0.0, 0.0
    if progress.kd is not None:
        kd = kd_actions_for(progress.kd, options.distill, policy_paused=actions.kd_paused)
        alpha, beta, gamma = kd.alpha, kd.beta, kd.gamma
    return EpochPlan(
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        epoch=progress.epoch,
        num_epochs=stage.max_epochs,
        schedule=stage.schedule,
        lr=progress.plateau.lr if stage.schedule == "plateau" else stage.lr,
        class_weights=tuple(loss_weights(rebalancing, actions, options).tolist()),
        multipliers=tuple(sampling_multipliers(rebalancing, actions, options).tolist()),
        drawing=drawing,
        begins_after=progress.good_epoch if progress.restores else None,
    )


def check_finite(
    learner: Learner, plan: EpochPlan, stats: EpochStats, *, stage: Stage, phase: Phase
) -> None:
    """Refuse what an epoch made of a learner if it is no numbers any more.

    Raises:
        Diverged: a weight or the loss is not finite.
    """
    broken = learner.parameters.not_finite()
    if broken is None and np.isfinite(stats.loss):
        return
    message = (
        f"training diverged in epoch {plan.epoch} of stage {stage.name}: {broken or 'the loss'} is "
        "not finite any more; lower the learning rate or clip the gradient"
    )
    record = {
        "event": "diverged",
        "phase": phase,
        "stage": stage.name,
        "epoch": plan.epoch,
        "train_loss": stats.loss if np.isfinite(stats.loss) else str(stats.loss),
        "module": broken,
        "message": message,
    }
    raise Diverged(message, record)


def learned_record(
    learner: Learner,
    label: np.ndarray,
    plan: EpochPlan,
    stats: Sequence[EpochStats],
    decision: Decision,
    unseen: Scored | None,
    *,
    stage: Stage,
    phase: Phase,
) -> dict[str, Any]:
    """What the log says about the training side of an epoch, and the trace on test records.

    Args:
        learner: the first of those that learned.
        label: of every sample.
        plan: what the epoch did.
        stats: of every learner.
        decision: what scores are decided by.
        unseen: logits and labels of test samples, where they are traced.
        stage: that the epoch belongs to.
        phase: whether it takes part in choosing.
    """
    probe = learner.index[:: max(1, len(learner.index) // TRAIN_PROBE)].cpu().numpy()
    record: dict[str, Any] = {
        "event": "epoch",
        "phase": phase,
        "stage": stage.name,
        **asdict(plan),
        "lr": learning_rates(plan.schedule, plan.lr, plan.epoch, plan.num_epochs, learner.steps)[
            -1
        ],
        "train_loss": float(np.mean([s.loss for s in stats])),
        "loss_terms": _means([s.loss_terms for s in stats]),
        "grad_norms": dict(stats[0].grad_norms),
        "train": scores_to_dict(decision, (learner.predict(probe), label[probe])),
    }
    if learner.disturbance is not None:
        record["noise_strength"] = learner.disturbance.noise.strength
    if stats[0].adc_overflow is not None:
        record["adc_overflow"] = stats[0].adc_overflow
    if unseen is not None:
        record["generalisation"] = scores_to_dict(decision, unseen)
    return record


def _means(terms: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each term over the learners; nothing where the loss has no named terms."""
    return {name: float(np.mean([one[name] for one in terms])) for name in terms[0]}
