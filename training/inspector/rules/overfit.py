"""O1 to O3: warn lines, the gap between training and validation, capacity."""

from __future__ import annotations

import numpy as np

from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Status, unknown
from training.inspector.log import Curve, Trace
from training.inspector.plan import Plan, WarnLine
from training.inspector.rules.common import chosen_index, gap_quantity


def warn_lines(evidence: Evidence, plan: Plan) -> Finding:
    """O1: training figures that the plan calls too good to be true, with the first epoch."""
    checks = []
    for line in plan.warn_lines:
        curves = list(evidence.log.curves(line.metric))
        checks += [_crossed(trace, curve, line) for trace, curve in curves]
        if not curves:
            message = f"{line.metric} is not in the log"
            checks.append(Check(subject=line.metric, status=Status.UNKNOWN, message=message))
    return Finding("O1", tuple(checks))


def _crossed(trace: Trace, curve: Curve, line: WarnLine) -> Check:
    limit = f"at most {line.warn:g}" + (f", severe over {line.severe:g}" if line.severe else "")
    over = np.flatnonzero(curve.values > line.warn)
    subject = f"{curve.name} ({trace.name})" if trace.name else curve.name
    highest = float(curve.values.max())
    if not len(over):
        return Check(
            subject=subject,
            status=Status.OK,
            value=highest,
            limit=limit,
            message=f"{curve.name} reaches {highest:.4f}",
            evidence=curve.sources(int(curve.values.argmax())),
        )
    first = int(over[0])
    severe = np.flatnonzero(curve.values > line.severe) if line.severe is not None else over[:0]
    message = f"{curve.name} over {line.warn:g} from epoch {curve.epoch(first)}"
    if len(severe):
        message += f", severe (over {line.severe:g}) from epoch {curve.epoch(int(severe[0]))}"
    return Check(
        subject=subject,
        status=Status.FAIL if len(severe) else Status.WARN,
        value=highest,
        limit=limit,
        message=message,
        evidence=curve.sources(first, *(int(i) for i in severe[:1])),
    )


def generalisation_gap(evidence: Evidence, plan: Plan) -> Finding:
    """O2: training minus validation, at the epoch whose weights were kept."""
    limit = f"at most {plan.O2.warn:g}; over {plan.O2.fail:g} fails"
    quantity = gap_quantity(evidence.log, plan)
    if quantity is None:
        return unknown("O2", "no metric is logged for both training and validation", limit=limit)
    checks = []
    for trace in evidence.log.traces:
        train, val = trace.curve(f"train/{quantity}"), trace.curve(f"val/{quantity}")
        if train is not None and val is not None:
            checks.append(_gap(evidence, plan, trace, (train, val), limit))
    if not checks:
        missing = f"{quantity} is not logged for both training and validation"
        return unknown("O2", missing, limit=limit)
    return Finding("O2", tuple(checks))


def _gap(
    evidence: Evidence, plan: Plan, trace: Trace, curves: tuple[Curve, Curve], limit: str
) -> Check:
    train, val = curves
    _, at_train, at_val = np.intersect1d(train.epochs, val.epochs, return_indices=True)
    if not len(at_val):
        message = f"{val.name} and {train.name} are logged at different epochs"
        return Check(subject=trace.name, status=Status.UNKNOWN, limit=limit, message=message)
    gaps = train.values[at_train] - val.values[at_val]
    kept = chosen_index(evidence, trace, val)
    place = int(np.flatnonzero(at_val <= kept)[-1]) if (at_val <= kept).any() else 0
    gap = float(gaps[place])
    status = Status.OK if gap <= plan.O2.warn else Status.WARN
    if gap > plan.O2.fail:
        status = Status.FAIL
    i, j = int(at_train[place]), int(at_val[place])
    message = (
        f"{train.name} {train.values[i]:.4f} − {val.name} {val.values[j]:.4f} = {gap:+.4f} "
        f"at epoch {val.epoch(j)}"
    )
    crossed = np.flatnonzero(gaps > plan.O2.warn)
    if len(crossed):
        message += f"; over {plan.O2.warn:g} from epoch {val.epoch(int(at_val[crossed[0]]))}"
    return Check(
        subject=trace.name,
        status=status,
        value=gap,
        limit=limit,
        message=message,
        evidence=tuple(dict.fromkeys((train.source(i), val.source(j)))),
    )


def capacity(evidence: Evidence, plan: Plan) -> Finding:
    """O3: parameters per sample, computed and not taken from a report."""
    limit = f"at most {plan.O3.max_parameters_per_sample:g} parameters per sample"
    parameters = evidence.files.num_parameters or evidence.log.number("num_parameters")
    samples = evidence.log.number("num_train")
    if parameters is None or samples is None or samples[0] <= 0:
        missing = [
            name
            for name, known in (("parameters", parameters), ("training samples", samples))
            if known is None or known[0] <= 0
        ]
        return unknown("O3", f"the number of {' and of '.join(missing)} is not known", limit=limit)
    ratio = parameters[0] / samples[0]
    message = (
        f"{_spaced(parameters[0])} parameters, {_spaced(samples[0])} samples: "
        f"{ratio:.3g} parameters per sample"
    )
    too_many = ratio > plan.O3.max_parameters_per_sample
    stated = plan.O3.stated
    if stated is not None and abs(stated - ratio) > 0.1 * ratio:
        message += f" (stated: {stated:g})"
        too_many = True
    check = Check(
        status=Status.WARN if too_many else Status.OK,
        value=round(ratio, 3 if ratio < 1 else 1),
        limit=limit,
        message=message,
        evidence=tuple(dict.fromkeys((parameters[1], samples[1]))),
    )
    return Finding("O3", (check,))


def _spaced(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")
