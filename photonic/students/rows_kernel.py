"""Affine maps of several students and their derivatives on the CPU, compiled with numba.

The members of a population are the outermost axis, so that one call serves all of them: a layer of
a student is so small that starting an operation takes as long as its arithmetic.
"""

from __future__ import annotations

import numba
import numpy as np

from photonic.kernels.compiler import PATCH, compiled, fast_tanh

_ONE, _ZERO = np.float32(1), np.float32(0)
_BLOCK = 256
_members, _biases, _flag = numba.float32[:, :, ::1], numba.float32[:, ::1], numba.boolean


@compiled(_members, _members, _biases, _flag, _members)
def affine_rows(x, across, bias, squashed, y):  # noqa: ANN001, ANN201
    """Write ``weight · x + bias``, or its tanh, of every row of every member to ``y``.

    Args:
        x: ``(members, rows, in)``.
        across: weights, transposed, ``(members, in, out)``.
        bias: ``(members, out)``.
        squashed: whether a tanh follows.
        y: ``(members, rows, out)``, written to.
    """
    num_in, num_out = across.shape[1], across.shape[2]
    for member in range(x.shape[0]):
        w, b = across[member], bias[member]
        for row in range(x.shape[1]):
            given, sums = x[member, row], y[member, row]
            if num_out == PATCH:  # lanes of one register
                s0, s1, s2, s3 = b[0], b[1], b[2], b[3]
                for k in range(num_in):
                    value = given[k]
                    s0 += w[k, 0] * value
                    s1 += w[k, 1] * value
                    s2 += w[k, 2] * value
                    s3 += w[k, 3] * value
                sums[0], sums[1], sums[2], sums[3] = s0, s1, s2, s3
            else:
                for out in range(num_out):
                    total = b[out]
                    for k in range(num_in):
                        total += w[k, out] * given[k]
                    sums[out] = total
    if squashed:
        flat = y.reshape(-1)
        for k in range(flat.shape[0]):
            flat[k] = fast_tanh(flat[k])


@compiled(_members, _members, _members, _biases)
def tanh_slopes(y, grad, slope, total):  # noqa: ANN001, ANN201
    """Write the gradient of what went into a tanh, and its sum over the rows.

    Args:
        y: ``(members, rows, out)`` that came out.
        grad: gradient of ``y``.
        slope: as ``y``, written to.
        total: ``(members, out)``, written to.
    """
    made, given, flat = y.reshape(-1), grad.reshape(-1), slope.reshape(-1)
    for k in range(flat.shape[0]):
        flat[k] = given[k] * (_ONE - made[k] * made[k])
    rows, num_out = y.shape[1], y.shape[2]
    for member in range(y.shape[0]):
        of_member, sums = slope[member], total[member]
        sums[:] = _ZERO
        for start in range(0, rows, _BLOCK):  # a sum of sums loses less to rounding
            for out in range(num_out):
                part = _ZERO
                for row in range(start, min(start + _BLOCK, rows)):
                    part += of_member[row, out]
                sums[out] += part
