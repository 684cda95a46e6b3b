"""What augmentation does to the beats of a batch, in one pass, compiled with numba."""

from __future__ import annotations

import numba
import numpy as np

from photonic.students.kernel import compiled

_beats, _rows = numba.float32[:, :, ::1], numba.float32[:, ::1]
_index, _vector = numba.int64[::1], numba.float32[::1]
_ONE = np.float32(1)


@compiled(_beats, _index, _index, _rows, _vector, _beats, _vector, _beats)
def augmented_beats(  # noqa: ANN201
    beats, batch, shift, wander, amplitude, white, level, out  # noqa: ANN001
):  # fmt: skip
    """Write ``(beat moved by its shift + wander) · amplitude + white · level``, clipped to ±1.

    Args:
        beats: every beat ``(n, samples, channels)``.
        batch: numbers of those to take.
        shift: samples to move each by; the edge value fills the gap.
        wander: ``(batch, samples)``, for all channels; without rows there is none.
        amplitude: factor of each.
        white: ``(batch, samples, channels)``; without rows there is none.
        level: factor of the white noise of each.
        out: ``(batch, samples, channels)``, written to.
    """
    samples, channels = beats.shape[1], beats.shape[2]
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
        if wander.shape[0] and channels == 1:
            for t in range(samples):
                flat[t] += wander[row, t]
        elif wander.shape[0]:
            for t in range(samples):
                for channel in range(channels):
                    to[t, channel] += wander[row, t]
        factor = amplitude[row]
        if white.shape[0]:
            noise, size = white[row].reshape(-1), level[row]
            for k in range(flat.shape[0]):
                flat[k] = min(max(flat[k] * factor + noise[k] * size, -_ONE), _ONE)
        else:
            for k in range(flat.shape[0]):
                flat[k] = min(max(flat[k] * factor, -_ONE), _ONE)
