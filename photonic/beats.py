"""Beats of an electrocardiogram: windows, scaling, running template.

Training and streaming share this file and :mod:`photonic.rhythm`. Whatever depends on earlier
beats exists twice, as a function over a whole record and as a small state that takes one beat at a
time, and both give the same float32 values bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonic.errors import DataError

FS_HZ = 360
"""Sampling rate that windows, segments and intervals are defined at."""

WINDOW = 360
"""Samples of a beat: ``[r - 180, r + 180)`` around the R peak ``r``."""

SEGMENTS: dict[str, tuple[int, int]] = {
    "P": (0, 120),
    "QRS": (120, 240),
    "T": (240, 360),
    "Global": (0, 360),
}
"""Half-open sample ranges of a window."""

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB annotation symbols that mark a heart beat."""

NON_BEAT_SYMBOLS = frozenset("[!]x()ptu`'^|~+sT*D=\"@")
"""WFDB annotation symbols that mark anything else: rhythm, noise, flutter waves, comments."""

Template = Literal["mean", "huber"]
"""How a record's beats make its template: all alike, or strange ones with bounded influence."""

_TEMPLATE_BEATS = 64  # the template averages this many beats, then forgets at 1/64 per beat
_HUBER_BOUND = np.float32(0.2)  # of the running amplitude
# Rounding leaves about 1e-16 of the offset in a window that is flat: less than this is no signal.
_FLAT_FRACTION = 1e-12
_ONE = np.float32(1.0)

Float32s = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows cut from one lead of one record.

    Attributes:
        values: (kept beats, 360), unit of the signal, float64.
        kept: (beats,) bool, False where a beat was dropped.
        num_outside: beats dropped because their window leaves the record.
        num_gaps: beats dropped because their window holds a missing sample (NaN or infinite).
    """

    values: NDArray[np.float64]
    kept: NDArray[np.bool_]
    num_outside: int
    num_gaps: int


def window(signal: ArrayLike, r_peaks: ArrayLike) -> Windows:
    """Cut the window of every R peak; drop and count those that cannot be cut whole.

    Args:
        signal: (samples,) one lead at 360 Hz, any unit, NaN where samples are missing.
        r_peaks: (beats,) sample number of each R peak.

    Raises:
        DataError: the signal has more than one dimension.
    """
    samples = np.asarray(signal, dtype=np.float64)
    centres = np.asarray(r_peaks, dtype=np.int64)
    if samples.ndim != 1:
        raise DataError(
            f"signal has shape {samples.shape}; one lead, shape (samples,), is allowed: "
            "pick a column"
        )
    starts = centres - WINDOW // 2
    inside = (starts >= 0) & (starts + WINDOW <= len(samples))
    if inside.any():
        values = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[starts[inside]]
    else:
        values = np.empty((0, WINDOW))
    whole = np.isfinite(values).all(axis=1)
    kept = inside.copy()
    kept[inside] = whole
    return Windows(
        values=values if whole.all() else values[whole],
        kept=kept,
        num_outside=int((~inside).sum()),
        num_gaps=int((~whole).sum()),
    )


def normalise(windows: ArrayLike) -> tuple[Float32s, Float32s]:
    """Remove each beat's mean and divide by its largest magnitude.

    The mean goes first and in float64, so an offset of volts costs no precision. The quotient lies
    in [-1, 1] by construction: clipping it would change nothing. A beat's result does not depend
    on the other beats in the call.

    Args:
        windows: (beats, 360) in any unit.

    Returns:
        Beats (beats, 360) in [-1, 1], zeros for a flat one, and their amplitude (beats,): the
        largest magnitude after mean removal in the unit of the input, zero for a flat one.
    """
    values = np.ascontiguousarray(windows, dtype=np.float64)
    # What .mean() computes, in half the time for one beat.
    means = np.add.reduce(values, axis=1, keepdims=True) / values.shape[1]
    beats = np.empty(values.shape, dtype=np.float32)
    np.subtract(values, means, out=beats, casting="same_kind")
    amplitude = np.maximum(beats.max(axis=1), -beats.min(axis=1))
    flat = amplitude <= _FLAT_FRACTION * np.abs(means[:, 0])
    amplitude[flat] = 0.0
    beats[flat] = 0.0
    beats /= np.where(flat, np.float32(1.0), amplitude)[:, None]
    return beats, amplitude


def normalise_beat(window: NDArray[np.float64], out: Float32s) -> np.float32:
    """:func:`normalise` for one beat, with the same result, at a third of its cost.

    Args:
        window: (360,) in any unit.
        out: (360,) contiguous, receives the beat in [-1, 1].

    Returns:
        Its amplitude.
    """
    mean = np.add.reduce(window) / len(window)
    out[:] = window - mean
    amplitude = max(np.maximum.reduce(out), -np.minimum.reduce(out))
    if amplitude <= _FLAT_FRACTION * abs(mean):
        out[:] = 0.0
        return np.float32(0.0)
    np.divide(out, amplitude, out=out)
    return amplitude


def template_residuals(
    beats: Float32s, amplitude: Float32s, template: Template = "mean"
) -> tuple[Float32s, Float32s]:
    """How each beat differs from the record's beats before it: :class:`TemplateState` in bulk.

    Args:
        beats: (beats, 360) normalised beats of one record in time order.
        amplitude: (beats,) their amplitudes.
        template: what they are compared with.

    Returns:
        Residuals (beats, 360) in [-1, 1] and amplitude ratios (beats,).
    """
    state = TemplateState(template)
    centred = beats * amplitude[:, None]
    deviation = np.empty_like(centred)
    running = np.empty_like(amplitude)
    for i, value in enumerate(amplitude):
        running[i] = state.advance(centred[i], value, out=deviation[i])
    known = running > 0.0
    running[~known] = 1.0
    ratio = amplitude / running
    ratio[~known] = 1.0
    deviation /= running[:, None]
    _clip(deviation, to=deviation)
    return deviation, ratio


class TemplateState:
    """The record's average beat so far: mean of the first 64 beats, then 1/64 forgetting.

    With ``huber`` a beat moves each sample, and the running amplitude, as if it were at most a
    fifth of that amplitude away, so that ectopic beats hardly spoil what is usual (P. J. Huber,
    "Robust estimation of a location parameter", Ann. Math. Statist. 35, 1964).

    A flat beat tells nothing: its residual is zero, its ratio one, the state stays as it was. The
    first beat is its own template.

    Args:
        template: the kind of average.
    """

    __slots__ = ("_amplitude", "_bound", "_centred", "_count", "_step", "_template")

    def __init__(self, template: Template = "mean") -> None:
        self._bound = _HUBER_BOUND if template == "huber" else None
        self._template = np.zeros(WINDOW, dtype=np.float32)
        self._step = np.empty(WINDOW, dtype=np.float32)
        self._centred = np.empty(WINDOW, dtype=np.float32)
        self._amplitude = np.float32(0.0)
        self._count = 0

    def push(self, beat: Float32s, amplitude: np.float32, *, out: Float32s) -> float:
        """Amplitude ratio of the next beat of the record, and its residual.

        Args:
            beat: (360,) normalised beat.
            amplitude: its amplitude.
            out: (360,) receives the residual in [-1, 1].
        """
        np.multiply(beat, amplitude, out=self._centred)
        running = self.advance(self._centred, amplitude, out=out)
        if running == 0.0:
            return 1.0
        np.divide(out, running, out=out)
        _clip(out, to=out)
        return float(amplitude / running)

    def advance(self, centred: Float32s, amplitude: np.float32, *, out: Float32s) -> np.float32:
        """Write beat minus template to ``out``, take the beat in, return the former amplitude.

        Args:
            centred: (360,) beat without its mean, in the unit of the signal.
            amplitude: its largest magnitude; 0 for a flat beat.
            out: (360,) receives the deviation.

        Returns:
            Running amplitude before this beat; 0 where the beat is flat.
        """
        if amplitude == 0.0:
            out[:] = 0.0
            return np.float32(0.0)
        if self._count == 0:
            self._template[:] = centred
            self._amplitude = amplitude
        before = self._amplitude
        self._count = min(self._count + 1, _TEMPLATE_BEATS)
        weight = np.float32(1.0 / self._count)
        np.subtract(centred, self._template, out=out)
        step, change = self._step, amplitude - before
        if self._bound is None:
            np.multiply(out, weight, out=step)
        else:
            most = self._bound * before
            _clip(out, most, to=step)
            np.multiply(step, weight, out=step)
            change = min(max(change, -most), most)
        np.add(self._template, step, out=self._template)
        self._amplitude = before + change * weight
        return before


def _clip(values: Float32s, most: np.float32 = _ONE, *, to: Float32s) -> None:
    """Into ±most; on a single beat ``np.clip`` takes four times as long."""
    np.maximum(values, -most, out=to)
    np.minimum(to, most, out=to)
