"""Rhythm of a heart as two tokens of four channels per beat, from R peaks alone.

:func:`rhythm_tokens` takes a whole record, :class:`RhythmState` one beat at a time; both give the
same float32 values bit for bit. Nothing looks further ahead than one beat.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import ArrayLike

from photonic.beats import FS_HZ, Float32s
from photonic.errors import DataError

POST_SLOTS = ((0, 1), (0, 3))
"""(token, channel) of the slots that need the next R peak."""

_LOCAL_BEATS = 10
_USUAL_RR = 288  # 0.8 s, 75 beats per minute: the centre of the absolute-rate slot
# An interval under 0.15 s is one beat marked twice (EC57's match window), one over 3 s tells of a
# lead that is off or of flutter, not of rhythm: both count as the limit.
_SHORTEST_RR, _LONGEST_RR = 54, 1080
# Slots of a beat in order, two tokens of four, and their gains inside the tanh. All but two are
# logarithms of ratios; a ratio of one, the default, leaves a slot at zero.
_SLOTS = range(8)
(
    _PRE_LOCAL, _POST_LOCAL, _PRE_SO_FAR, _POST_PRE,
    _PRE_PREVIOUS, _IRREGULARITY, _RATE, _AMPLITUDE,
) = _SLOTS  # fmt: skip
_SLOT_GAINS = np.array([3.0, 3.0, 3.0, 2.0, 3.0, 6.0, 2.0, 2.0])


def rhythm_tokens(r_peaks: ArrayLike, amplitude_ratio: ArrayLike | None = None) -> Float32s:
    """Two tokens of four rhythm channels per beat, with one beat of delay.

    With ``pre`` and ``post`` the intervals before and after the beat, ``local`` the mean of the ten
    intervals before ``pre`` and ``so_far`` the mean of all before ``pre``::

        tanh [3 log pre/local, 3 log post/local, 3 log pre/so_far, 2 log post/pre]
        tanh [3 log pre/previous, 6 irregularity, 2 (pre - 0.8 s), 2 log amplitude_ratio]

    ``irregularity`` is the mean |log pre/previous| of the last ten beats. What a record's first
    beats cannot know yet is zero, as are the ``post`` slots of its last beat. Intervals are limited
    to 0.15 s .. 3 s.

    Args:
        r_peaks: (beats,) ascending sample numbers at 360 Hz of *all* beats of one record,
            including those that are not classified.
        amplitude_ratio: (beats,) amplitude over running amplitude; ones if left out.

    Returns:
        (beats, 2, 4) float32; :func:`causal_tokens` removes the delay.
    """
    peaks = np.asarray(r_peaks, dtype=np.int64)
    num = len(peaks)
    ratios = np.ones((num, len(_SLOTS)))
    if amplitude_ratio is not None:
        ratios[:, _AMPLITUDE] = amplitude_ratio
    pre = np.full(num, _USUAL_RR)
    if num > 1:
        rr = np.clip(np.diff(peaks), _SHORTEST_RR, _LONGEST_RR)
        pre[1:] = rr
        # Intervals are whole samples: their sums are exact, in bulk and one by one.
        total = np.concatenate([[0], np.cumsum(rr)])[:-1]
        count = np.arange(num - 1)
        oldest = np.maximum(count - _LOCAL_BEATS, 0)
        local = np.where(count > 0, (total - total[oldest]) / np.maximum(count - oldest, 1), rr)
        so_far = np.where(count > 0, total / np.maximum(count, 1), rr)
        ratios[1:, _PRE_LOCAL] = rr / local
        ratios[1:, _PRE_SO_FAR] = rr / so_far
        ratios[1:-1, _POST_LOCAL] = rr[1:] / local[:-1]
        ratios[1:-1, _POST_PRE] = rr[1:] / rr[:-1]
        ratios[2:, _PRE_PREVIOUS] = rr[1:] / rr[:-1]
    slots = np.log(ratios)
    changes = np.concatenate([np.zeros(_LOCAL_BEATS - 1), np.abs(slots[:, _PRE_PREVIOUS])])
    irregularity = np.zeros(num)
    for lag in range(_LOCAL_BEATS):  # oldest first, the order in which the state adds
        irregularity += changes[lag : lag + num]
    irregularity /= np.clip(np.arange(num) - 1, 1, _LOCAL_BEATS)
    slots[:, _IRREGULARITY] = irregularity
    slots[:, _RATE] = (pre - _USUAL_RR) / FS_HZ
    return np.tanh(_SLOT_GAINS * slots).astype(np.float32).reshape(num, 2, 4)


def causal_tokens(tokens: Float32s) -> Float32s:
    """Copy of tokens (..., 2, 4) with the slots that need the next beat set to zero."""
    causal = tokens.copy()
    for token, channel in POST_SLOTS:
        causal[..., token, channel] = 0.0
    return causal


class RhythmState:
    """Rhythm tokens one beat at a time; see :func:`rhythm_tokens` for what they hold.

    Without delay, :meth:`push` is all that is needed. With one beat of delay, call
    :meth:`with_post` with the next R peak before pushing that one.
    """

    __slots__ = ("_changes", "_count", "_peak", "_pre", "_ratios", "_recent", "_total")

    def __init__(self) -> None:
        self._peak: int | None = None
        self._pre: int | None = None
        # Intervals before `pre`: the last ten, and the sum and number of all.
        self._recent: deque[int] = deque(maxlen=_LOCAL_BEATS)
        self._total = 0
        self._count = 0
        self._changes: deque[float] = deque(maxlen=_LOCAL_BEATS)
        self._ratios = np.ones(len(_SLOTS))

    def push(self, r_peak: int, amplitude_ratio: float = 1.0) -> Float32s:
        """Tokens (2, 4) of the next beat, the slots that need its successor at zero.

        Args:
            r_peak: sample number at 360 Hz, later than the one before.
            amplitude_ratio: amplitude over running amplitude.
        """
        self.advance(r_peak, amplitude_ratio)
        return self._current()

    def advance(self, r_peak: int, amplitude_ratio: float = 1.0) -> None:
        """:meth:`push` where the tokens are not wanted, or not yet."""
        self._ratios.fill(1.0)
        self._ratios[_AMPLITUDE] = amplitude_ratio
        if self._peak is not None:
            self._take_interval(_limited(r_peak - self._peak))
        self._peak = int(r_peak)

    def with_post(self, next_r_peak: int) -> Float32s:
        """Tokens (2, 4) of the beat pushed last, now that the next R peak is known.

        Raises:
            DataError: no beat was pushed yet.
        """
        if self._peak is None:
            raise DataError("no beat was pushed yet: push an R peak before asking for its tokens")
        if self._pre is not None:
            post = _limited(next_r_peak - self._peak)
            self._ratios[_POST_LOCAL] = post / self._local(self._pre)
            self._ratios[_POST_PRE] = post / self._pre
        return self._current()

    def _take_interval(self, pre: int) -> None:
        if self._pre is not None:
            self._recent.append(self._pre)
            self._total += self._pre
            self._count += 1
            self._ratios[_PRE_LOCAL] = pre / self._local(pre)
            self._ratios[_PRE_SO_FAR] = pre / (self._total / self._count)
            self._ratios[_PRE_PREVIOUS] = pre / self._pre
            self._changes.append(abs(float(np.log(pre / self._pre))))
        self._pre = pre

    def _local(self, pre: int) -> float:
        return sum(self._recent) / len(self._recent) if self._recent else float(pre)

    def _current(self) -> Float32s:
        irregularity = 0.0
        for change in self._changes:  # not sum(): from Python 3.12 on it compensates rounding
            irregularity += change
        slots = np.log(self._ratios)
        slots[_IRREGULARITY] = irregularity / max(len(self._changes), 1)
        slots[_RATE] = 0.0 if self._pre is None else (self._pre - _USUAL_RR) / FS_HZ
        slots *= _SLOT_GAINS
        return np.tanh(slots, out=slots).astype(np.float32).reshape(2, 4)


def _limited(interval: int) -> int:
    return min(max(int(interval), _SHORTEST_RR), _LONGEST_RR)
