"""What augmentation does to the beats of a batch, in one pass, compiled with numba."""

from __future__ import annotations

import numba
import numpy as np

from photonic.kernels.compiler import compiled, fast_sine

_rows, _vector, _index = numba.float32[:, ::1], numba.float32[::1], numba.int64[::1]
_ONE = np.float32(1)


# Loops that a compiler vectorises: it does not where they stand among others.


@numba.njit(fastmath=True)
def _copy(values, to):  # noqa: ANN001, ANN202
    for k in range(len(to)):
        to[k] = values[k]


@numba.njit(fastmath=True)
def _sine(time_s, wander, to):  # noqa: ANN001, ANN202
    rate_hz, phase, size = wander[0], wander[1], wander[2]
    for k in range(len(to)):
        to[k] = size * fast_sine(rate_hz * time_s[k] + phase)


@numba.njit(fastmath=True)
def _disturb(values, drift, factor):  # noqa: ANN001, ANN202
    for k in range(len(values)):
        values[k] = (values[k] + drift[k]) * factor


@numba.njit(fastmath=True)
def _add(values, noise, level):  # noqa: ANN001, ANN202
    for k in range(len(values)):
        values[k] += noise[k] * level


@numba.njit(fastmath=True)
def _clip(values):  # noqa: ANN001, ANN202
    for k in range(len(values)):
        values[k] = min(max(values[k], -_ONE), _ONE)


@compiled(
    _rows, numba.int64, _index, _index, _rows, _vector, _rows, _vector, numba.float32, _rows
)  # fmt: skip
def augmented_beats(  # noqa: ANN201
    beats, channels, batch, shift, wander, amplitude, white, level, fs_hz, out  # noqa: ANN001
):  # fmt: skip
    """Write ``(beat moved by its shift + wander) · amplitude + white · level``, clipped to ±1.

    Args:
        beats: every beat ``(n, samples · channels)``.
        channels: of a sample.
        batch: numbers of those to take.
        shift: samples to move each by; the edge value fills the gap.
        wander: rate in Hz, phase in turns and amplitude of a sine for all channels ``(batch, 3)``;
            without rows there is none.
        amplitude: factor of each.
        white: ``(batch, samples · channels)``; without rows there is none.
        level: factor of the white noise of each.
        fs_hz: samples per second.
        out: ``(batch, samples · channels)``, written to.
    """
    numbers = beats.shape[1]
    drift, time_s = np.zeros(numbers, np.float32), np.empty(numbers, np.float32)
    for k in range(numbers):
        time_s[k] = np.float32(k // channels) / fs_hz
    for row in range(len(batch)):
        taken, to, moved = beats[batch[row]], out[row], shift[row] * channels
        first, last = min(max(-moved, 0), numbers), min(max(numbers - moved, 0), numbers)
        for k in range(first):
            to[k] = taken[k % channels]
        for k in range(last, numbers):
            to[k] = taken[numbers - channels + k % channels]
        _copy(taken[first + moved :], to[first:last])
        if len(wander):
            _sine(time_s, wander[row], drift)
        _disturb(to, drift, amplitude[row])
        if len(white):
            _add(to, white[row], level[row])
        _clip(to)
