"""H1: which earlier runs does this one look like, and how did they end?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.inspector.entry import entry_of
from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Status, unknown
from training.inspector.history import Entry
from training.inspector.plan import Plan

GRID = 16
"""Points at which two curves are compared, evenly over their epochs."""


def neighbours(evidence: Evidence, plan: Plan) -> Finding:
    """H1: a close match to a failed run is cited."""
    entry = entry_of(evidence, plan)
    limit = f"no failed run within a distance of {plan.H1.close:g}"
    earlier = [known for known in evidence.history or () if known.id != entry.id]
    if not earlier:
        return unknown("H1", "the history holds no other run", limit=limit)
    distances = {known.id: distance(entry, known) for known in earlier}
    comparable = sorted(
        (known for known in earlier if distances[known.id] is not None),
        key=lambda known: distances[known.id] or 0.0,
    )
    if not comparable:
        return unknown(
            "H1", "no earlier run shares a metric, an option or a component", limit=limit
        )
    nearest = comparable[: plan.H1.neighbours]
    # A failed run that is close is cited even when several good ones are closer.
    failed = [
        known
        for known in comparable
        if known.verdict == "FAIL" and (distances[known.id] or 0.0) <= plan.H1.close
    ]
    shown = {known.id for known in (*failed[:1], *nearest)}
    by_id = {known.id: known for known in comparable}
    return Finding(
        "H1",
        tuple(_cite(entry, by_id[name], distances[name] or 0.0, limit, plan) for name in shown),
    )


def _cite(entry: Entry, known: Entry, apart: float, limit: str, plan: Plan) -> Check:
    failed = known.verdict == "FAIL" and apart <= plan.H1.close
    message = f"run {known.id} ({known.verdict}) at a distance of {apart:.3f}"
    if known.metric == entry.metric and known.curve and entry.curve:
        message += f", {known.metric} {known.curve[-1]:.3f} against {entry.curve[-1]:.3f}"
    if known.note:
        message += f": {known.note}"
    return Check(
        subject=known.id,
        status=Status.WARN if failed else Status.OK,
        value=round(apart, 4),
        limit=limit,
        message=message,
        evidence=() if known.source is None else (known.source,),
    )


def distance(one: Entry, other: Entry) -> float | None:
    """How unlike two runs are, in [0, 1]: the mean over what both say.

    Parts: the metric curve (root mean square difference), the configuration and the promised
    components (share that differs).

    Returns:
        None where they say nothing in common.
    """
    parts = [
        part
        for part in (
            _curve_distance(one, other),
            _share_that_differs(one.config, other.config),
            _share_that_differs(one.components, other.components),
        )
        if part is not None
    ]
    return float(np.mean(parts)) if parts else None


def _curve_distance(one: Entry, other: Entry) -> float | None:
    if one.metric is None or one.metric != other.metric or not one.curve or not other.curve:
        return None
    if min(len(one.curve), len(other.curve)) == 1:
        return min(1.0, abs(one.curve[-1] - other.curve[-1]))
    difference = resampled(one.curve) - resampled(other.curve)
    return min(1.0, float(np.sqrt(np.mean(difference**2))))


def resampled(curve: Sequence[float]) -> np.ndarray:
    """A curve at ``GRID`` places, evenly from its first to its last epoch."""
    places = np.linspace(0.0, len(curve) - 1.0, GRID)
    return np.interp(places, np.arange(len(curve)), curve)


def _share_that_differs(one: Mapping[str, object], other: Mapping[str, object]) -> float | None:
    if not one or not other:
        return None
    names = one.keys() | other.keys()
    return sum(one.get(name) != other.get(name) for name in names) / len(names)
