"""The exact forward pass of students on the CPU, compiled with numba: samples in lanes.

A tile holds every value of a program for :data:`~photonic.kernels.lanes.LANES` samples, one row
per value. It stays in the cache from the first layer to the last.
"""

from __future__ import annotations

import numba
import numpy as np

from photonic.kernels.compiler import compiled
from photonic.kernels.lanes import LANES, add, fma, load, multiply, splat, store, tanh, turn
from photonic.students.tiles import MOST_INPUTS

_ZERO, _ONE = np.float32(0), np.float32(1)
_inputs = numba.types.UniTuple(numba.float32[:, ::1], MOST_INPUTS)
_index, _table = numba.int64[::1], numba.int64[:, ::1]
_maps, _logits = numba.float32[:, ::1], numba.float32[:, :, ::1]


@numba.njit(inline="always")
def _sums(tile, row, w, first, num_in, bias):  # noqa: ANN001, ANN202
    """``bias + Σ w[first + k] · tile[row + k]``."""
    total = splat(bias)
    for k in range(num_in):
        total = fma(splat(w[first + k]), load(tile, (row + k) * LANES), total)
    return total


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
    tile = np.empty(num_rows * LANES, np.float32)
    begins, rows = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    num = index.shape[0]
    for start in range(0, num, LANES):
        base = 0
        for x in inputs:
            width, flat = x.shape[1], x.reshape(-1)
            for lane in range(LANES):
                begins[lane] = index[min(start + lane, num - 1)] * width
                rows[lane] = (base + lane) * LANES
            for _ in range(width // LANES):
                turn(flat, begins, tile, rows)
                begins += LANES
                rows += LANES * LANES
            for k in range(width - width % LANES, width):
                for lane in range(LANES):
                    tile[(base + k) * LANES + lane] = flat[begins[lane]]
                begins += 1
            base += width
        for student in range(maps.shape[0]):
            w = maps[student]
            for step in range(table.shape[0]):
                source, stride, num_in = table[step, 0], table[step, 1], table[step, 2]
                to, num_out, num_tokens = table[step, 3], table[step, 4], table[step, 5]
                mean_size, squashed, weights = table[step, 6], table[step, 7], table[step, 8]
                share = splat(_ONE / np.float32(mean_size))
                for token in range(num_tokens):
                    for out in range(num_out):
                        first = weights + out * num_in
                        bias = w[weights + num_out * num_in + out]
                        row = source + token * mean_size * stride
                        if not squashed:
                            made = _sums(tile, row, w, first, num_in, bias)
                        elif num_in == 4:
                            w0, w1 = splat(w[first]), splat(w[first + 1])
                            w2, w3 = splat(w[first + 2]), splat(w[first + 3])
                            b, made, x0 = splat(bias), splat(_ZERO), row * LANES
                            for _ in range(mean_size):
                                y = fma(w0, load(tile, x0), b)
                                y = fma(w1, load(tile, x0 + LANES), y)
                                y = fma(w2, load(tile, x0 + 2 * LANES), y)
                                y = fma(w3, load(tile, x0 + 3 * LANES), y)
                                made = add(made, tanh(y))
                                x0 += stride * LANES
                            made = multiply(made, share)
                        else:
                            made = splat(_ZERO)
                            for t in range(mean_size):
                                where = row + t * stride
                                made = add(made, tanh(_sums(tile, where, w, first, num_in, bias)))
                            made = multiply(made, share)
                        store(tile, (to + token * num_out + out) * LANES, made)
            for lane in range(min(LANES, num - start)):
                for k in range(logits.shape[2]):
                    logits[student, start + lane, k] = tile[(output + k) * LANES + lane]
