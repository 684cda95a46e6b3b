"""The verdict on one epoch: decision, figures, selection score, and what the policy makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from photonic.decision import Decision
from training.evaluate import choose_decision, cross_entropy, figures, report
from training.metrics import confusion_matrix
from training.policy import PolicyActions, PolicyState, step
from training.policy_kd import TeacherFigures
from training.policy_rules import EpochMetrics
from training.problem import Problem
from training.selection import selection_score

Scored = tuple[np.ndarray, np.ndarray]
"""Logits ``(n, classes)`` and labels ``(n,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one epoch's selection scores say.

    Attributes:
        decision: the decision they call for.
        score: selection score, higher is better.
        loss: mean cross-entropy.
        miss: share of abnormal samples called normal; None where there are none.
        fpr: share of normal samples called abnormal; None where there are none.
        policy: state of the rebalancing policy after the epoch.
        actions: what it wants next, and why.
    """

    decision: Decision
    score: float
    loss: float
    miss: float | None
    fpr: float | None
    policy: PolicyState
    actions: PolicyActions


def judge(problem: Problem, seen: Scored, unseen: Scored | None, policy: PolicyState) -> Verdict:
    """The verdict on an epoch.

    Args:
        problem: classes and rules.
        seen: selection samples that were not learned from.
        unseen: samples of the test records; they take part only where the options say so.
        policy: state of the rebalancing policy before the epoch.
    """
    options, classes = problem.imbalance, problem.classes
    if not options.uses_unseen_records:
        unseen = None
    decision = choose_decision(*seen, classes, options, miss_ema=policy.miss_ema, unseen=unseen)
    loss, _ = cross_entropy(*seen)
    score = selection_score(
        figures(decision, *seen),
        options.selection,
        loss=loss,
        unseen=None if unseen is None else figures(decision, *unseen),
        unseen_loss=None if unseen is None else cross_entropy(*unseen)[0],
    )
    metrics = _policy_metrics(decision, seen)
    if unseen is not None:
        other = _policy_metrics(decision, unseen)
        metrics = replace(metrics, unseen_miss=other.miss, unseen_fpr=other.fpr)
    following, actions = step(policy, metrics, options)
    return Verdict(
        decision=decision,
        score=score,
        loss=loss,
        miss=metrics.miss,
        fpr=metrics.fpr,
        policy=following,
        actions=actions,
    )


def miss_score(verdict: Verdict, fpr_weight: float) -> float:
    """``-(miss + 0.35·FPR)``, by which distillation and its control choose; higher is better."""
    return -((verdict.miss or 0.0) + fpr_weight * (verdict.fpr or 0.0))


def teacher_figures(
    decision: Decision, scored: Scored, learned: Scored | None = None
) -> TeacherFigures:
    """What the gate of distillation looks at: F1 (macro with several classes), miss, FPR.

    Args:
        decision: the model's own.
        scored: selection samples.
        learned: training samples, for the generalisation gap.
    """

    def f1(values: dict[str, Any]) -> float | None:
        return values.get("f1", values["macro_f1"])

    values = scores_to_dict(decision, scored)
    train_f1 = None if learned is None else f1(scores_to_dict(decision, learned))
    return TeacherFigures(f1=f1(values), miss=values["miss"], fpr=values["fpr"], train_f1=train_f1)


def _policy_metrics(decision: Decision, scored: Scored) -> EpochMetrics:
    logits, label = scored
    size = len(decision.classes)

    def metrics_of(called: np.ndarray) -> EpochMetrics:
        confusion = confusion_matrix(label, called, size)
        return EpochMetrics.from_confusion(confusion.tolist(), decision.classes)

    plain = metrics_of(logits.argmax(axis=1))
    return replace(metrics_of(decision(logits)), plain_miss=plain.miss, plain_fpr=plain.fpr)


def scores_to_dict(decision: Decision, scored: Scored) -> dict[str, Any]:
    """Loss, loss per class and every figure of samples, for the log."""
    logits, label = scored
    loss, by_class = cross_entropy(logits, label)
    per_class = dict(zip(decision.classes, by_class, strict=True))
    probs = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return {"loss": loss, "per_class_loss": per_class, **report(decision, probs, label)}


def policy_to_log(verdict: Verdict) -> dict[str, Any]:
    """Score, threshold and policy of a verdict, for the log."""
    return {
        "selection_score": verdict.score,
        "threshold": verdict.decision.threshold,
        "miss_ema": verdict.policy.miss_ema,
        "policy": {
            **asdict(verdict.policy),
            "actions": asdict(verdict.actions),
        },
        "messages": list(verdict.actions.messages),
    }
