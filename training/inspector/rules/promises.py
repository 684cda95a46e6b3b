"""P1: is what the plan promises in the implementation, and does it do something?

A component that leaves no trace in the log was not built, or cannot be told from one that was not;
the plan names the trace, so that its absence counts as a failure and not as an oversight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.inspector.evidence import BoolArray, Evidence
from training.inspector.finding import Check, Finding, Source, Status, unknown
from training.inspector.log import Curve, Log, Trace
from training.inspector.names import canonical
from training.inspector.plan import Component, Plan
from training.inspector.rules.common import (
    NEGLIGIBLE,
    component_curves,
    loss_curves,
    nonzero,
    stage_of,
)


def promises(evidence: Evidence, plan: Plan) -> Finding:
    """P1: every promised component is there and active."""
    if not evidence.log.num_epochs:
        return unknown("P1", "no epoch in the log")
    return Finding("P1", tuple(_promise(evidence, part) for part in plan.components))


def _promise(evidence: Evidence, part: Component) -> Check:
    judge: Callable[[Log, Component], Check] = {
        "loss": _loss,
        "module": _module,
        "sampler": _sampler,
        "schedule": _schedule,
        "stage": _stage,
    }[part.kind]
    check = _with_reason(judge(evidence.log, part), evidence.log, part)
    if check.status is Status.FAIL and evidence.unfinished:
        # What has not been switched on yet may still come.
        message = f"{check.message}; training has not finished"
        return replace(check, status=Status.UNKNOWN, message=message)
    return check


def _with_reason(check: Check, log: Log, part: Component) -> Check:
    """A failure with the message of the log that says why, e.g. that a gate switched KD off."""
    if check.status is not Status.FAIL:
        return check
    told = [
        (text, Source(trace.file, line))
        for trace in log.traces
        for texts in trace.words.values()
        for text, line in texts.items()
    ]
    told += [(str(fact.value), fact.source) for fact in log.facts.values()]
    for text, source in told:
        if part.reasons and text.startswith(part.reasons):
            message = f"{check.message}; the log says: {text}"
            return replace(check, message=message, evidence=(*check.evidence, source))
    return check


def _loss(log: Log, part: Component) -> Check:
    return _active(part, loss_curves(log, part), nonzero, "non-zero", "zero")


def _module(log: Log, part: Component) -> Check:
    word = canonical(part.name).replace(" ", "_")
    found = component_curves(log, part, (f"grad/{part.name}", f"grad/{word}"))
    return _active(part, found, nonzero, "gradient non-zero", "zero")


def _schedule(log: Log, part: Component) -> Check:
    found = component_curves(log, part, (canonical(part.name).replace(" ", "_"),))

    def moves(curve: Curve) -> BoolArray:
        return np.abs(curve.values - curve.values[0]) > NEGLIGIBLE

    stuck = f"stuck at {found[0][1].values[0]:g}" if found else ""
    return _active(part, found, moves, "changes over the epochs", stuck)


def _sampler(log: Log, part: Component) -> Check:
    limit = " or ".join(part.expected)
    names = [canonical(name) for name in part.traces] or ["sampler", "drawing", "batch_sampler"]
    seen: dict[str, Source] = {}
    for trace in log.traces:
        for name in names:
            for word, line in trace.words.get(name, {}).items():
                seen.setdefault(word, Source(trace.file, line))
    for name in names:
        fact = log.facts.get(name)
        if fact is not None:
            values = fact.value if isinstance(fact.value, tuple) else (str(fact.value),)
            for value in values:
                seen.setdefault(value, fact.source)
    matching = {word: source for word, source in seen.items() if word in part.expected}
    if matching:
        word, source = next(iter(matching.items()))
        message = f"{word} is used"
        return Check(
            subject=part.name,
            status=Status.OK,
            value=word,
            limit=limit,
            message=message,
            evidence=(source,),
        )
    return Check(
        subject=part.name,
        status=Status.FAIL,
        value=", ".join(seen) or None,
        limit=limit,
        message=f"never used; seen: {', '.join(seen)}" if seen else "no trace of it in the log",
        evidence=tuple(dict.fromkeys(seen.values())),
    )


def _stage(log: Log, part: Component) -> Check:
    wanted = part.expected or (part.name,)
    for trace in log.traces:
        if stage_of(trace) in wanted:
            return Check(
                subject=part.name,
                status=Status.OK,
                value=len(trace),
                limit="at least one epoch",
                message=f"{len(trace)} epochs",
            )
    return Check(
        subject=part.name,
        status=Status.FAIL,
        limit="at least one epoch",
        message=f"no epoch of a stage {' or '.join(wanted)}",
    )


def _active(
    part: Component,
    found: list[tuple[Trace, Curve]],
    active: Callable[[Curve], BoolArray],
    limit: str,
    inert: str,
) -> Check:
    curves = [curve for _, curve in found]
    for curve in curves:
        epochs = np.flatnonzero(active(curve))
        if len(epochs):
            first = int(epochs[0])
            return Check(
                subject=part.name,
                status=Status.OK,
                value=float(curve.values[first]),
                limit=limit,
                message=f"{curve.name} is active in {len(epochs)} of {len(curve)} epochs",
                evidence=curve.sources(first),
            )
    if not curves:
        message = "no trace of it in the log"
        return Check(subject=part.name, status=Status.FAIL, limit=limit, message=message)
    names = ", ".join(dict.fromkeys(curve.name for curve in curves))
    return Check(
        subject=part.name,
        status=Status.FAIL,
        value=float(curves[0].values[0]),
        limit=limit,
        message=f"inert: {names} {inert} in all epochs",
        evidence=curves[0].sources(0, -1),
    )
