"""A finished run scored again on its data, with everything a reader needs to judge the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from photonic.errors import DataError
from training.baselines import baselines
from training.config import with_values
from training.evaluate import Predictions, per_record, report
from training.loop import predict
from training.run import Run
from training.workloads import Dataset, task_of, workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Figures of a run on one subset of its samples.

    Attributes:
        run: the run.
        subset: ``train``, ``val``, ``test`` or ``all``.
        metrics: as :func:`training.evaluate.report`.
        per_record: one row per record.
        baselines: name, threshold and metrics of each baseline.
        notes: what must be said beside the figures.
    """

    run: Run
    subset: str
    num_samples: int
    metrics: Mapping[str, Any]
    per_record: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    notes: tuple[str, ...]

    @property
    def split(self) -> str:
        """Name of the split."""
        return self.run.meta["split"]["name"]

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the keys that other programs rely on."""
        return {
            "split": self.split,
            "subset": self.subset,
            "num_samples": self.num_samples,
            "threshold": self.run.decision.threshold,
            "labels": self.run.meta["labels"],
            "profile": self.run.meta["profile"],
            "metrics": self.metrics,
            "per_record": self.per_record,
            "baselines": self.baselines,
            "notes": list(self.notes),
        }


def score_run(
    run: Run,
    *,
    data: Path | None = None,
    subset: str | None = None,
    on_source: Callable[[str], None] = lambda _: None,
) -> Scoring:
    """Read the data again, run the student, fit the baselines and score all of them.

    Args:
        run: a finished run.
        data: folder of the data; where it was in training if left out.
        subset: samples to score; ``test`` if left out, or ``val`` where there are no test samples.
        on_source: called with the name of each record that was read.

    Raises:
        DataError: data that is missing or damaged, or no samples in the subset.
    """
    spec, config = workload(run.meta["workload"]), run.config
    if data is not None:
        config = with_values(config, data=data.absolute())
    dataset = spec.load(config, on_source)
    subset = subset or ("test" if len(dataset.split.test) else "val")
    index = dataset.subset(subset)
    if not len(index):
        raise DataError(
            f"split {dataset.split.name} has no {subset} samples: choose another subset"
        )
    return score_predictions(run, dataset, subset, _predictions(run, dataset, index, subset))


def score_predictions(run: Run, dataset: Dataset, subset: str, predictions: Predictions) -> Scoring:
    """Score predictions of a run, with the baselines fitted on the run's own training samples.

    Args:
        run: the run that they are of.
        dataset: its data.
        subset: ``train``, ``val``, ``test`` or ``all``, whose samples they are, in order.
        predictions: what the run said.
    """
    options = run.config.imbalance(task_of(dataset.classes))
    index = dataset.subset(subset)
    rows = [
        {
            "name": b.name,
            "threshold": b.decision.threshold,
            "metrics": report(b.decision, b.probs, dataset.label[index]),
        }
        for b in baselines(dataset, index, options, seed=run.config.seed)
    ]
    return Scoring(
        run=run,
        subset=subset,
        num_samples=len(index),
        metrics=report(run.decision, predictions.probs, predictions.label),
        per_record=per_record(run.decision, predictions),
        baselines=rows,
        notes=tuple(_notes(run, dataset, subset)),
    )


def _predictions(run: Run, data: Dataset, index: np.ndarray, subset: str) -> Predictions:
    if subset == "val" and data.split.folds:
        saved = run.predictions("val")
        if not np.array_equal(saved.label, data.label[index]):
            raise DataError(
                "the data is not what the run was trained on, so its saved out-of-fold scores do "
                "not belong to it: choose subset test or all"
            )
        return saved
    inputs = {n: torch.from_numpy(np.ascontiguousarray(x[index])) for n, x in data.inputs.items()}
    return Predictions.of(
        predict(run.deployed(), inputs),
        label=data.label[index],
        record=data.record[index],
        sample=data.sample[index],
    )


def _notes(run: Run, data: Dataset, subset: str) -> list[str]:
    notes = [data.split.note]
    if subset == "val" and data.split.folds:
        notes.append("validation scores are out-of-fold: each from a student that did not see it")
    if subset == "test" and run.meta["split"]["used_in_selection"]:
        notes.append("these samples were used in selection: no test figures")
    if run.meta["profile"]:
        notes.append(f"computed with the bits of profile {run.meta['profile']}")
    return notes
