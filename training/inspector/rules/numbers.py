"""N1 and N2: NaN and infinities, jumps of the loss."""

from __future__ import annotations

import numpy as np

from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Status, unknown
from training.inspector.log import Curve, Trace
from training.inspector.plan import Plan
from training.inspector.rules.common import epochs_text, paced_curves
from training.inspector.rules.convergence import LOSS


def finite(evidence: Evidence, plan: Plan) -> Finding:
    """N1: no NaN and no infinity, neither in the log nor in saved predictions."""
    limit = "none"
    checks = [
        Check(
            subject=found.name,
            status=Status.FAIL,
            value=str(found.value),
            limit=limit,
            message=f"{found.value} at {found.where}",
            evidence=(found.source,),
        )
        for found in evidence.log.nonfinite
    ]
    diverged = evidence.log.facts.get("event/diverged")
    if diverged is not None and not checks:
        message = "the log says that training diverged"
        checks.append(
            Check(status=Status.FAIL, limit=limit, message=message, evidence=(diverged.source,))
        )
    for subset, predictions in evidence.predictions.items():
        bad = int((~np.isfinite(predictions.probs)).any(axis=1).sum())
        checks.append(
            Check(
                subject=f"predictions on {subset}",
                status=Status.FAIL if bad else Status.OK,
                value=bad,
                limit=limit,
                message=f"{bad} of {len(predictions)} rows are not finite",
                evidence=(predictions.source,),
            )
        )
    if not any(check.status is Status.FAIL for check in checks):
        checks.append(_finite_log(evidence, limit))
    return Finding("N1", tuple(checks))


def _finite_log(evidence: Evidence, limit: str) -> Check:
    loss = next(evidence.log.curves(LOSS), None)
    if loss is None:
        message = "no training loss in the log"
        return Check(subject="log", status=Status.UNKNOWN, limit=limit, message=message)
    return Check(
        subject="log",
        status=Status.OK,
        value=0,
        limit=limit,
        message=f"none in {len(evidence.log.names)} columns of {evidence.log.num_epochs} epochs",
        evidence=loss[1].sources(0, -1),
    )


def jumps(evidence: Evidence, plan: Plan) -> Finding:
    """N2: the loss never jumps by more than half from one epoch to the next."""
    limit = f"at most {plan.N2.max_jump:.0%} up in one epoch"
    curves = paced_curves(evidence.log, LOSS)
    if not curves:
        return unknown("N2", "no training loss in the log", limit=limit)
    return Finding("N2", tuple(_jumped(trace, curve, plan, limit) for trace, curve in curves))


def _jumped(trace: Trace, curve: Curve, plan: Plan, limit: str) -> Check:
    if len(curve) < 2:
        return Check(
            subject=trace.name,
            status=Status.UNKNOWN,
            limit=limit,
            message="one epoch only",
            evidence=curve.sources(0),
        )
    # Near zero a harmless wobble is a large share of the loss, hence the floor.
    scale = np.maximum(np.abs(curve.values[:-1]), plan.N2.floor * abs(curve.values[0]))
    rises = np.diff(curve.values) / np.maximum(scale, 1e-12)
    over = np.flatnonzero(rises > plan.N2.max_jump) + 1
    most = int(rises.argmax()) + 1
    if len(over):
        where = epochs_text([curve.epoch(i) for i in over])
        return Check(
            subject=trace.name,
            status=Status.FAIL,
            value=float(rises.max()),
            limit=limit,
            message=f"the loss jumps by up to {rises.max():.0%} at {where}",
            evidence=curve.sources(most - 1, most),
        )
    return Check(
        subject=trace.name,
        status=Status.OK,
        value=float(rises.max()),
        limit=limit,
        message=f"largest change in one epoch {rises.max():+.1%}, at epoch {curve.epoch(most)}",
        evidence=curve.sources(most - 1, most),
    )
