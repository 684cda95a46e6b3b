"""From matrices of beat pairs to sensitivity, positive predictivity and false positive rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.ec57.marks import CLASSES
from training.ec57.match import MISSED, SIZE

Floats = NDArray[np.float64]

FIGURES: dict[str, tuple[str, ...]] = {
    "qrs": ("sensitivity", "ppv"),
    "veb": ("sensitivity", "ppv", "fpr"),
    "sveb": ("sensitivity", "ppv", "fpr"),
    "abnormal": ("sensitivity", "ppv", "fpr"),
}
"""Figures per event. There is no false positive rate of QRS detection: no beat is a true negative.

``abnormal`` is not of EC57: any class but N against N, for students that tell no more.
"""

_N, _S, _V, _F, _Q = range(len(CLASSES))
_BEATS = slice(0, MISSED)
_ABNORMAL = slice(_S, MISSED)
_LOST = slice(MISSED, SIZE)


def figures(counts: ArrayLike) -> dict[str, dict[str, Floats]]:
    """Every figure of matrices of beat pairs, NaN where it is undefined.

    As in ``bxb``, a reference fusion beat (F) or unclassifiable beat (Q) that is called V is no
    false positive of V, and a reference Q called S is none of S. The false positive rate of V is
    VFP/(VTN + VFP), with the true negatives of ``bxb``: detected and extra beats that are not V and
    not called V. ``bxb`` prints none for S; it is formed in the same way here.

    Args:
        counts: (..., 7, 7) as :func:`training.ec57.match.match` counts them.

    Returns:
        Event -> figure -> (...); events and figures as in :data:`FIGURES`.
    """
    pairs = np.asarray(counts)

    def total(rows: slice | list[int], columns: slice | list[int]) -> Floats:
        return pairs[..., rows, :][..., columns].sum(axis=(-2, -1)).astype(np.float64)

    detected = total(_BEATS, _BEATS)
    everything = slice(0, SIZE)
    return {
        "qrs": {
            "sensitivity": _ratio(detected, total(_BEATS, everything)),
            "ppv": _ratio(detected, total(everything, _BEATS)),
        },
        "veb": _event(pairs, _V, forgiven=[_F, _Q]),
        "sveb": _event(pairs, _S, forgiven=[_Q]),
        "abnormal": {
            "sensitivity": _ratio(total(_ABNORMAL, _ABNORMAL), total(_ABNORMAL, everything)),
            "ppv": _ratio(total(_ABNORMAL, _ABNORMAL), total(everything, _ABNORMAL)),
            "fpr": _ratio(
                total([_N, MISSED, MISSED + 1], _ABNORMAL),
                total([_N, MISSED, MISSED + 1], _BEATS),
            ),
        },
    }


def called_abnormal(counts: ArrayLike) -> dict[str, Floats]:
    """Share of the reference beats of each abnormal class that were called anything but N."""
    pairs = np.asarray(counts)
    return {
        CLASSES[row]: _ratio(
            pairs[..., row, _ABNORMAL].sum(axis=-1).astype(np.float64),
            pairs[..., row, :].sum(axis=-1).astype(np.float64),
        )
        for row in (_S, _V, _F, _Q)
    }


def _event(pairs: NDArray[np.int64], index: int, *, forgiven: list[int]) -> dict[str, Floats]:
    """Figures of one class; reference beats of the forgiven ones make no false positive."""
    hits = pairs[..., index, index].astype(np.float64)
    others = [row for row in range(SIZE) if row != index]
    blamed = [row for row in others if row not in forgiven]
    alarms = pairs[..., blamed, index].sum(axis=-1).astype(np.float64)
    quiet_columns = [column for column in range(MISSED) if column != index]
    quiet = pairs[..., others, :][..., quiet_columns].sum(axis=(-2, -1)).astype(np.float64)
    return {
        "sensitivity": _ratio(hits, pairs[..., index, :].sum(axis=-1).astype(np.float64)),
        "ppv": _ratio(hits, hits + alarms),
        "fpr": _ratio(alarms, quiet + alarms),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
