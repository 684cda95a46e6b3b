"""Confidence intervals that respect patients: whole records are drawn, not beats.

Beats of one patient are near copies of each other, so that an interval over beats would be far too
narrow. Every draw takes as many records as there are, with replacement; the figure is computed on
their sum. All draws are one product of matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_DRAWS = 2000
LEVEL = 0.95

# A class that only three of n records hold is missing from about e^-3 = 5 % of the draws. With
# fewer holders the percentiles would describe those records, not the figure.
_MOST_UNDEFINED = 0.05

Interval = tuple[float, float] | None


def draw_weights(num_records: int, *, draws: int = NUM_DRAWS, seed: int = 0) -> NDArray[np.int64]:
    """How often each draw takes each record: (draws, records), rows of sum ``num_records``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_records, np.full(num_records, 1.0 / num_records), size=draws)


def summed(weights: NDArray[np.int64], per_record: ArrayLike) -> NDArray[Any]:
    """Counts (records, ...) summed over the records of every draw: (draws, ...)."""
    return np.tensordot(weights, np.asarray(per_record), axes=1)


def interval(values: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Percentile interval of a figure over the draws (draws,), NaN where it is undefined.

    Returns:
        None where more than 5 % of the draws are undefined: too few records hold the class.
    """
    drawn = np.asarray(values, dtype=np.float64)
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < (1.0 - _MOST_UNDEFINED) * len(drawn):
        return None
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def auroc_draws(
    weights: NDArray[np.int64], scores: ArrayLike, positive: ArrayLike, record: ArrayLike
) -> NDArray[np.float64]:
    """Area under the ROC curve of every draw (draws,), NaN where a draw holds one class only.

    The number of pairs of a positive of one record below, at or above a negative of another does
    not depend on the draw: it is counted once per pair of records and weighted by both.

    Args:
        weights: (draws, records).
        scores: (n,) score of the positive class.
        positive: (n,) bool.
        record: (n,) index of each sample's record.
    """
    score, truth, owner = np.asarray(scores), np.asarray(positive, dtype=bool), np.asarray(record)
    num = weights.shape[1]
    groups = [
        (np.sort(score[(owner == r) & truth]), np.sort(score[(owner == r) & ~truth]))
        for r in range(num)
    ]
    wins = np.zeros((num, num))
    for row, (mine, _) in enumerate(groups):
        for column, (_, theirs) in enumerate(groups):
            below = np.searchsorted(theirs, mine, side="left").sum()
            at_or_below = np.searchsorted(theirs, mine, side="right").sum()
            wins[row, column] = (below + at_or_below) / 2.0
    positives = weights @ np.array([len(mine) for mine, _ in groups])
    negatives = weights @ np.array([len(theirs) for _, theirs in groups])
    pairs = (positives * negatives).astype(np.float64)
    won = np.einsum("dr,rs,ds->d", weights, wins, weights, optimize=True)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
