"""Beats written by hand: times after the learning period and one letter per beat."""

from __future__ import annotations

import numpy as np

from training.ec57 import CLASSES, LEARNING_S, BeatMarks, match
from training.ec57.match import Counts
from training.ec57.report import COUNT_NAMES

START = round(LEARNING_S * 360)


def marks(beats: str, *, flutter: tuple = (), shutdown: tuple = ()) -> BeatMarks:
    """``marks("N1000 V1360")``: beats at samples counted from the end of the learning period."""
    words = beats.split()

    def stretches(given: tuple) -> np.ndarray:
        return np.array([[START + a, START + b] for a, b in given], dtype=np.int64).reshape(-1, 2)

    return BeatMarks(
        samples=np.array([START + int(word[1:]) for word in words], dtype=np.int64),
        classes=np.array([CLASSES.index(word[0]) for word in words], dtype=np.int64),
        flutter=stretches(flutter),
        shutdown=stretches(shutdown),
    )


def matrix(**named: int) -> Counts:
    """``matrix(Nn=3, Vo=1)``: a matrix of beat pairs from its entries that are not zero."""
    letters = f"{CLASSES}OX"
    counts = np.zeros((7, 7), dtype=np.int64)
    for name, count in named.items():
        assert name in COUNT_NAMES
        counts[letters.index(name[0]), letters.index(name[1].upper())] = count
    return counts


def compared(reference: BeatMarks, test: BeatMarks, *, num_samples: int = 20_000) -> dict[str, int]:
    """The entries of the matrix that are not zero, by name."""
    counts = match(reference, test, num_samples=START + num_samples)
    letters = f"{CLASSES}OX"
    return {
        letters[row] + letters[column].lower(): int(counts[row, column])
        for row, column in np.argwhere(counts)
    }
