"""Teacher, control and distilled student side by side, each at its own chosen decision."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from photonic.decision import Decision, softmax
from photonic.files import atomic_write
from photonic.layers import ExactCore
from training.distill import TERMS
from training.evaluate import headline, report
from training.fit import Fit
from training.loop import predict
from training.run import read_log

_COLUMNS = ("stage", "epoch", "lr", "alpha", "beta", "gamma", "threshold")
_FIGURES = ("loss", "f1", "macro_f1", "miss", "fpr", "auroc")

Model = tuple[Decision, dict[str, np.ndarray]]
"""A decision, and logits by subset."""


def write_comparison(out: Path, fit: Fit, *, picture: bool = True) -> dict[str, Any]:
    """Write ``kd.csv`` and ``kd_roc.png``; returns the figures of every model by subset.

    The control began where the distilled student began and was trained as long, without a teacher.

    Args:
        out: the run directory.
        fit: done.
        picture: whether to draw ``kd_roc.png``.
    """
    models = _models(fit)
    index = _subsets(fit)
    figures: dict[str, Any] = {}
    for name, (decision, logits) in models.items():
        figures[name] = {
            subset: headline(report(decision, softmax(values), fit.label[index[subset]]))
            for subset, values in logits.items()
        } | {"threshold": decision.threshold}
    if picture:
        from training.plots import roc_of_models, save  # takes a second to import

        save(roc_of_models(models, {s: fit.label[i] for s, i in index.items()}), out / "kd_roc.png")
    _write_csv(out / "kd.csv", read_log(out))
    state = fit.chosen[_number(fit, "distilled")].kd
    return {**figures, "gate_open": bool(state and state.enabled)}


def _models(fit: Fit) -> dict[str, Model]:
    teaching, index = fit.problem.teaching, _subsets(fit)
    assert teaching is not None
    said = teaching.logits.cpu().numpy()
    models: dict[str, Model] = {
        "teacher": (teaching.decision, {subset: said[i] for subset, i in index.items()})
    }
    learner = fit.learners[0]
    core, current = fit.student.core, learner.weights()
    fit.student.core = ExactCore()
    for name in ("control", "distilled"):
        number = _number(fit, name)
        decision = fit.chosen[number].decision
        assert decision is not None
        # With folds, what was said of a validation sample is what its fold's student said.
        chosen, pooled = fit.finished[number]
        logits = {"val": pooled}
        if "test" in index:
            learner.parameters.load(fit.refitted[number] if fit.refitted else chosen[0])
            inputs = fit.problem.samples.inputs
            logits["test"] = predict(fit.student, inputs, index["test"])
        models[name] = (decision, logits)
    learner.parameters.load(current)
    fit.student.core = core
    return models


def _number(fit: Fit, name: str) -> int:
    return next(i for i, stage in enumerate(fit.problem.stages) if stage.name == name)


def _subsets(fit: Fit) -> dict[str, np.ndarray]:
    test = fit.problem.split.test
    return {"val": fit.validation, "test": test} if len(test) else {"val": fit.validation}


def _write_csv(file: Path, log: Sequence[Mapping[str, Any]]) -> None:
    epochs = [line for line in log if line.get("event") == "epoch" and "val" in line]
    subsets = ("train", "val", "generalisation")
    heads = [f"{subset}_{key}" for subset in subsets for key in _FIGURES]
    with atomic_write(file) as temporary, temporary.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow([*_COLUMNS, "loss", *TERMS, "score", "weight_of_abnormal", *heads])
        for line in epochs:
            figures = [line.get(s, {}).get(key, "") for s in subsets for key in _FIGURES]
            weight = line["class_weights"][1]
            shown = [line.get(c, "") for c in _COLUMNS]
            terms = [line["loss_terms"][name] for name in TERMS]
            rows.writerow(
                [*shown, line["train_loss"], *terms, line["selection_score"], weight, *figures]
            )
