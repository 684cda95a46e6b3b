"""E2: does the measured figure, with its interval, reach the target and beat the baselines?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import stdtrit

from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Source, Status
from training.inspector.intervals import Interval, bootstrap_interval
from training.inspector.plan import Plan, Target
from training.inspector.rules.evaluation import baseline_rows


def reached(evidence: Evidence, plan: Plan) -> Finding:
    """E2: every target reached, every baseline beaten, with the interval on the right side."""
    checks = [_target(evidence, plan, target) for target in plan.targets]
    if plan.E2.beat_baselines:
        checks += _baselines(evidence, plan)
    return Finding("E2", tuple(checks))


def _target(evidence: Evidence, plan: Plan, target: Target) -> Check:
    subject = f"{target.metric} on {target.subset}"
    limit = f"at least {target.at_least:g}"
    measured = measure(evidence, plan, target.subset, target.metric)
    if measured is None:
        message = f"{target.metric} was not measured on {target.subset}"
        return Check(subject=subject, status=Status.UNKNOWN, limit=limit, message=message)
    interval, source = measured
    bound = target.at_least
    missed = interval.value < bound
    return _judged(subject, interval, bound, limit, "the target", source, failed=missed)


def _baselines(evidence: Evidence, plan: Plan) -> Iterator[Check]:
    domain = "test" if "test" in evidence.predictions else "val"
    metric = _shared_metric(evidence, domain)
    rows = [
        (str(row.get("name", "?")), value)
        for row in baseline_rows(evidence, plan, domain)
        if isinstance(value := _figure(row, metric), float)
    ]
    measured = measure(evidence, plan, domain, metric)
    if not rows or measured is None:
        message = f"no baseline with {metric} on {domain} to compare with"
        yield Check(subject="baselines", status=Status.UNKNOWN, message=message)
        return
    interval, source = measured
    for name, value in rows:
        subject, limit = f"{metric} on {domain} against {name}", f"above {value:.4f}"
        # A target is promised; against a baseline the question is which of the two is better.
        worse = interval.high < value
        yield _judged(subject, interval, value, limit, name, source, failed=worse)


def _figure(row: dict[str, object], metric: str) -> float | None:
    nested = row.get("metrics")
    value = nested.get(metric) if isinstance(nested, dict) else row.get(metric)
    return float(value) if isinstance(value, (int, float)) else None


def _shared_metric(evidence: Evidence, domain: str) -> str:
    predictions = evidence.predictions.get(domain)
    return "f1" if predictions is not None and len(predictions.classes) == 2 else "macro_f1"


def _judged(
    subject: str,
    interval: Interval,
    bound: float,
    limit: str,
    what: str,
    source: Source,
    *,
    failed: bool,
) -> Check:
    known = np.isfinite(interval.low) and np.isfinite(interval.high)
    span = f" [{interval.low:.4f}, {interval.high:.4f}]" if known else ""
    told = f"{interval.value:.4f}{span} ({interval.kind})"
    if failed:
        status, message = Status.FAIL, f"{told} lies below {what}"
    elif interval.low < bound:
        status, message = Status.WARN, f"{told}: not surely above {what}"
    else:
        status, message = Status.OK, told
    return Check(
        subject=subject,
        status=status,
        value=round(interval.value, 4),
        limit=limit,
        message=message,
        evidence=(source,),
    )


def measure(
    evidence: Evidence, plan: Plan, subset: str, metric: str
) -> tuple[Interval, Source] | None:
    """A metric on a subset with its interval: over seeds where there are enough, else over records.

    Returns:
        None where the metric was not measured there.
    """
    level = plan.E2.level
    values = [
        member.figures[subset][metric]
        for member in evidence.group
        if metric in member.figures.get(subset, {})
    ]
    source = _source(evidence, subset)
    if len(values) >= plan.E1.min_seeds and source is not None:
        return _over_seeds(np.asarray(values), level), source
    predictions = evidence.predictions.get(subset)
    if predictions is not None and np.isfinite(predictions.probs).all():
        # One seed for all: the same evidence must give the same finding.
        interval = bootstrap_interval(predictions, metric, level=level, resamples=plan.E2.resamples)
        if interval is not None:
            return interval, predictions.source
    return _stated(evidence, subset, metric)


def _over_seeds(values: np.ndarray, level: float) -> Interval:
    """Mean over seeds and its Student-t interval."""
    mean, spread = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    half = float(stdtrit(len(values) - 1, 0.5 + level / 2.0)) * spread
    return Interval(mean, mean - half, mean + half, f"{level:.0%} over {len(values)} seeds")


def _stated(evidence: Evidence, subset: str, metric: str) -> tuple[Interval, Source] | None:
    """A figure that only stands in an evaluation or in the log: no interval beyond itself."""
    evaluation = evidence.files.evaluations.get(subset)
    value = None if evaluation is None else evaluation.metrics.get(metric)
    if evaluation is not None and isinstance(value, (int, float)):
        return Interval(float(value), -np.inf, np.inf, "interval unknown"), evaluation.source
    for trace in reversed(evidence.log.traces):
        curve = trace.curve(f"{subset}/{metric}")
        if curve is not None:
            last = float(curve.values[-1])
            return Interval(last, -np.inf, np.inf, "interval unknown"), curve.source(-1)
    return None


def _source(evidence: Evidence, subset: str) -> Source | None:
    if subset in evidence.predictions:
        return evidence.predictions[subset].source
    evaluation = evidence.files.evaluations.get(subset)
    return None if evaluation is None else evaluation.source
