"""Means of ``tanh(W·patch + b)`` and their derivatives on the CPU, compiled with numba.

A segment encoder spends its time on patches → product → tanh → mean. Written with array operations
each of them streams the whole batch through memory, and the tanh of torch alone takes longer than
everything here: one pass in which a patch lives in registers. The derivative comes along, because
with y the activation the mean depends on W by ``Σ (1 - y²) · patch``, whatever the loss will be.

It covers the patches of a 4×4 core: four samples of one channel, one by one, in float32.
"""

from __future__ import annotations

import numba
import numpy as np

from photonic.kernels.compiler import PATCH, compiled
from photonic.kernels.lanes import LANES, add, fma, load, multiply, slope, splat, store, tanh, turn
from photonic.kernels.tile import take

_ZERO, _ONE = np.float32(0), np.float32(1)
_rows, _found = numba.float32[:, :, ::1], numba.float32[:, :, :, :, ::1]


@compiled(_rows, _rows, numba.float32[:, ::1], numba.int64, numba.int64, _found)
def tanh_means_and_slopes(x, weight, bias, start, mean_size, found):  # noqa: ANN001, ANN201
    """Means of ``tanh(weight · x[t:t + 4] + bias)`` over runs of ``mean_size`` tokens.

    Args:
        x: ``(students, batch, samples)``; one row serves all students.
        weight: ``(students, out, 4)``.
        bias: ``(students, out)``.
        start: first sample of the first patch.
        mean_size: patches to a mean.
        found: ``(students, batch, num_means, out, LANES)``, written to: the mean, then what it
            changes by with the four weights and with the bias; the rest is undefined. The batch is
            filled up to whole :data:`~photonic.kernels.lanes.LANES`.
    """
    num, samples, num_means, num_out = x.shape[1], x.shape[2], found.shape[2], found.shape[3]
    width = num_means * mean_size + PATCH - 1
    given, results = x.reshape(-1), found.reshape(-1)
    tile, made = np.empty(width * LANES, np.float32), np.zeros(LANES * LANES, np.float32)
    begins, places, rows = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.arange(LANES)
    rows *= LANES
    share = splat(_ONE / np.float32(mean_size))
    for student in range(weight.shape[0]):
        first = min(student, x.shape[0] - 1) * num
        for block in range(0, num, LANES):
            for lane in range(LANES):
                begins[lane] = (first + min(block + lane, num - 1)) * samples + start
                places[lane] = (student * found.shape[1] + block + lane) * num_means * num_out
                places[lane] *= LANES
            take(given, begins, width, tile, 0, rows)
            for token in range(num_means):
                for out in range(num_out):
                    w0, w1 = splat(weight[student, out, 0]), splat(weight[student, out, 1])
                    w2, w3 = splat(weight[student, out, 2]), splat(weight[student, out, 3])
                    b, total = splat(bias[student, out]), splat(_ZERO)
                    d0, d1, d2, d3, d4 = total, total, total, total, total
                    row = token * mean_size * LANES
                    for _ in range(mean_size):
                        x0, x1 = load(tile, row), load(tile, row + LANES)
                        x2, x3 = load(tile, row + 2 * LANES), load(tile, row + 3 * LANES)
                        y = tanh(fma(w3, x3, fma(w2, x2, fma(w1, x1, fma(w0, x0, b)))))
                        change = slope(y)
                        total, d4 = add(total, y), add(d4, change)
                        d0, d1 = fma(change, x0, d0), fma(change, x1, d1)
                        d2, d3 = fma(change, x2, d2), fma(change, x3, d3)
                        row += LANES
                    store(made, 0, multiply(total, share))
                    store(made, LANES, multiply(d0, share))
                    store(made, 2 * LANES, multiply(d1, share))
                    store(made, 3 * LANES, multiply(d2, share))
                    store(made, 4 * LANES, multiply(d3, share))
                    store(made, 5 * LANES, multiply(d4, share))
                    to = (token * num_out + out) * LANES
                    turn(made, rows, 0, results, places, to)
