"""A finished run scored again on its data, with everything a reader needs to judge the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.baselines import Baseline, all_normal, baselines
from training.evaluate import Predictions, per_record, report
from training.run import Run
from training.score_notes import notes_on
from training.workloads import Dataset, task_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Figures of a run on one subset of its samples.

    Attributes:
        run: the run.
        split: name of the split that the subset is of.
        subset: ``train``, ``val``, ``test`` or ``all``.
        metrics: as :func:`training.evaluate.report`.
        per_record: one row per record.
        baselines: name, threshold and metrics of each baseline.
        notes: what must be said beside the figures.
    """

    run: Run
    split: str
    subset: str
    num_samples: int
    metrics: Mapping[str, Any]
    per_record: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    notes: tuple[str, ...]

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


def score_predictions(
    run: Run,
    dataset: Dataset,
    subset: str,
    predictions: Predictions,
    *,
    fitted: Dataset | None = None,
    beside: bool = True,
) -> Scoring:
    """Score predictions of a run beside baselines that were fitted on training samples.

    Args:
        run: the run that they are of.
        dataset: its data.
        subset: ``train``, ``val``, ``test`` or ``all``, whose samples they are, in order.
        predictions: what the run said.
        fitted: the data whose training samples the baselines are fitted on; ``dataset`` if left
            out. Where neither has any, all-normal is the only one.
        beside: whether baselines are wanted at all.
    """
    index = dataset.subset(subset)
    rows = [
        {
            "name": b.name,
            "threshold": b.decision.threshold,
            "metrics": report(b.decision, b.probs, dataset.label[index]),
        }
        for b in (fitted_baselines(run, fitted or dataset, dataset, index) if beside else ())
    ]
    return Scoring(
        run=run,
        split=dataset.split.name,
        subset=subset,
        num_samples=len(index),
        metrics=report(run.decision, predictions.probs, predictions.label),
        per_record=per_record(run.decision, predictions),
        baselines=rows,
        notes=tuple(notes_on(run, dataset, subset, has_baselines=len(rows) > 1 or not beside)),
    )


def fitted_baselines(
    run: Run, fitted: Dataset, scored: Dataset, index: np.ndarray
) -> list[Baseline]:
    """The baselines of a run on the samples ``index`` of ``scored``."""
    if not len(fitted.split.train):
        return [all_normal(run.classes, len(index))]
    options = run.config.imbalance(task_of(run.classes))
    return baselines(fitted, index, options, seed=run.config.seed, scored=scored)
