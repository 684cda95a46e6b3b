"""N3: the distribution of the outputs: spread of logits, mean probability, calibration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from training.inspector.evidence import Evidence, Predictions
from training.inspector.finding import Check, Finding, Status
from training.inspector.log import Trace
from training.inspector.plan import N3Limits, Plan
from training.inspector.rules.common import chosen_index
from training.metrics_multilabel import expected_calibration_error

PARTS = {
    "logit_std": "spread of logits",
    "mean_p": "mean probability against prevalence",
    "ece": "calibration error",
}


def outputs(evidence: Evidence, plan: Plan) -> Finding:
    """N3: logits that differ, mean probabilities near the prevalence, calibrated."""
    limits = plan.N3
    checks = [
        check
        for subset, predictions in evidence.predictions.items()
        if subset != "train" and np.isfinite(predictions.probs).all()
        for check in _saved(predictions, limits)
    ]
    if not checks:
        checks = [
            check for trace in evidence.log.traces for check in _logged(evidence, limits, trace)
        ]
    seen = {check.subject.partition(" on ")[0] for check in checks}
    for part in PARTS.values():
        if part not in seen:
            message = "neither logged nor in saved predictions of validation or test"
            checks.append(Check(subject=part, status=Status.UNKNOWN, message=message))
    return Finding("N3", tuple(checks))


def _saved(predictions: Predictions, limits: N3Limits) -> Iterator[Check]:
    subset, probs, source = predictions.subset, predictions.probs, (predictions.source,)
    logits = np.log(np.maximum(probs, 1e-30)) if predictions.logits is None else predictions.logits
    if predictions.exclusive:
        # A common offset of all logits says nothing: against the first, as log-odds.
        logits = logits[:, 1:] - logits[:, :1]
    yield _spread(float(logits.std(axis=0).max()), limits, subset, source)
    prevalence = predictions.truth.mean(axis=0)
    support = predictions.truth.sum(axis=0)
    for c, name in enumerate(predictions.classes):
        if min(support[c], len(predictions) - support[c]) >= limits.min_class_support:
            mean = float(probs[:, c].mean())
            yield _mean(mean, float(prevalence[c]), limits, f"{subset}, class {name}", source)
    yield _calibration(_error(predictions), limits, subset, source)


def _logged(evidence: Evidence, limits: N3Limits, trace: Trace) -> Iterator[Check]:
    for subset in ("val", "test"):
        told = f"{subset} ({trace.name})" if trace.name else subset
        curves = {
            name: trace.curve(f"{subset}/{name}")
            for name in ("logit_std", "mean_p", "prevalence", "ece")
        }
        at = {
            name: (float(curve.values[k]), curve.sources(k))
            for name, curve in curves.items()
            if curve is not None
            for k in (chosen_index(evidence, trace, curve),)
        }
        if "logit_std" in at:
            value, source = at["logit_std"]
            yield _spread(value, limits, told, source)
        if {"mean_p", "prevalence"} <= at.keys():
            (mean, source), (prevalence, other) = at["mean_p"], at["prevalence"]
            sources = tuple(dict.fromkeys(source + other))
            yield _mean(mean, prevalence, limits, told, sources)
        if "ece" in at:
            value, source = at["ece"]
            yield _calibration(value, limits, told, source)


def _spread(value: float, limits: N3Limits, where: str, source: tuple) -> Check:
    low = value < limits.min_logit_std
    return Check(
        subject=f"{PARTS['logit_std']} on {where}",
        status=Status.FAIL if low else Status.OK,
        value=round(value, 4),
        limit=f"std of at least {limits.min_logit_std:g}",
        message=f"standard deviation {value:.3g}" + (": outputs are constant" if low else ""),
        evidence=source,
    )


def _mean(mean: float, prevalence: float, limits: N3Limits, where: str, source: tuple) -> Check:
    ratio = max(mean, 1e-12) / max(prevalence, 1e-12)
    off = max(ratio, 1.0 / ratio) > limits.max_prevalence_ratio
    return Check(
        subject=f"{PARTS['mean_p']} on {where}",
        status=Status.WARN if off else Status.OK,
        value=round(ratio, 3),
        limit=f"within a factor of {limits.max_prevalence_ratio:g}",
        message=f"mean probability {mean:.3f} at a prevalence of {prevalence:.3f}",
        evidence=source,
    )


def _calibration(error: float, limits: N3Limits, where: str, source: tuple) -> Check:
    return Check(
        subject=f"{PARTS['ece']} on {where}",
        status=Status.WARN if error > limits.max_ece else Status.OK,
        value=round(error, 4),
        limit=f"ECE of at most {limits.max_ece:g}",
        message=f"expected calibration error {error:.3f}",
        evidence=source,
    )


def _error(predictions: Predictions) -> float:
    """ECE of the probability of being abnormal, or of the class called; of labels, their mean."""
    probs, truth = predictions.probs, predictions.truth
    if predictions.exclusive and len(predictions.classes) == 2:
        probs, truth = probs[:, 1:], truth[:, 1:]
    elif predictions.exclusive:
        top = probs.argmax(axis=1)[:, None]
        probs = np.take_along_axis(probs, top, axis=1)
        truth = np.take_along_axis(truth, top, axis=1)
    return float(expected_calibration_error(probs, truth).mean())
