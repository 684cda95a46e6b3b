"""What augmentation does to the beats of a batch, in one pass, compiled with numba."""

from __future__ import annotations

import math

import numba
import numpy as np

from photonic.students.kernel import compiled

_beats, _rows = numba.float32[:, :, ::1], numba.float32[:, ::1]
_index, _vector = numba.int64[::1], numba.float32[::1]
_ONE, _HALF, _TURN = np.float32(1), np.float32(0.5), np.float32(2 * math.pi)


# sin(x) = x · P(x²) for |x| ≤ π/2: Taylor's, within 6e-8.
_P = tuple(np.float32((-1.0) ** k / math.factorial(2 * k + 1)) for k in range(5, -1, -1))


@numba.njit(inline="always", fastmath=True)
def _sine(turns):  # noqa: ANN001, ANN202
    """``sin(2π · turns)``."""
    turn = turns - np.floor(turns + _HALF)
    size = abs(turn)
    x = _TURN * min(size, _HALF - size)
    z = x * x
    y = x * (((((_P[0] * z + _P[1]) * z + _P[2]) * z + _P[3]) * z + _P[4]) * z + _P[5])
    return y if turn >= 0 else -y


@compiled(_beats, _index, _index, _rows, _vector, _beats, _vector, numba.float32, _beats)
def augmented_beats(  # noqa: ANN201
    beats, batch, shift, wander, amplitude, white, level, fs_hz, out  # noqa: ANN001
):  # fmt: skip
    """Write ``(beat moved by its shift + wander) · amplitude + white · level``, clipped to ±1.

    Args:
        beats: every beat ``(n, samples, channels)``.
        batch: numbers of those to take.
        shift: samples to move each by; the edge value fills the gap.
        wander: rate in Hz, phase in turns and amplitude of a sine for all channels ``(batch, 3)``;
            without rows there is none.
        amplitude: factor of each.
        white: ``(batch, samples, channels)``; without rows there is none.
        level: factor of the white noise of each.
        fs_hz: samples per second.
        out: ``(batch, samples, channels)``, written to.
    """
    samples, channels = beats.shape[1], beats.shape[2]
    wave, drift = np.zeros(samples, np.float32), np.zeros(samples * channels, np.float32)
    for row in range(batch.shape[0]):
        taken, to, moved = beats[batch[row]], out[row], shift[row]
        first, last = min(max(-moved, 0), samples), min(max(samples - moved, 0), samples)
        for t in range(first):
            to[t] = taken[0]
        flat, source, move = to.reshape(-1), taken.reshape(-1), moved * channels
        for k in range(first * channels, last * channels):
            flat[k] = source[k + move]
        for t in range(last, samples):
            to[t] = taken[samples - 1]
        if wander.shape[0]:
            rate, phase, size = wander[row, 0] / fs_hz, wander[row, 1], wander[row, 2]
            for t in range(samples):
                wave[t] = size * _sine(rate * np.float32(t) + phase)
            for channel in range(channels):
                for t in range(samples):
                    drift[t * channels + channel] = wave[t]
        factor = amplitude[row]
        if white.shape[0]:
            noise, size = white[row].reshape(-1), level[row]
            for k in range(flat.shape[0]):
                value = (flat[k] + drift[k]) * factor + noise[k] * size
                flat[k] = min(max(value, -_ONE), _ONE)
        else:
            for k in range(flat.shape[0]):
                flat[k] = min(max((flat[k] + drift[k]) * factor, -_ONE), _ONE)
