"""What a sweep counts per chip: whole numbers that add up over parts of the beats in any order.

A score is computed from the finished counts, so that it depends neither on how the beats were cut
nor on who counted which part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from photonic.decision import Decision
from photonic.errors import ConfigError

# Margins of two logits are counted in steps of 1/128 up to ±32: exact for every ADC whose step is
# at least that, e.g. 8 bits over ±2; what is finer or further out counts as a tie.
MARGIN_STEPS_PER_UNIT, MARGIN_LIMIT = 128, 32
NUM_MARGINS = 2 * MARGIN_STEPS_PER_UNIT * MARGIN_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One way of counting: its name, the shape of the counts, and how logits are counted.

    ``count(labels (n,), logits (chips, n, classes), decision)`` gives int64 ``(chips, *shape)``.
    """

    name: str
    shape: tuple[int, ...]
    count: Callable[[np.ndarray, np.ndarray, Decision], np.ndarray]


def tally(name: str, num_classes: int) -> Tally:
    """The tally ``confusion`` or ``margins``.

    Raises:
        ConfigError: margins of more than two classes.
    """
    if name == "confusion":
        return Tally(name=name, shape=(num_classes, num_classes), count=_confusion)
    if num_classes != 2:
        raise ConfigError(f"auroc and auprc rank two classes; this model has {num_classes}")
    return Tally(name=name, shape=(2, NUM_MARGINS), count=_margins)


def _confusion(labels: np.ndarray, logits: np.ndarray, decision: Decision) -> np.ndarray:
    return confusion_counts(labels, decision(logits), len(decision.classes))


def _margins(labels: np.ndarray, logits: np.ndarray, decision: Decision) -> np.ndarray:
    return margin_counts(labels, logits)


def confusion_counts(labels: np.ndarray, decisions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts ``(..., classes, classes)``, rows the true class, columns the decided one.

    Args:
        labels: true class of each sample, ``(n,)``.
        decisions: decided class, ``(..., n)``, e.g. one row per chip.
        num_classes: number of classes.
    """
    return _counts(labels * num_classes + decisions, (num_classes, num_classes))


def margin_counts(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Histogram ``(..., 2, NUM_MARGINS)`` of logit 1 minus logit 0, rows the true class.

    Args:
        labels: 0 or 1, ``(n,)``.
        logits: ``(..., n, 2)``; a margin that is no number counts as the lowest.
    """
    margin = np.asarray(logits[..., 1], dtype=np.float64) - logits[..., 0]
    steps = np.nan_to_num(margin * MARGIN_STEPS_PER_UNIT, nan=-np.inf)
    middle = NUM_MARGINS // 2
    bins = np.clip(np.floor(steps), -middle, middle - 1).astype(np.int64) + middle
    return _counts(labels * NUM_MARGINS + bins, (2, NUM_MARGINS))


def _counts(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How often each cell of ``shape`` occurs along the last axis."""
    size, *lead = shape[0] * shape[1], *cells.shape[:-1]
    num = math.prod(lead)
    shifted = cells.reshape(num, cells.shape[-1]) + np.arange(num)[:, None] * size
    counts = np.bincount(shifted.ravel(), minlength=num * size)
    return counts.reshape(*lead, *shape)
