"""C1 to C3: convergence of the loss, pace of the metric, gradients of the modules."""

from __future__ import annotations

import numpy as np

from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Status, unknown
from training.inspector.log import Curve, Trace
from training.inspector.plan import Plan
from training.inspector.rules.common import (
    epochs_text,
    judged_metric,
    loss_curves,
    nonzero,
    paced_curves,
    stage_of,
)

LOSS = "train/loss"


def convergence(evidence: Evidence, plan: Plan) -> Finding:
    """C1: the final loss lies below the first, and no epoch rises above the lowest so far."""
    tolerance = plan.C1.tolerance
    limit = f"final below first, never more than {tolerance:.0%} above the lowest so far"
    broken = [found for found in evidence.log.nonfinite if found.name == LOSS]
    if broken:
        first = broken[0]
        check = Check(
            status=Status.FAIL,
            value=str(first.value),
            limit=limit,
            message=f"the training loss is {first.value} at {first.where}",
            evidence=(first.source,),
        )
        return Finding("C1", (check,))
    curves = paced_curves(evidence.log, LOSS)
    if not curves:
        return unknown("C1", "no training loss in the log", limit=limit)
    first_stage = stage_of(curves[0][0])
    checks = [
        # A later stage tunes what has converged: it must not lose it, it need not gain.
        _converged(trace, curve, tolerance, limit, tuned=stage_of(trace) != first_stage)
        for trace, curve in curves
    ]
    kept, last = evidence.files.meta.get("epoch"), max(c.epochs.max() for _, c in curves)
    if isinstance(kept, int) and last < kept:
        message = f"the log ends at epoch {last:g}, before epoch {kept} whose weights were kept"
        checks.append(Check(subject="log", status=Status.UNKNOWN, limit=limit, message=message))
    return Finding("C1", tuple(checks))


def _converged(trace: Trace, curve: Curve, tolerance: float, limit: str, *, tuned: bool) -> Check:
    values = curve.values
    first, last = float(values[0]), float(values[-1])
    if len(values) < 2:
        return Check(
            subject=trace.name,
            status=Status.UNKNOWN,
            value=last,
            limit=limit,
            message="one epoch only",
            evidence=curve.sources(0),
        )
    allowed = first + tolerance * abs(first) if tuned else first
    if last > allowed or (last == first and not tuned):
        return Check(
            subject=trace.name,
            status=Status.FAIL,
            value=last,
            limit=limit,
            message=f"loss {first:.4g} at the first epoch, {last:.4g} at the last: it did not fall",
            evidence=curve.sources(0, -1),
        )
    lowest = np.minimum.accumulate(values)[:-1]
    risen = np.flatnonzero(values[1:] - lowest > tolerance * np.abs(lowest)) + 1
    if len(risen):
        where = epochs_text([curve.epoch(i) for i in risen])
        return Check(
            subject=trace.name,
            status=Status.WARN,
            value=float(((values[1:] - lowest) / np.maximum(np.abs(lowest), 1e-12)).max()),
            limit=limit,
            message=f"loss {first:.4g} → {last:.4g}, but over its lowest so far at {where}",
            evidence=curve.sources(*(int(i) for i in risen[:3])),
        )
    return Check(
        subject=trace.name,
        status=Status.OK,
        value=last,
        limit=limit,
        message=f"loss {first:.4g} → {last:.4g} over {len(values)} epochs",
        evidence=curve.sources(0, -1),
    )


def efficiency(evidence: Evidence, plan: Plan) -> Finding:
    """C2: the metric gains neither too little nor suspiciously much per epoch."""
    low, high = plan.C2.min_gain, plan.C2.max_gain
    limit = f"gain per epoch of at least {low:g} on average and at most {high:g} in any epoch"
    metric = judged_metric(evidence.log, plan)
    curves = [] if metric is None else paced_curves(evidence.log, metric)
    if metric is None or not curves:
        named = f"{metric} is not in the log" if metric else "no metric in the log"
        return unknown("C2", named, limit=limit)
    return Finding(
        "C2", tuple(_efficient(trace, curve, low, high, limit) for trace, curve in curves)
    )


def _efficient(trace: Trace, curve: Curve, low: float, high: float, limit: str) -> Check:
    if len(curve) < 2:
        return Check(
            subject=trace.name,
            status=Status.UNKNOWN,
            limit=limit,
            message=f"{curve.name} of one epoch only",
            evidence=curve.sources(0),
        )
    gains = np.diff(curve.values) / np.maximum(np.diff(curve.epochs), 1e-12)
    fast = np.flatnonzero(gains > high) + 1
    best = int(curve.values.argmax())
    # Up to the best epoch only: a plateau behind it is what early stopping waits for.
    mean = float(gains[: max(best, 1)].mean())
    saturated = float(curve.values[0]) > 1.0 - high
    if len(fast):
        where = epochs_text([curve.epoch(i) for i in fast])
        return Check(
            subject=trace.name,
            status=Status.WARN,
            value=float(gains.max()),
            limit=limit,
            message=f"suspiciously fast: {curve.name} gains up to {gains.max():.4f} at {where}",
            evidence=curve.sources(*(int(i) for i in fast[:3])),
        )
    if mean < low and not saturated:
        return Check(
            subject=trace.name,
            status=Status.WARN,
            value=mean,
            limit=limit,
            message=f"stalled: {curve.name} gains {mean:.5f} per epoch on average",
            evidence=curve.sources(0, best),
        )
    return Check(
        subject=trace.name,
        status=Status.OK,
        value=mean,
        limit=limit,
        message=f"{curve.name} gains {mean:.4f} per epoch on average",
        evidence=curve.sources(0, best),
    )


def gradients(evidence: Evidence, plan: Plan) -> Finding:
    """C3: the gradient norm of every module stays within bounds."""
    low, high = plan.C3.min_norm, plan.C3.max_norm
    limit = f"{low:g} < norm < {high:g}"
    names = [name for name in evidence.log.names if name.startswith("grad/")]
    if not names:
        return unknown("C3", "no gradient norm in the log", limit=limit)
    checks = [
        _gradient(trace, used, low, high, limit)
        for name in names
        for trace, curve in evidence.log.curves(name)
        if len(used := _while_trained(evidence, plan, trace, curve))
    ]
    return Finding("C3", tuple(checks))


def _while_trained(evidence: Evidence, plan: Plan, trace: Trace, curve: Curve) -> Curve:
    """The part of a gradient's curve in which the loss term that trains the module is on.

    A module of a term that is off has no gradient, rightly. That a promised term was never on is
    P1's finding.
    """
    module = curve.name.removeprefix("grad/")
    terms = [part for part in plan.components if module in part.modules]
    if not terms:
        return curve
    on = [
        term.epochs[nonzero(term)]
        for part in terms
        for where, term in loss_curves(evidence.log, part)
        if where is trace
    ]
    return curve.at(np.isin(curve.epochs, np.concatenate([*on, []])))


def _gradient(trace: Trace, curve: Curve, low: float, high: float, limit: str) -> Check:
    module = curve.name.removeprefix("grad/")
    subject = f"{module} ({trace.name})" if trace.name else module
    outside = np.flatnonzero((curve.values <= low) | (curve.values >= high))
    if not len(outside):
        return Check(
            subject=subject,
            status=Status.OK,
            value=float(np.median(curve.values)),
            limit=limit,
            message=f"norm between {curve.values.min():.3g} and {curve.values.max():.3g}",
            evidence=curve.sources(0, -1),
        )
    worst = int(outside[0])
    what = "vanishes" if curve.values[worst] <= low else "explodes"
    # A lone epoch may be clipped or sit at a plateau; half of them is how the module is trained.
    status = Status.FAIL if 2 * len(outside) >= len(curve) else Status.WARN
    where = epochs_text([curve.epoch(i) for i in outside])
    return Check(
        subject=subject,
        status=status,
        value=float(curve.values[worst]),
        limit=limit,
        message=f"gradient {what} ({curve.values[worst]:.3g}) at {where} of {len(curve)}",
        evidence=curve.sources(*(int(i) for i in outside[:3])),
    )
