"""What several rules need: which curve is judged, at which epoch, and how a trace is called."""

from __future__ import annotations

import re

import numpy as np

from training.inspector.evidence import BoolArray, Evidence
from training.inspector.log import Curve, Log, Trace
from training.inspector.names import canonical, quantity_of
from training.inspector.plan import Component, Plan

PREFERENCE = ("auroc", "auprc", "macro_f1", "f1", "accuracy")
"""Which metric is judged where the plan names none. Ranking first, as it needs no threshold, and
AUROC before AUPRC, which falls with the prevalence and would see a gap between unlike patients."""

NEGLIGIBLE = 1e-12


def judged_metric(log: Log, plan: Plan) -> str | None:
    """The curve that C2 and H1 judge: the plan's, else the first known one, validation first."""
    if plan.metric is not None:
        return plan.metric
    names = set(log.names)
    known = (f"{subset}/{name}" for subset in ("val", "train") for name in PREFERENCE)
    return next((name for name in known if name in names), None)


def gap_quantity(log: Log, plan: Plan) -> str | None:
    """The metric whose training and validation values O2 compares."""
    if plan.metric is not None:
        return quantity_of(plan.metric)
    names = set(log.names)
    both = (name for name in PREFERENCE if {f"train/{name}", f"val/{name}"} <= names)
    return next(both, None)


def chosen_index(evidence: Evidence, trace: Trace, curve: Curve) -> int:
    """The value of the epoch whose weights were kept, where that is known, else the last one."""
    kept, stages = evidence.files.meta.get("epoch"), evidence.files.meta.get("stages") or [""]
    if kept is not None and str(stages[-1]) in trace.name:
        found = np.flatnonzero(curve.epochs == kept)
        if len(found):
            return int(found[0])
    return len(curve) - 1


def paced_curves(log: Log, name: str) -> list[tuple[Trace, Curve]]:
    """The traces in which a column can be followed over epochs.

    A refit on all selection samples replays the epochs up to the chosen one, which may be the
    first: what that one epoch cannot show, the epochs that chose it do.
    """
    curves = list(log.curves(name))
    followed = [(t, c) for t, c in curves if len(c) > 1 or "phase refit" not in t.name]
    return followed or curves


def component_curves(
    log: Log, part: Component, defaults: tuple[str, ...]
) -> list[tuple[Trace, Curve]]:
    """Curves under the names that the plan gives, or that follow from the component's."""
    wanted = [canonical(name) for name in part.traces] or list(defaults)
    wanted += [f"train/{name}" for name in wanted]
    names = [
        name
        for name in log.names
        if name in wanted or name.rpartition("/")[0] in wanted or name in part.traces
    ]
    return [found for name in names for found in log.curves(name)]


def loss_curves(log: Log, part: Component) -> list[tuple[Trace, Curve]]:
    """The curves of a promised loss term."""
    word = canonical(part.name.removesuffix(" loss")).replace(" ", "_")
    return component_curves(log, part, (f"term/{word}", f"{word}_loss", f"loss_{word}", word))


def nonzero(curve: Curve) -> BoolArray:
    """In which epochs something does anything at all ``(n,)``."""
    return np.abs(curve.values) > NEGLIGIBLE


def stage_of(trace: Trace) -> str:
    """The stage in a trace's name, or an empty text."""
    found = re.search(r"\bstage ([^,]+)", trace.name)
    return found.group(1) if found else ""


def listed(items: list[str], most: int = 6) -> str:
    """Some names in a row, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def spans(labels: list[str]) -> str:
    """Consecutive whole numbers as ranges: ``2–3, 7``."""
    runs: list[list[str]] = []
    for label in labels:
        last = runs[-1][-1] if runs else ""
        if label.isdigit() and last.isdigit() and int(label) == int(last) + 1:
            runs[-1].append(label)
        else:
            runs.append([label])
    return listed([run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs])


def epochs_text(labels: list[str]) -> str:
    """``epoch 3`` or ``epochs 2–3``."""
    return f"epoch{'s' if len(labels) > 1 else ''} {spans(labels)}"
