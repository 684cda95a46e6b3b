"""Sums over ``tanh`` behind an ADC and in front of a DAC, and their derivatives, with numba.

For the patches of a 4×4 core: four samples of one channel, one by one, in float32. Codes are whole
numbers, so that sums without noise are exact in any order.
"""

from __future__ import annotations

import numba
import numpy as np

from photonic.kernels.compiler import compiled

# NaN must stay one where a code becomes an index, which "nnan" would not grant.
_FLAGS = {"contract", "reassoc", "nsz"}
_ZERO, _HALF = np.float32(0), np.float32(0.5)

_codes, _matrix = numba.float32[:, ::1], numba.float32[:, :, ::1]
_noise, _table = numba.float32[:, :, :, :], numba.float32[:, ::1]
_size, _sums, _slopes = numba.int64, numba.float32[:, :, ::1], numba.float32[:, :, :, ::1]


@numba.njit(inline="always")
def _index(sample, low, high):  # noqa: ANN001, ANN202
    """Place of an ADC sample in a table that begins with the lowest code; NaN is the lowest."""
    code = np.rint(sample)
    code = code if code >= low else low
    return np.int64((code if code <= high else high) - low)


@compiled(_codes, _matrix, _table, _size, _size, _size, _sums, fastmath=_FLAGS)
def coded_sums(x, matrix, values, start, mean_size, lowest, sums):  # noqa: ANN001, ANN201
    """Write sums of ``values[round(matrix · x[t:t + 4])]`` over runs of ``mean_size`` tokens.

    Args:
        x: DAC codes ``(batch, samples)``.
        matrix: ``(chips, out, 4)``, ADC codes per DAC code; chips have equal runs of the batch.
        values: ``(out, codes)``: what an ADC code becomes, from the lowest code on.
        start: first sample of the first patch.
        mean_size: patches to a sum.
        lowest: the lowest ADC code.
        sums: ``(batch, sums, out)``, written to.
    """
    low = np.float32(lowest)
    high = np.float32(lowest + values.shape[1] - 1)
    beats = (x.shape[0] + matrix.shape[0] - 1) // matrix.shape[0]
    for row in range(x.shape[0]):
        weights = matrix[row // beats]
        for token in range(sums.shape[1]):
            taken = x[row, start + token * mean_size :]
            for out in range(matrix.shape[1]):
                w0, w1, w2, w3 = weights[out, 0], weights[out, 1], weights[out, 2], weights[out, 3]
                table, total = values[out], _ZERO
                for t in range(mean_size):
                    y = w0 * taken[t] + w1 * taken[t + 1] + w2 * taken[t + 2] + w3 * taken[t + 3]
                    total += table[_index(y, low, high)]
                sums[row, token, out] = total


@compiled(
    _codes, _matrix, _noise, _table, _table, _size, _size, _size, _sums, _slopes, fastmath=_FLAGS
)
def coded_sums_and_slopes(  # noqa: ANN201
    x, matrix, noise, values, steepness, start, mean_size, lowest, sums, slopes  # noqa: ANN001
):  # fmt: skip
    """As :func:`coded_sums` with noise at the ADC, and what each sum changes by.

    ``noise`` is ``(chips, out, tokens, beats)``; ``steepness (out, codes)`` the derivative of
    ``values`` by the code. ``slopes (batch, sums, out, 5)`` is written to: the derivatives by the
    four entries of the matrix, 0 where the ADC clips, then by what is added behind the ADC.
    """
    low = np.float32(lowest)
    high = np.float32(lowest + values.shape[1] - 1)
    beats = (x.shape[0] + matrix.shape[0] - 1) // matrix.shape[0]
    for row in range(x.shape[0]):
        chip, beat = row // beats, row % beats
        weights = matrix[chip]
        for token in range(sums.shape[1]):
            first = token * mean_size
            taken = x[row, start + first :]
            for out in range(matrix.shape[1]):
                w0, w1, w2, w3 = weights[out, 0], weights[out, 1], weights[out, 2], weights[out, 3]
                table, steep, added = values[out], steepness[out], noise[chip, out, first:, beat]
                total, d0, d1, d2, d3, d4 = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
                for t in range(mean_size):
                    x0, x1, x2, x3 = taken[t], taken[t + 1], taken[t + 2], taken[t + 3]
                    y = w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3 + added[t]
                    index = _index(y, low, high)
                    slope = steep[index]
                    total += table[index]
                    d4 += slope
                    slope = slope if low - _HALF <= y <= high + _HALF else _ZERO
                    d0 += slope * x0
                    d1 += slope * x1
                    d2 += slope * x2
                    d3 += slope * x3
                sums[row, token, out] = total
                slopes[row, token, out, 0] = d0
                slopes[row, token, out, 1] = d1
                slopes[row, token, out, 2] = d2
                slopes[row, token, out, 3] = d3
                slopes[row, token, out, 4] = d4
