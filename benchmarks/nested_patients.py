"""Compare rules of decision and kinds of input on training patients alone, by nested folds.

The patients of the training records are divided into three folds, at random and several times. Each
fold is held out in turn: the others are all that a student is trained and its decision chosen on,
with inner folds of their own, as ``photonic train ecg`` does; the held-out patients judge. Test
records take no part.

Run from the repository root:
``python benchmarks/nested_patients.py --data ../shared/data/mitdb --labels seed-binary --split
seed-patient --centre qrs --partitions 2 --out FILE``. Broken off, it goes on where it stopped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from photonic.beats import Template
from photonic.cli.main import error_message
from photonic.errors import PhotonicError
from photonic.fiducial import Centre
from photonic.files import atomic_write_text
from photonic.threads import torch_threads
from training.data.splits import Split
from training.fit import Fit
from training.metrics import class_f1, confusion_matrix
from training.offsets import fit_logit_offsets
from training.options import ThresholdOptions
from training.setup import build_problem
from training.thresholds import sweep_thresholds
from training.workloads import Dataset, workload

FOLDS = 3
SPREADS = (0.0, 1.0, 2.0, 3.0, 4.0)
ONE_PATIENT = {"202": "201"}
"""Records of a patient who has another record, too."""


@dataclass(frozen=True, slots=True)
class Held:
    """Logits of patients who took no part, and of those who chose, by models that saw neither."""

    chosen_on: np.ndarray
    chosen_label: np.ndarray
    index: np.ndarray
    logits: np.ndarray


def folds_of(data: Dataset, index: np.ndarray, seed: int) -> list[np.ndarray]:
    """Patients of some samples in folds of like class shares."""
    patients = [ONE_PATIENT.get(name, name) for name in data.record[index]]
    split = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    parts = split.split(index, data.label[index], groups=patients)
    return [index[held] for _, held in parts]


def held_out(data: Dataset, config: Any, index: np.ndarray, seed: int) -> Iterator[Held]:
    """One division of the patients: each fold by a student that never saw it."""
    nobody = np.empty(0, dtype=np.int64)
    for number, held in enumerate(folds_of(data, index, seed)):
        rest = np.setdiff1d(index, held)
        inner = tuple(folds_of(data, rest, seed * FOLDS + number))
        split = Split(
            name="nested",
            train=np.setdiff1d(rest, inner[0]),
            val=inner[0],
            test=nobody,
            folds=inner,
            note="",
        )
        fit = Fit(build_problem("ecg", config, replace(data, split=split)))
        while not fit.done:
            fit.step()
        _, pooled = fit.finished[-1]
        yield Held(
            chosen_on=pooled,
            chosen_label=data.label[fit.validation],
            index=held,
            logits=fit.learners[0].predict(held),
        )


def binary_rules(parts: list[Held], label: np.ndarray) -> dict[str, dict[str, float]]:
    """Figures of all patients, each called by the threshold that the others chose."""
    rules: dict[str, Any] = {
        f"spread {spread:g}": lambda p, s=spread: (
            sweep_thresholds(
                _abnormal(p.chosen_on),
                p.chosen_label,
                ThresholdOptions(threshold_rule="min_miss_fpr", threshold_spread=s),
            ).threshold
        )
        for spread in SPREADS
    }
    rules["highest F1"] = lambda p: (
        sweep_thresholds(
            _abnormal(p.chosen_on), p.chosen_label, ThresholdOptions(threshold_rule="max_f1")
        ).threshold
    )
    rules["one half"] = lambda p: 0.5
    truth = np.concatenate([label[p.index] for p in parts]) > 0
    rows = {}
    for name, rule in rules.items():
        thresholds = [rule(part) for part in parts]
        called = np.concatenate(
            [_abnormal(p.logits) >= t for p, t in zip(parts, thresholds, strict=True)]
        )
        hits = int((called & truth).sum())
        miss = 1 - hits / truth.sum()
        fpr = (called & ~truth).sum() / (~truth).sum()
        rows[name] = {
            "miss+FPR": miss + fpr,
            "F1": 2 * hits / (called.sum() + truth.sum()),
            "miss": miss,
            "FPR": fpr,
            "threshold": float(np.mean(thresholds)),
            "its sd": float(np.std(thresholds)),
        }
    return rows


def class_rules(
    parts: list[Held], label: np.ndarray, classes: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """F1 of all patients' classes, with the offsets that the others chose."""
    rules: dict[str, Any] = {
        "no offsets": lambda p: np.zeros(len(classes)),
        "offsets, selection score": lambda p: _offsets(p, "selection"),
        "half of these": lambda p: _offsets(p, "selection") / 2,
        "offsets, macro-F1": lambda p: _offsets(p, "macro_f1"),
    }
    truth = np.concatenate([label[p.index] for p in parts])
    rows = {}
    for name, rule in rules.items():
        called = np.concatenate([(p.logits + rule(p)).argmax(axis=1) for p in parts])
        f1 = class_f1(confusion_matrix(truth, called, len(classes)))
        rows[name] = {"macro-F1": float(np.nanmean(f1)), **dict(zip(classes, f1, strict=True))}
    return rows


def _offsets(part: Held, objective: Any) -> np.ndarray:
    return fit_logit_offsets(_softmax(part.chosen_on), part.chosen_label, objective=objective)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)


def _abnormal(logits: np.ndarray) -> np.ndarray:
    return _softmax(logits)[:, 1]


def print_rules(divisions: list[dict[str, dict[str, float]]]) -> None:
    """Mean of the divisions, and the standard error of the first column."""
    names = list(next(iter(divisions[0].values())))
    print(f"{'rule':<26}" + "".join(f"{name:>11}" for name in names) + "   standard error")
    for rule in divisions[0]:
        table = np.array([list(rows[rule].values()) for rows in divisions], dtype=float)
        error = table[:, 0].std(ddof=1) / len(table) ** 0.5 if len(table) > 1 else np.nan
        print(f"{rule:<26}" + "".join(f"{v:11.4f}" for v in table.mean(axis=0)) + f"   {error:.4f}")


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--labels", type=click.Choice(["seed-binary", "aami-4"]), default="seed-binary",
              show_default=True)  # fmt: skip
@click.option("--split", type=click.Choice(["seed-patient", "ds1-ds2"]), default="seed-patient",
              show_default=True, help="Whose training records.")  # fmt: skip
@click.option("--centre", type=click.Choice(get_args(Centre)), default="qrs", show_default=True)
@click.option(
    "--template", type=click.Choice(get_args(Template)), default="huber", show_default=True
)
@click.option("--partitions", type=click.IntRange(min=1), default=2, show_default=True,
              help="Divisions of the patients.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="JSON file of what was found; goes on from it.")  # fmt: skip
def main(
    data: Path,
    labels: str,
    split: str,
    centre: Centre,
    template: Template,
    partitions: int,
    out: Path,
) -> None:
    """Train on some patients, judge on others, many times; print the rules side by side."""
    asked = {"labels": labels, "split": split, "centre": centre, "template": template}
    try:
        found = json.loads(out.read_text()) if out.is_file() else {**asked, "divisions": []}
        if {name: found.get(name) for name in asked} != asked:
            raise PhotonicError(f"{out} holds other options; name another file")
        spec = workload("ecg")
        config = spec.resolve({"data": data, "student": "patch", "seed": 0, **asked})
        loaded = spec.load(config, lambda _: None)
        with torch_threads(1):
            for number in range(len(found["divisions"]), partitions):
                parts = list(held_out(loaded, config, loaded.split.selection, number + 1))
                if len(loaded.classes) == 2:
                    rows = binary_rules(parts, loaded.label)
                else:
                    rows = class_rules(parts, loaded.label, loaded.classes)
                found["divisions"].append(rows)
                atomic_write_text(out, json.dumps(found, default=float))
                click.echo(f"division {number + 1} of {partitions}", err=True)
        print(", ".join(f"{name} {value}" for name, value in asked.items()))
        print_rules(found["divisions"][:partitions])
    except PhotonicError as error:
        click.echo(f"nested_patients: error: {error_message(error)}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
