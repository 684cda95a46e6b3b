"""Scores from counts, vectorised over chips: more is better, and plain ratios of whole numbers.

A class that never occurs has no F1: it is NaN, and an average over classes leaves absent classes
out. A class that is never decided has no positive predictive value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from photonic.errors import ConfigError
from photonic.tallies import tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score: its name, the tally it is computed from, and how, ``(..., *shape) → (...)``."""

    name: str
    tally: str
    of: Callable[[np.ndarray], np.ndarray]


def class_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each class, ``(..., classes)``; NaN for a class without a single sample."""
    support, predicted = counts.sum(-1), counts.sum(-2)
    return np.where(support > 0, _ratio(2 * _hits(counts), support + predicted), np.nan)


def class_sensitivity(counts: np.ndarray) -> np.ndarray:
    """Share of each class's samples that are decided so, ``(..., classes)``."""
    return _ratio(_hits(counts), counts.sum(-1))


def class_ppv(counts: np.ndarray) -> np.ndarray:
    """Share of the samples decided as each class that are of it, ``(..., classes)``."""
    return _ratio(_hits(counts), counts.sum(-2))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur, ``(...)``."""
    return _mean(class_f1(counts))


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of right decisions, ``(...)``."""
    return _ratio(_hits(counts).sum(-1), counts.sum((-2, -1)))


def auroc(counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of a histogram of margins, ties counting half (Mann–Whitney U)."""
    negatives, positives = counts[..., 0, :], counts[..., 1, :]
    below = np.cumsum(negatives, axis=-1) - negatives
    # Twice the number of ordered pairs, so that it stays a whole number.
    pairs = (positives * (2 * below + negatives)).sum(-1)
    return _ratio(pairs, 2 * negatives.sum(-1) * positives.sum(-1))


def auprc(counts: np.ndarray) -> np.ndarray:
    """Average precision ``Σ (R_k − R_{k−1})·P_k`` over a histogram of margins, highest first."""
    falling = counts[..., ::-1]
    hits = np.cumsum(falling[..., 1, :], axis=-1)
    called = hits + np.cumsum(falling[..., 0, :], axis=-1)
    precision = hits / np.maximum(called, 1)
    return _ratio((falling[..., 1, :] * precision).sum(-1), hits[..., -1])


_BY_CLASS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "f1": class_f1,
    "sensitivity": class_sensitivity,
    "ppv": class_ppv,
}
_OF_ALL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "macro_f1": macro_f1,
    "accuracy": accuracy,
    "balanced_accuracy": lambda counts: _mean(class_sensitivity(counts)),
    "abnormal_f1": lambda counts: _mean(class_f1(counts)[..., 1:]),
    "rare_f1": lambda counts: _mean(class_f1(counts)[..., 1:3]),
    "specificity": lambda counts: class_sensitivity(counts)[..., 0],
}
_RANKING: dict[str, Callable[[np.ndarray], np.ndarray]] = {"auroc": auroc, "auprc": auprc}
_LESS_IS_BETTER = {"miss": "sensitivity", "fpr": "specificity"}


def default_score(num_classes: int) -> str:
    """The score a workload is judged by where nothing else is asked for."""
    return "f1" if num_classes == 2 else "macro_f1"


def score_names(classes: Sequence[str]) -> list[str]:
    """Every score of a model with these classes; class 0 is the normal one.

    Of two classes, ``f1``, ``sensitivity`` and ``ppv`` are those of class 1; of more, each class
    has its own, ``f1:NAME``.
    """
    if len(classes) == 2:
        return [*_BY_CLASS, *_OF_ALL, *_RANKING]
    return [*_OF_ALL, *(f"{kind}:{name}" for kind in _BY_CLASS for name in classes)]


def score(name: str, classes: Sequence[str]) -> Score:
    """A score by name.

    Raises:
        ConfigError: an unknown name (the known ones are listed), or one of which less is better.
    """
    if name in _LESS_IS_BETTER:
        raise ConfigError(
            f"metric {name!r}: yield needs one of which more is better; "
            f"use {_LESS_IS_BETTER[name]!r}"
        )
    if name not in score_names(classes):
        raise ConfigError(f"metric {name!r}: known are {', '.join(score_names(classes))}")
    if name in _RANKING:
        return Score(name=name, tally="margins", of=_RANKING[name])
    kind, _, one = name.partition(":")
    if kind in _OF_ALL:
        return Score(name=name, tally="confusion", of=_OF_ALL[kind])
    index = list(classes).index(one) if one else 1
    return Score(
        name=name, tally="confusion", of=lambda counts: _BY_CLASS[kind](counts)[..., index]
    )


def scores_of_tally(name: str, classes: Sequence[str]) -> list[Score]:
    """Every score that the counts of one tally give."""
    tally(name, len(classes))
    found = [score(each, classes) for each in score_names(classes)]
    return [each for each in found if each.tally == name]


def _hits(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``; NaN where the whole is 0."""
    known = np.asarray(whole) > 0
    return np.where(known, part / np.where(known, whole, 1), np.nan)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is known; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.nanmean(values, axis=-1)
