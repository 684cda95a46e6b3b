"""M1: does the model still tell the classes apart?

A collapsed model calls everything one class, never calls some class, or ranks at chance. Recall
near 1 with a precision near the prevalence is what calling everything one class looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.inspector.evidence import Evidence, IntArray, Predictions
from training.inspector.finding import Check, Finding, Source, Status
from training.inspector.log import Curve, Trace
from training.inspector.plan import M1Limits, Plan
from training.inspector.rules.common import chosen_index, epochs_text
from training.metrics import auroc, confusion_matrix

CALLS = "calls"
RANKING = "ranking"
LIMIT = "every class called, recall and precision beyond the prevalence, AUROC off chance"


def collapse(evidence: Evidence, plan: Plan) -> Finding:
    """M1: calls and ranking of the kept weights; earlier collapsed epochs are a warning."""
    saved = [p for subset, p in evidence.predictions.items() if subset != "train"]
    checks = [check for predictions in saved for check in _saved(predictions, plan.M1)]
    for trace in evidence.log.traces:
        checks += _logged(evidence, plan.M1, trace, "val", final=not saved)
        if not saved:
            checks += _logged(evidence, plan.M1, trace, "test", final=True)
    decided = {check.subject.partition(" ")[0] for check in checks}
    for part, what in ((CALLS, "confusion matrix"), (RANKING, "AUROC")):
        if part not in decided:
            message = f"no {what} logged and no predictions saved of validation or test"
            checks.append(Check(subject=part, status=Status.UNKNOWN, limit=LIMIT, message=message))
    return Finding("M1", tuple(checks))


def _saved(predictions: Predictions, limits: M1Limits) -> Iterator[Check]:
    source = (predictions.source,)
    reasons = []
    if predictions.exclusive:
        truth, called = predictions.truth.argmax(axis=1), predictions.predicted.argmax(axis=1)
        matrix = confusion_matrix(truth, called, len(predictions.classes))
        reasons = collapse_reasons(matrix, predictions.classes, limits)
    else:
        for c, name in enumerate(predictions.classes):
            pair = confusion_matrix(predictions.truth[:, c], predictions.predicted[:, c], 2)
            reasons += collapse_reasons(pair, (f"no {name}", name), limits)
    yield Check(
        subject=f"{CALLS} on {predictions.subset}",
        status=Status.FAIL if reasons else Status.OK,
        limit=LIMIT,
        message="; ".join(reasons) or f"all {len(predictions.classes)} classes are called",
        evidence=source,
    )
    if not np.isfinite(predictions.probs).all():
        return
    # Exclusive classes: the normal one against the rest; else every label on its own.
    scores = (
        [("", 1.0 - predictions.probs[:, 0], ~predictions.truth[:, 0])]
        if predictions.exclusive
        else [
            (f" of {name}", predictions.probs[:, c], predictions.truth[:, c])
            for c, name in enumerate(predictions.classes)
        ]
    )
    for name, score, truth in scores:
        area = auroc(score, truth)
        if area is not None:
            subject = f"{RANKING} on {predictions.subset}{name}"
            yield _ranking(subject, area, limits, "", source)


def _ranking(
    subject: str, area: float, limits: M1Limits, where: str, source: tuple[Source, ...]
) -> Check:
    status, what = Status.OK, "off chance"
    if limits.chance_low <= area <= limits.chance_high:
        status, what = Status.FAIL, "at chance"
    elif area < limits.chance_low:
        status, what = Status.FAIL, "below chance: the ranking is upside down"
    return Check(
        subject=subject,
        status=status,
        value=round(area, 4),
        limit=f"not in [{limits.chance_low:g}, {limits.chance_high:g}]",
        message=f"AUROC {area:.3f}{where}, {what}",
        evidence=source,
    )


def _logged(
    evidence: Evidence, limits: M1Limits, trace: Trace, subset: str, *, final: bool
) -> Iterator[Check]:
    """Checks of one subset in one trace.

    Where the log is all there is (``final``), its kept epoch decides; else saved predictions do,
    and the log only warns of epochs that were collapsed.
    """
    told = f" on {subset}" + (f" ({trace.name})" if trace.name else "")
    confusion = _confusions(trace, subset)
    if confusion is not None:
        curve, matrices = confusion
        kept = chosen_index(evidence, trace, curve)
        names = tuple(f"class {c}" for c in range(matrices.shape[1]))
        names = evidence.files.meta.get("classes") or names
        reasons = [collapse_reasons(matrix, names, limits) for matrix in matrices]
        # At the first epoch a model is not collapsed but not yet trained.
        bad = [i for i, found in enumerate(reasons) if found and (i or kept == 0)]
        if final or bad:
            subject = f"{CALLS}{told}" if final else f"earlier {CALLS}{told}"
            yield _history(subject, curve, bad, kept, reasons, final=final)
    curve = trace.curve(f"{subset}/auroc")
    if curve is not None and final:
        kept = chosen_index(evidence, trace, curve)
        area, where = float(curve.values[kept]), f" at epoch {curve.epoch(kept)}"
        yield _ranking(f"{RANKING}{told}", area, limits, where, curve.sources(kept))


def _history(
    subject: str,
    curve: Curve,
    bad: list[int],
    kept: int,
    reasons: list[list[str]],
    *,
    final: bool,
) -> Check:
    if not bad:
        return Check(
            subject=subject,
            status=Status.OK,
            limit=LIMIT,
            message=f"no collapse in {len(curve)} epochs",
            evidence=curve.sources(kept),
        )
    failed = final and kept in bad
    shown = kept if failed else bad[0]
    where = epochs_text([curve.epoch(i) for i in bad])
    return Check(
        subject=subject,
        status=Status.FAIL if failed else Status.WARN,
        value=len(bad),
        limit=LIMIT,
        message=f"collapsed at {where} of {len(curve)}: {'; '.join(reasons[shown])}",
        evidence=curve.sources(*dict.fromkeys((shown, *bad[:2]))),
    )


def _confusions(trace: Trace, subset: str) -> tuple[Curve, NDArray[np.float64]] | None:
    """Confusion matrices ``(epochs, classes, classes)`` of a subset, with one of their curves."""
    pattern = re.compile(rf"{subset}/confusion/(\d+)/(\d+)")
    cells = {
        (int(found[1]), int(found[2])): name
        for name in trace.names
        if (found := pattern.fullmatch(name))
    }
    size = max((row for row, _ in cells), default=0) + 1
    if size < 2 or len(cells) != size * size:
        return None
    curves = {cell: trace.curve(name) for cell, name in cells.items()}
    first = curves[0, 0]
    assert first is not None
    matrices = np.zeros((len(first), size, size))
    for (row, column), curve in curves.items():
        if curve is None or len(curve) != len(first):
            return None
        matrices[:, row, column] = curve.values
    return first, matrices


def collapse_reasons(
    confusion: IntArray | NDArray[np.float64], classes: Sequence[str], limits: M1Limits
) -> list[str]:
    """What is collapsed in a confusion matrix ``(classes, classes)``, true classes in rows."""
    counts = np.asarray(confusion, dtype=np.float64)
    total = counts.sum()
    if not total:
        return []
    support, called, hits = counts.sum(axis=1), counts.sum(axis=0), np.diagonal(counts)
    reasons = [
        f"class {name} is never called"
        for name, true, predicted in zip(classes, support, called, strict=True)
        if true and not predicted
    ]
    live = [name for name, predicted in zip(classes, called, strict=True) if predicted]
    if len(classes) > 2 and len(live) == 2 and (support > 0).sum() > 2:
        reasons.append(f"only the columns {live[0]} and {live[1]} are live")
    for c, name in enumerate(classes):
        prevalence = support[c] / total
        if not 0.0 < prevalence < 1.0 or not called[c]:
            continue
        recall, precision = hits[c] / support[c], hits[c] / called[c]
        # How far the precision gets from what calling everything would give, towards 1.
        lift = (precision - prevalence) / (1.0 - prevalence)
        if recall >= limits.min_recall and lift < limits.precision_margin:
            reasons.append(
                f"nearly everything is called {name}: recall {recall:.3f}, precision "
                f"{precision:.3f} at a prevalence of {prevalence:.3f}"
            )
    return reasons
