"""Where a beat is centred: its R peak as marked, or the middle of its QRS complex.

Annotators, detectors and databases mark R peaks some samples apart. A student that sees windows cut
around the marks learns one marker's habits; the middle of the QRS's energy is a property of the
signal, and the same from every mark nearby.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Centre = Literal["r-peak", "qrs"]
"""What windows and intervals are taken from: the mark itself, or :func:`qrs_centres`."""

MAX_SHIFT = 30
"""A centre lies at most this many samples (83 ms at 360 Hz) from the mark."""

_HALF_WIDTH = 30  # of the stretch whose middle is sought
_HALF_STEP = 5  # slopes are differences over twice this
_ROUNDS = 4
_OFFSETS = np.arange(-MAX_SHIFT - _HALF_WIDTH, MAX_SHIFT + _HALF_WIDTH + 1, dtype=np.float64)

REACH = MAX_SHIFT + _HALF_WIDTH + _HALF_STEP
"""Samples on either side of the mark that decide where the centre is."""


def qrs_centres(signal: ArrayLike, r_peaks: ArrayLike) -> NDArray[np.int64]:
    """The middle of each QRS complex of one lead, ascending like the marks.

    Args:
        signal: (samples,) one lead at 360 Hz, any unit, NaN where samples are missing.
        r_peaks: (beats,) ascending sample numbers of the marks.

    Returns:
        (beats,) sample numbers, each at most :data:`MAX_SHIFT` from its mark unless that would put
        it before the one ahead of it.
    """
    marks = np.asarray(r_peaks, dtype=np.int64)
    padded = np.pad(np.asarray(signal, dtype=np.float64), REACH, constant_values=np.nan)
    segments = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)
    return np.maximum.accumulate(marks + centre_shifts(segments[marks]))


def centre_shifts(segments: NDArray[np.float64]) -> NDArray[np.int64]:
    """Samples from the mark to the middle of the QRS complex.

    Mean shift (Fukunaga and Hostetler 1975): from the mark, go to the centre of mass of the squared
    slope within 83 ms on either side, and again from there. What is missing has no slope; where
    there is none at all the mark stays.

    Args:
        segments: (beats, 131) samples around each mark, NaN where missing.

    Returns:
        (beats,), each within ``±MAX_SHIFT``; a beat's does not depend on the others in the call.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # what is infinite is missing, too
        slope = segments[:, 2 * _HALF_STEP :] - segments[:, : -2 * _HALF_STEP]
        energy = slope * slope
    np.copyto(energy, 0.0, where=~np.isfinite(energy))
    mass, moment = _running_sum(energy), _running_sum(energy * _OFFSETS)
    beats = np.arange(len(segments))
    shifts = np.zeros(len(segments), dtype=np.int64)
    for _ in range(_ROUNDS):
        start = shifts + MAX_SHIFT
        stop = start + 2 * _HALF_WIDTH + 1
        within = mass[beats, stop] - mass[beats, start]
        middle = moment[beats, stop] - moment[beats, start]
        np.divide(middle, within, out=middle, where=within > 0.0)
        before, shifts = shifts, np.rint(middle).astype(np.int64)
        np.minimum(np.maximum(shifts, -MAX_SHIFT), MAX_SHIFT, out=shifts)
        if (shifts == before).all():
            break
    return shifts


def centre_shift(segment: NDArray[np.float64]) -> int:
    """:func:`centre_shifts` of one beat: the same number in a fifth of the time.

    Args:
        segment: (131,) samples around the mark, NaN where missing.
    """
    if not np.isfinite(segment).all():
        return int(centre_shifts(segment[None])[0])
    slope = segment[2 * _HALF_STEP :] - segment[: -2 * _HALF_STEP]
    energy = slope * slope
    mass, moment = np.zeros(len(energy) + 1), np.zeros(len(energy) + 1)
    np.cumsum(energy, out=mass[1:])
    np.cumsum(energy * _OFFSETS, out=moment[1:])
    shift = 0
    for _ in range(_ROUNDS):
        start = shift + MAX_SHIFT
        stop = start + 2 * _HALF_WIDTH + 1
        within = mass.item(stop) - mass.item(start)
        middle = moment.item(stop) - moment.item(start)
        if within > 0.0:
            middle /= within
        before, shift = shift, min(max(round(middle), -MAX_SHIFT), MAX_SHIFT)
        if shift == before:
            break
    return shift


def _running_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, ... values of each row."""
    sums = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums
