"""P2: is the quantity that is trained the quantity that predicts? Both, on one probe batch."""

from __future__ import annotations

import numpy as np

from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Source, Status, unknown
from training.inspector.plan import Plan

LIMIT = "bit-equal"


def one_path(evidence: Evidence, plan: Plan) -> Finding:
    """P2: outputs of training and of prediction agree bit for bit on the probe batch."""
    probe = evidence.probe
    if not probe.pairs:
        return unknown("P2", probe.reason or "no probe batch was saved", limit=LIMIT)
    sources = () if probe.source is None else (probe.source,)
    checks = [
        _compare(name, np.asarray(one), np.asarray(other), plan.P2.rounding, sources)
        for name, (one, other) in probe.pairs.items()
    ]
    return Finding("P2", tuple(checks))


def _compare(
    name: str, one: np.ndarray, other: np.ndarray, rounding: float, sources: tuple[Source, ...]
) -> Check:
    if one.shape != other.shape or not one.size:
        message = f"shapes {one.shape} and {other.shape} cannot be compared"
        return Check(
            subject=name, status=Status.FAIL, limit=LIMIT, message=message, evidence=sources
        )
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    same = np.array_equal(one, other)
    # NaN compares as different, and a difference that is NaN is not small.
    largest = float(difference.max())
    if same:
        status, message = Status.OK, f"{len(one)} samples, every bit the same"
    elif largest <= rounding:
        status = Status.WARN
        message = f"{len(one)} samples equal up to rounding (largest difference {largest:.2g})"
    else:
        status = Status.FAIL
        message = f"the two paths differ by up to {largest:.3g} on {len(one)} samples"
    return Check(
        subject=name, status=status, value=largest, limit=LIMIT, message=message, evidence=sources
    )
