"""Which test beat is which reference beat: the comparison of ``bxb``, one record at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonic.beats import FS_HZ
from training.ec57.marks import CLASSES, MATCH_WINDOW_S, BeatMarks, Stretches

LEARNING_S = 300.0
"""Scoring begins after this much of a record."""

SIZE = len(CLASSES) + 2
MISSED, SHUT_DOWN = len(CLASSES), len(CLASSES) + 1
"""Last two columns (``o``, ``x``) and rows (``O``, ``X``) of the matrix."""

Counts = NDArray[np.int64]

# Stands behind the last beat; far enough that no difference with a beat is ever small.
_NEVER = 1 << 60


def match(
    reference: BeatMarks,
    test: BeatMarks,
    *,
    num_samples: int,
    learning_s: float = LEARNING_S,
) -> Counts:
    """Count every pair of a reference beat and a test beat, missed and extra ones too.

    Both lists are walked once, always taking the earlier of the two next beats. It is paired with
    the other when that is within the window and either the later beat has no better partner
    coming, or that better partner has a still better one itself (the rule of November 2002).

    Args:
        reference: beats of the reference annotator.
        test: beats of the annotator under test.
        num_samples: length of the record at 360 Hz.
        learning_s: how much of the record is not scored; EC57 allows 300 s only.

    Returns:
        (7, 7): reference classes N, S, V, F, Q, O, X in rows, test classes n, s, v, f, q, o, x in
        columns.
    """
    start, window = round(learning_s * FS_HZ), round(MATCH_WINDOW_S * FS_HZ)
    ref, ref_class = _timeline(reference)
    tst, tst_class = _timeline(test)
    counts = np.zeros((SIZE, SIZE), dtype=np.int64)
    i, j = int(np.searchsorted(ref, start)), int(np.searchsorted(tst, start))
    lead = ref[i] - tst[j - 1] if j > 0 else _NEVER
    if lead <= window and lead < abs(ref[i] - tst[j]):
        # The last test beat of the learning period is the first reference beat after it.
        counts[ref_class[i], tst_class[j - 1]] += 1
        i += 1
    elif tst[j] - start <= window and abs(ref[i] - tst[j + 1]) < abs(ref[i] - tst[j]):
        # The first test beat may belong to a reference beat of the learning period.
        j += 1
    while ref[i] <= num_samples or tst[j] <= num_samples:
        gap = abs(ref[i] - tst[j])
        if tst[j] < ref[i]:
            rival, its_own = abs(ref[i] - tst[j + 1]), abs(ref[i + 1] - tst[j + 1])
        else:
            rival, its_own = abs(tst[j] - ref[i + 1]), abs(tst[j + 1] - ref[i + 1])
        if gap <= window and (gap < rival or its_own < rival):
            counts[ref_class[i], tst_class[j]] += 1
            i, j = i + 1, j + 1
        elif tst[j] < ref[i]:
            if not _within(reference.flutter, tst[j]):
                row = SHUT_DOWN if _within(reference.shutdown, tst[j]) else MISSED
                counts[row, tst_class[j]] += 1
            j += 1
        else:
            column = SHUT_DOWN if _within(test.shutdown, ref[i]) else MISSED
            counts[ref_class[i], column] += 1
            i += 1
    return counts


def _timeline(marks: BeatMarks) -> tuple[list[int], list[int]]:
    """Times and classes as plain lists, closed by two beats that never come."""
    return [*marks.samples.tolist(), _NEVER, _NEVER], [*marks.classes.tolist(), 0, 0]


def _within(stretches: Stretches, sample: int) -> bool:
    return bool(((stretches[:, 0] <= sample) & (sample <= stretches[:, 1])).any())
