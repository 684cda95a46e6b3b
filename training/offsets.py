"""Class offsets: the several-class counterpart of a threshold.

The decision is ``argmax(log probability + offset)``. Offsets are searched one class at a time; all
candidates of a class come from one histogram of margins, so no candidate touches the samples again.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from photonic.errors import DataError
from training.metrics import FloatArray, IntArray, check_finite, class_f1, confusion_matrix

Objective = Literal["macro_f1", "selection"]
GRID = np.linspace(-4.0, 4.0, 161)
_FLOOR = 1e-12


def fit_logit_offsets(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    objective: Objective = "selection",
    num_rounds: int = 3,
) -> FloatArray:
    """Offsets per class that maximise a score, by coordinate ascent from zero.

    Args:
        probabilities: class probabilities ``(samples, classes)``.
        labels: class indices ``(samples,)``.
        objective: ``macro_f1``, or ``selection``: 0.2·macroF1 + 0.3·F1 of the abnormal classes +
            0.5·F1 of the first two of them.
        num_rounds: passes over the classes.

    Returns:
        Offsets ``(classes,)``, that of class 0 being 0; adding them never lowers the score on these
        samples.

    Raises:
        DataError: mismatched, empty or non-finite input.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels)
    if scores.ndim != 2 or len(scores) == 0 or truth.shape != scores.shape[:1]:
        raise DataError(
            f"probabilities {scores.shape} and labels {truth.shape}: "
            "expected (samples, classes) and (samples,) with at least one sample"
        )
    check_finite(scores)
    logits = np.log(np.maximum(scores, _FLOOR))
    num_classes = scores.shape[1]
    offsets = np.zeros(num_classes)
    start = confusion_matrix(truth, logits.argmax(axis=1), num_classes)
    best = float(_objective(start[None], objective)[0])
    for _ in range(num_rounds):
        improved = False
        for index in range(1, num_classes):
            matrices = _confusions(logits + offsets, truth, index, GRID - offsets[index])
            values = _objective(matrices, objective)
            top = int(values.argmax())
            if values[top] > best:
                best, improved = float(values[top]), True
                offsets[index] = GRID[top]
        if not improved:
            break
    return offsets


def _confusions(logits: FloatArray, labels: IntArray, index: int, shifts: FloatArray) -> IntArray:
    """Confusion matrix ``(shifts, classes, classes)`` for each shift added to one class's logit."""
    num_classes = logits.shape[1]
    others = logits.copy()
    others[:, index] = -np.inf
    rival = others.argmax(axis=1)
    # Sample i goes to the class from the first shift above its margin on; argmax gives a tie to the
    # lower index, so equality is enough where the rival comes later.
    margin = others.max(axis=1) - logits[:, index]
    side_left = np.searchsorted(shifts, margin, side="left")
    side_right = np.searchsorted(shifts, margin, side="right")
    first = np.where(rival > index, side_left, side_right)
    cells = (first * num_classes + labels) * num_classes + rival
    size = (len(shifts) + 1) * num_classes * num_classes
    moved = np.bincount(cells, minlength=size).reshape(-1, num_classes, num_classes)
    moved = np.cumsum(moved, axis=0)[:-1]
    kept = confusion_matrix(labels, rival, num_classes) - moved
    kept[:, :, index] += moved.sum(axis=2)
    return kept


def _objective(matrices: IntArray, objective: Objective) -> FloatArray:
    f1 = class_f1(matrices)
    known = ~np.isnan(f1)
    values = np.nan_to_num(f1)

    def mean(columns: slice) -> FloatArray:
        return values[:, columns].sum(axis=1) / np.maximum(known[:, columns].sum(axis=1), 1)

    if objective == "macro_f1":
        return mean(slice(None))
    return 0.2 * mean(slice(None)) + 0.3 * mean(slice(1, None)) + 0.5 * mean(slice(1, 3))
