"""A run scored by EC57: every beat of whole records, whatever the run's label map leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from photonic.beats import FS_HZ
from photonic.decision import Decision
from photonic.errors import DataError
from training.data.labels import label_map
from training.data.records import read_annotations, read_header
from training.ec57.marks import CLASSES, BeatMarks, beat_marks
from training.ec57.match import LEARNING_S, MISSED, match
from training.ec57.report import Ec57Report
from training.ec57.tally import FIGURES
from training.evaluate import Predictions
from training.workloads import Dataset
from training.workloads.ecg import EcgSource

CALLED: Mapping[str, str] = {
    **{name: name for name in CLASSES},
    "O": "Q",
    "normal": "N",
    "abnormal": "Q",
}
"""Class of a label map -> class of EC57 that a beat called so counts as."""

WHOLE_RECORDS = {"labels": "aami-5", "keep_paced": False, "both_leads": False}
"""What to change in a run's data options so that every beat that EC57 scores is read."""

_BINARY_EVENTS = ("qrs", "abnormal")


def score_records(
    source: EcgSource,
    data: Dataset,
    decision: Decision,
    probs: np.ndarray,
    *,
    seed: int = 0,
) -> Ec57Report:
    """Compare what a model calls the beats of whole records with their reference annotations.

    The R peaks are those of the reference: a beat is missed when it has no decision, because its
    window leaves the record or misses samples.

    Args:
        source: where the records are and how they were read.
        data: every beat of the records, under label map ``aami-5``.
        decision: of the model.
        probs: (n, classes) probabilities of all beats of ``data``.
        seed: of the draws for the intervals.

    Raises:
        DataError: every record ends before scoring begins.
    """
    letters = np.array([CLASSES.index(CALLED[name]) for name in decision.classes])
    called = letters[decision.from_probabilities(probs)]
    labels = label_map("aami-5", escape=source.escape_beats)
    names, counts, short = [], [], []
    num_escape = 0
    for name in data.facts["leads"]:
        header = read_header(source.data, name)
        num_samples = int(np.ceil(header.num_samples * FS_HZ / header.fs_hz))
        if num_samples <= LEARNING_S * FS_HZ:
            short.append(name)
            continue
        annotations = read_annotations(source.data, header, source.annotator)
        late = annotations.samples >= LEARNING_S * FS_HZ
        num_escape += int(np.isin(annotations.symbols[late], ["e", "j"]).sum())
        own = data.record == name
        names.append(name)
        counts.append(
            match(
                beat_marks(annotations, labels, name),
                BeatMarks.of_beats(data.sample[own], called[own]),
                num_samples=num_samples,
            )
        )
    if not names:
        raise DataError(
            f"EC57 scores from {LEARNING_S / 60:g}:00 on, and none of the {len(short)} records is "
            "longer than that: use longer records, or leave --ec57 out"
        )
    matrices = np.stack(counts)
    return Ec57Report(
        records=tuple(names),
        counts=matrices,
        events=_BINARY_EVENTS if len(decision.classes) == 2 else tuple(FIGURES),
        called={name: CALLED[name] for name in decision.classes},
        excluded=tuple(data.facts["excluded_records"]),
        notes=tuple(_notes(source, decision.classes, matrices, short, num_escape)),
        seed=seed,
    )


def joined(saved: Predictions, every: Dataset) -> np.ndarray:
    """Saved probabilities (n, classes) of every beat of whole records, in their order.

    Raises:
        DataError: beats without a saved score, as the run's label map leaves them out.
    """
    place = {key: k for k, key in enumerate(zip(saved.record, saved.sample, strict=True))}
    found = [place.get(key, -1) for key in zip(every.record, every.sample, strict=True)]
    if -1 in found:
        raise DataError(
            f"EC57 scores every beat, and {found.count(-1)} of {len(found)} validation beats have "
            "no saved out-of-fold score, as the run's label map leaves them out: choose subset "
            "test or all"
        )
    return saved.probs[found]


def _notes(
    source: EcgSource,
    classes: Sequence[str],
    counts: np.ndarray,
    short: Sequence[str],
    num_escape: int,
) -> list[str]:
    notes = [
        "R peaks are those of the reference annotations: the QRS figures tell which beats got a "
        "decision, not how well a detector finds beats"
    ]
    missed = int(counts[:, :MISSED, MISSED:].sum())
    if missed:
        notes.append(
            f"{missed} beats have no decision, as their window leaves the record or misses "
            "samples: they count as missed"
        )
    if len(classes) == 2:
        notes.append(
            "normal and abnormal do not tell V from S: the V and S figures of EC57 cannot be "
            "formed; abnormal is scored as any class but N against N"
        )
    if "O" in classes:
        notes.append("class O (F and Q) counts as Q; no figure of EC57 tells them apart")
    if source.labels == "seed-binary":
        notes.append(
            "every beat is scored by its AAMI class, also those with symbols that label map "
            "seed-binary leaves out of training"
        )
    if num_escape:
        other = "bxb counts them as S" if source.escape_beats == "N" else "some papers count N"
        notes.append(f"{num_escape} escape beats (e, j) count as {source.escape_beats}; {other}")
    if short:
        notes.append(f"records that end before scoring begins: {', '.join(short)}")
    return notes
