"""Saved predictions: ``probs_{subset}.npz`` of a run directory, checked when read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonic.decision import Decision
from photonic.errors import DataError
from training.inspector.evidence import BoolArray, FloatArray, Predictions
from training.inspector.finding import Source
from training.inspector.identity import identity_keys

PREFIX = "probs_"


def find_predictions(
    folder: Path, decision: Decision | None, classes: tuple[str, ...]
) -> Iterator[Predictions]:
    """Predictions of every subset that a directory holds, training first.

    Args:
        folder: the run directory.
        decision: how a class is chosen; the largest probability where it is None.
        classes: their names; numbered where there are none.

    Raises:
        DataError: a file that cannot be read or whose arrays do not fit.
    """
    files = {path.stem.removeprefix(PREFIX): path for path in folder.glob(f"{PREFIX}*.npz")}
    known = [name for name in ("train", "val", "test") if name in files]
    for subset in (*known, *sorted(files.keys() - set(known))):
        yield _read(files[subset], subset, decision, classes)


def _read(
    file: Path, subset: str, decision: Decision | None, classes: tuple[str, ...]
) -> Predictions:
    arrays = read_arrays(file)
    missing = {"probs", "label"} - arrays.keys()
    if missing:
        raise DataError(f"{file}: no array {' and no array '.join(sorted(missing))}")
    probs, label = np.asarray(arrays["probs"], dtype=np.float64), arrays["label"]
    if probs.ndim != 2 or not len(probs) or len(label) != len(probs):
        raise DataError(
            f"{file}: probs {probs.shape} and label {label.shape}; expected (samples, classes) and "
            "as many labels, at least one"
        )
    size = probs.shape[1]
    names = classes if len(classes) == size else tuple(f"class {c}" for c in range(size))
    logits = arrays.get("logits")
    exclusive = label.ndim == 1
    if exclusive:
        truth, predicted = _exclusive(file, probs, label, decision)
    else:
        truth, predicted = label.astype(bool), _labels(file, probs, label, arrays)
    return Predictions(
        subset=subset,
        source=Source(file.name),
        classes=names,
        probs=probs,
        truth=truth,
        predicted=predicted,
        logits=None if logits is None else np.asarray(logits, dtype=np.float64),
        keys={name: a for name, a in identity_keys(arrays).items() if len(a) == len(probs)},
        exclusive=exclusive,
        checkpoint=str(arrays["checkpoint"]) if "checkpoint" in arrays else None,
        modified=file.stat().st_mtime,
    )


def _exclusive(
    file: Path, probs: FloatArray, label: NDArray[Any], decision: Decision | None
) -> tuple[BoolArray, BoolArray]:
    size = probs.shape[1]
    if label.min() < 0 or label.max() >= size:
        raise DataError(f"{file}: labels from {label.min()} to {label.max()} for {size} classes")
    if decision is not None and len(decision.classes) == size:
        called = decision.from_probabilities(probs)
    else:
        called = probs.argmax(axis=1)
    every = np.arange(size)
    return label[:, None] == every, called[:, None] == every


def _labels(
    file: Path, probs: FloatArray, label: NDArray[Any], arrays: Mapping[str, NDArray[Any]]
) -> BoolArray:
    if label.shape != probs.shape:
        raise DataError(f"{file}: labels {label.shape} and probs {probs.shape} differ in shape")
    thresholds = np.asarray(arrays.get("thresholds", 0.5), dtype=np.float64)
    return probs >= thresholds


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Arrays of an NPZ file, nothing unpickled.

    Raises:
        DataError: unreadable, or an array of objects.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise DataError(f"{file}: not a readable NPZ file: {error}") from None
