"""The exact forward pass of students on the CPU, compiled with numba: samples in lanes.

A tile holds every value of a program for :data:`~photonic.kernels.lanes.LANES` samples, one row
per value. It stays in the cache from the first layer to the last.
"""

from __future__ import annotations

import numba
import numpy as np

from photonic.kernels.compiler import compiled
from photonic.kernels.lanes import LANES, add, multiply, splat, store, tanh
from photonic.kernels.tile import four_sums, one_sum, spread, take
from photonic.students.tiles import MOST_INPUTS

_ZERO, _ONE = np.float32(0), np.float32(1)
_inputs = numba.types.UniTuple(numba.float32[:, ::1], MOST_INPUTS)
_index, _table = numba.int64[::1], numba.int64[:, ::1]
_maps, _logits = numba.float32[:, ::1], numba.float32[:, :, ::1]


@numba.njit(inline="always")
def _mean_of_tanh(tile, at, apart, count, wide, weights, biases, width):  # noqa: ANN001, ANN202
    """Means of the tanh of four sums over ``count`` tokens."""
    zero = splat(_ZERO)
    t0, t1, t2, t3 = zero, zero, zero, zero
    for _ in range(count):
        y0, y1, y2, y3 = four_sums(tile, at, wide, weights, biases, width)
        t0, t1, t2, t3 = add(t0, tanh(y0)), add(t1, tanh(y1)), add(t2, tanh(y2)), add(t3, tanh(y3))
        at += apart
    share = splat(_ONE / np.float32(count))
    return multiply(t0, share), multiply(t1, share), multiply(t2, share), multiply(t3, share)


@compiled(_inputs, _index, _table, numba.int64, _maps, numba.int64, _logits)
def forward(inputs, index, table, num_rows, maps, output, logits):  # noqa: ANN001, ANN201
    """Write the logits of the chosen samples for every student.

    Args:
        inputs: each ``(n, values)``; one without values is none.
        index: numbers of the samples.
        table: one row per layer, as :class:`photonic.students.tiles.Tiled` has it.
        num_rows: values of a tile.
        maps: weights and biases of all layers, ``(students, numbers)``.
        output: row of the first logit.
        logits: ``(students, len(index), classes)``, written to.
    """
    tile, wide = np.empty(num_rows * LANES, np.float32), np.empty(maps.size * LANES, np.float32)
    begins, rows = np.empty(LANES, np.int64), np.arange(LANES) * LANES
    spread(maps.reshape(-1), wide)
    num = index.shape[0]
    for start in range(0, num, LANES):
        base = 0
        for x in inputs:
            width = x.shape[1]
            for lane in range(LANES):
                begins[lane] = index[min(start + lane, num - 1)] * width
            take(x.reshape(-1), begins, width, tile, base * LANES, rows)
            base += width
        for student in range(maps.shape[0]):
            own = student * maps.shape[1]
            for step in range(table.shape[0]):
                source, stride, width = table[step, 0], table[step, 1], table[step, 2]
                to, num_out, num_tokens = table[step, 3], table[step, 4], table[step, 5]
                mean_size, squashed, first = table[step, 6], table[step, 7], table[step, 8]
                weights, biases = (own + first) * LANES, (own + first + num_out * width) * LANES
                apart = stride * LANES
                for token in range(num_tokens):
                    at = (source + token * mean_size * stride) * LANES
                    made = (to + token * num_out) * LANES
                    for out in range(0, num_out - 3, 4):
                        w, b = weights + out * width * LANES, biases + out * LANES
                        if not squashed:
                            y = four_sums(tile, at, wide, w, b, width)
                        else:
                            y = _mean_of_tanh(tile, at, apart, mean_size, wide, w, b, width)
                        row = made + out * LANES
                        store(tile, row, y[0])
                        store(tile, row + LANES, y[1])
                        store(tile, row + 2 * LANES, y[2])
                        store(tile, row + 3 * LANES, y[3])
                    for out in range(num_out - num_out % 4, num_out):
                        w, b = weights + out * width * LANES, biases + out * LANES
                        if not squashed:
                            total = one_sum(tile, at, wide, w, b, width)
                        else:
                            total = splat(_ZERO)
                            for t in range(mean_size):
                                y = one_sum(tile, at + t * apart, wide, w, b, width)
                                total = add(total, tanh(y))
                            total = multiply(total, splat(_ONE / np.float32(mean_size)))
                        store(tile, made + out * LANES, total)
            for lane in range(min(LANES, num - start)):
                for k in range(logits.shape[2]):
                    logits[student, start + lane, k] = tile[(output + k) * LANES + lane]
