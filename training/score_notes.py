"""What must be said beside figures, so that nobody takes them for more than they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from photonic.errors import RunError
from training.data.splits import EXTERNAL
from training.run import Run
from training.workloads import Dataset


def notes_on(run: Run, data: Dataset, subset: str, *, has_baselines: bool) -> Iterator[str]:
    """One sentence each.

    Args:
        run: the run that was scored.
        data: the data that it was scored on.
        subset: which of its samples.
        has_baselines: whether there were training samples to fit baselines on.
    """
    index = data.subset(subset)
    yield data.split.note
    if subset == "val" and data.split.folds:
        yield "validation scores are out-of-fold: each from a student that did not see it"
    if subset == "test" and run.meta["split"]["used_in_selection"]:
        yield "these samples were used in selection: no test figures"
    shared = records_of(run, "train", "val") & set(data.record[index].tolist())
    if shared and subset == "all":
        yield (
            f"{len(shared)} of these records have the names of records that the student learned "
            "or was chosen from: figures over them are no test figures"
        )
    if not has_baselines:
        yield (
            f"what the run was trained on ({run.config.model_dump()['source']['data']}) cannot be "
            "read: no baseline but all-normal"
        )
    yield from _on_samples(run, data, index)
    if run.meta["profile"]:
        yield f"computed with the bits of profile {run.meta['profile']}"


def records_of(run: Run, *subsets: str) -> set[str]:
    """Names of the records that the run's saved scores of these subsets are of."""
    names: set[str] = set()
    for subset in subsets:
        try:
            names |= set(run.predictions(subset).record.tolist())
        except RunError:  # a split without such samples saves no scores of them
            continue
    return names


def _on_samples(run: Run, data: Dataset, index: np.ndarray) -> Iterator[str]:
    counts = np.bincount(data.label[index], minlength=len(run.classes))
    absent = [name for name, count in zip(run.classes, counts, strict=True) if not count]
    if absent:
        yield (
            f"no sample of class {', '.join(absent)}: its figures are undefined and averages leave "
            "it out"
        )
    if excluded := data.facts.get("excluded_records"):
        yield f"paced records left out: {', '.join(excluded)}"
    if gaps := data.facts.get("num_gaps"):
        yield (
            f"{sum(gaps.values())} beats of records {', '.join(gaps)} are not scored, as samples "
            "of their windows are missing"
        )
    silent = sorted(set(data.facts.get("leads", ())) - set(data.record.tolist()))
    if silent:
        yield f"records without a beat that can be scored: {', '.join(silent)}"
    if data.split.name == EXTERNAL:
        leads = sorted(set(data.facts["leads"].values()))
        yield f"leads read: {', '.join(leads)}"
