"""Scores of decisions, vectorised over chips: one confusion matrix per chip, then plain ratios.

A class that never occurs has no F1: it is NaN, and an average over classes leaves absent classes
out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from photonic.errors import ConfigError


def confusion_counts(labels: np.ndarray, decisions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts ``(..., classes, classes)``, rows the true class, columns the decided one.

    Args:
        labels: true class of each sample, ``(n,)``.
        decisions: decided class, ``(..., n)``, e.g. one row per chip.
        num_classes: number of classes.
    """
    lead = decisions.shape[:-1]
    flat = decisions.reshape(-1, decisions.shape[-1])
    rows = np.arange(len(flat))[:, None] * num_classes**2
    codes = rows + labels[None, :] * num_classes + flat
    counts = np.bincount(codes.ravel(), minlength=len(flat) * num_classes**2)
    return counts.reshape(*lead, num_classes, num_classes)


def class_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each class, ``(..., classes)``; NaN for a class without a single sample."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    support, predicted = counts.sum(-1), counts.sum(-2)
    both = np.asarray(support + predicted, dtype=np.float64)
    f1 = 2.0 * hits / np.where(both > 0, both, 1.0)
    return np.where(support > 0, f1, np.nan)


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 of class 1, ``(...)``: the abnormal class of a binary task."""
    return class_f1(counts)[..., 1]


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur, ``(...)``."""
    return np.nanmean(class_f1(counts), axis=-1)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of right decisions, ``(...)``."""
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "f1": f1,
    "macro_f1": macro_f1,
    "accuracy": accuracy,
}


def default_score(num_classes: int) -> str:
    """The score a workload is judged by where nothing else is asked for."""
    return "f1" if num_classes == 2 else "macro_f1"


def score(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """A score by name.

    Raises:
        ConfigError: an unknown name; the known ones are listed.
    """
    if name not in SCORES:
        raise ConfigError(f"metric {name!r} is unknown; known are {', '.join(SCORES)}")
    return SCORES[name]
