"""The verdict on one epoch: decision, figures, selection score, and what the policy makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from photonic.decision import Decision
from training.evaluate import choose_decision, cross_entropy, figures, report
from training.metrics import confusion_matrix
from training.policy import PolicyActions, PolicyState, step
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
        policy: state of the rebalancing policy after the epoch.
        actions: what it wants next, and why.
    """

    decision: Decision
    score: float
    loss: float
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
        unseen=None if unseen is None else figures(decision, *unseen),
        loss=loss,
    )
    metrics = _policy_metrics(decision, seen)
    if unseen is not None:
        other = _policy_metrics(decision, unseen)
        metrics = replace(metrics, unseen_miss=other.miss, unseen_fpr=other.fpr)
    following, actions = step(policy, metrics, options)
    return Verdict(decision=decision, score=score, loss=loss, policy=following, actions=actions)


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
