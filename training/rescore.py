"""A finished run scored on its own records or on those of another database.

On the run's own records its split holds. On any other folder every record is scored, with the
lead, rate and annotator that the caller names, beside baselines fitted on what the run was trained
on. Intervals are drawn over records; EC57 is on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from photonic.errors import ConfigError, DataError
from training.config import with_values
from training.data.records import list_records
from training.data.splits import EXTERNAL, plan_split
from training.ec57.evaluation import WHOLE_RECORDS, joined, score_records
from training.ec57.report import Ec57Report
from training.evaluate import Predictions
from training.intervals import metric_intervals
from training.loop import predict
from training.run import Run
from training.score import Scoring, fitted_baselines, score_predictions
from training.score_notes import records_of
from training.workloads import Dataset, workload
from training.workloads.ecg import EcgConfig, load_external

_SOURCE = ("data", "lead", "companion_lead", "resample", "annotator", "jitter")

OnSource = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to score.

    Attributes:
        data: folder of the records; where it was in training if None.
        subset: ``train``, ``val``, ``test`` or ``all``; if None ``test`` (``val`` without test
            samples), and ``all`` on other records than the run's own.
        records: only these records of the folder, all of their beats.
        reading: options of the data to change, by name: lead, resample, annotator and so on.
        ec57: score by EC57 too.
        baselines: fit the baselines and score them beside the student.
    """

    data: Path | None = None
    subset: str | None = None
    records: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    ec57: bool = False
    baselines: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures, their intervals, and the EC57 report where it was asked for.

    Attributes:
        scoring: figures with baselines and per-record rows.
        intervals: as :func:`training.intervals.metric_intervals`; None for one record.
        ec57: the report of the student.
        ec57_baselines: name and gross EC57 figures of each baseline.
        source: folder and options that the records were read with.
    """

    scoring: Scoring
    intervals: Mapping[str, Any] | None
    ec57: Ec57Report | None
    ec57_baselines: tuple[Mapping[str, Any], ...]
    source: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON form: that of the scoring, and ``intervals``, ``source`` and ``ec57``."""
        found = {**self.scoring.to_dict(), "intervals": self.intervals, "source": self.source}
        if self.ec57 is not None:
            found["ec57"] = {**self.ec57.to_dict(), "baselines": list(self.ec57_baselines)}
        return found


def rescore(run: Run, request: Request, on_source: OnSource = lambda _: None) -> Evaluation:
    """Read the records, run the student, fit the baselines and score all of them.

    Args:
        run: a finished run.
        request: what to score.
        on_source: called with the name of each record that was read.

    Raises:
        ConfigError: a subset that these records do not have, or options that do not go together.
        DataError: records that are missing, damaged or unfit.
    """
    spec, config = workload(run.meta["workload"]), _config(run, request)
    if not isinstance(config, EcgConfig) or _is_own(run, config, request.records):
        data = fitted = spec.load(config, on_source)
        subset = request.subset or ("test" if len(data.split.test) else "val")
    else:
        if request.subset not in (None, "all"):
            raise ConfigError(
                f"subset {request.subset}: {config.source.data} does not hold the records of the "
                f"run's split {config.source.split}, or some were named: choose subset all"
            )
        data, subset = load_external(config, request.records, on_source), "all"
        fitted = _training_data(run)
    index = data.subset(subset)
    if not len(index):
        raise DataError(f"split {data.split.name} has no {subset} samples: choose another subset")
    predictions = _predictions(run, config, data, index, subset)
    ec57, beside = None, ()
    if request.ec57 and isinstance(config, EcgConfig):
        ec57, beside = _ec57(run, config, data, subset, fitted, on_source)
    return Evaluation(
        scoring=score_predictions(
            run, data, subset, predictions, fitted=fitted, beside=request.baselines
        ),
        intervals=metric_intervals(run.decision, predictions, seed=run.config.seed),
        ec57=ec57,
        ec57_baselines=beside,
        source={k: v for k, v in _source(config).items() if k in _SOURCE},
    )


def _config(run: Run, request: Request) -> Any:
    """The run's configuration with the data read as asked for."""
    changes = {name: value for name, value in request.reading.items() if value is not None}
    if isinstance(run.config, EcgConfig):
        changes["both_leads"] = False  # that is for learning: a beat is scored once
    if request.data is not None:
        changes["data"] = request.data.absolute()
    config = with_values(run.config, **changes)
    if (request.ec57 or request.records) and not isinstance(config, EcgConfig):
        raise ConfigError(
            f"workload {run.meta['workload']}: records can be named, and EC57 scored, for runs of "
            "workload ecg only"
        )
    return config


def _source(config: Any) -> dict[str, Any]:
    return config.model_dump(mode="json").get("source", {})


def _is_own(run: Run, config: EcgConfig, named: tuple[str, ...]) -> bool:
    """Whether the folder holds the run's records, on the same sides of its split."""
    source = config.source
    available = list_records(source.data)
    if named:
        return False
    try:
        plan = plan_split(
            source.split,
            available,
            train=source.train_records,
            val=source.val_records,
            test=source.test_records,
        )
    except DataError:
        return False
    learned, tested = records_of(run, "train", "val"), records_of(run, "test")
    return learned <= set(plan.train) and tested <= set(plan.test)


def _training_data(run: Run) -> Dataset | None:
    """What the run was trained on; None where it cannot be read any more."""
    try:
        return workload(run.meta["workload"]).load(run.config, lambda _: None)
    except DataError:
        return None


def _predictions(
    run: Run, config: Any, data: Dataset, index: np.ndarray, subset: str
) -> Predictions:
    if subset != "val" or not data.split.folds:
        return _of_student(run, data, index)
    saved = run.predictions("val")
    same = all(
        np.array_equal(getattr(saved, name), getattr(data, name)[index])
        for name in ("label", "record", "sample")
    )
    now, then = _source(config), _source(run.config)
    if not same or any(now.get(name) != then.get(name) for name in _SOURCE[1:]):
        raise DataError(
            "validation scores are out-of-fold and were saved by training: they are not of the "
            "data, lead or annotator asked for; choose subset test or all"
        )
    return saved


def _of_student(run: Run, data: Dataset, index: np.ndarray) -> Predictions:
    inputs = {n: torch.from_numpy(np.ascontiguousarray(x[index])) for n, x in data.inputs.items()}
    return Predictions.of(
        predict(run.deployed(), inputs),
        label=data.label[index],
        record=data.record[index],
        sample=data.sample[index],
    )


def _ec57(
    run: Run,
    config: EcgConfig,
    data: Dataset,
    subset: str,
    fitted: Dataset | None,
    on_source: OnSource,
) -> tuple[Ec57Report, tuple[dict[str, Any], ...]]:
    """The student's report and the gross figures of the baselines, on whole records."""
    if subset in ("train", "val") and not data.split.folds:
        inside = np.isin(np.arange(len(data.record)), data.subset(subset))
        if np.intersect1d(data.record[inside], data.record[~inside]).size:
            raise ConfigError(
                f"EC57 scores whole records, and subset {subset} of split {data.split.name} holds "
                "a share of the beats of its records: choose subset test or all"
            )
    names = sorted(set(data.record[data.subset(subset)].tolist()))
    if data.split.name == EXTERNAL:
        names += data.facts["excluded_records"]  # named in the report again
    every = load_external(with_values(config, **WHOLE_RECORDS), names, on_source)
    index = np.arange(len(every.label))
    if subset == "val" and data.split.folds:
        probs = joined(run.predictions("val"), every)
    else:
        probs = _of_student(run, every, index).probs
    seed = run.config.seed
    beside = tuple(
        {
            "name": b.name,
            "gross": score_records(config.source, every, b.decision, b.probs, seed=seed).gross,
        }
        for b in fitted_baselines(run, fitted or every, every, index)
    )
    return score_records(config.source, every, run.decision, probs, seed=seed), beside
