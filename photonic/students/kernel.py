"""Means of ``tanh(W·patch + b)`` and their derivatives on the CPU, compiled with numba.

A segment encoder spends its time on patches → product → tanh → mean. Written with array operations
each of them streams the whole batch through memory, and the tanh of torch alone takes longer than
everything here: one pass in which a patch lives in registers. The derivative comes along, because
with y the activation the mean depends on W by ``Σ (1 - y²) · patch``, whatever the loss will be.

It covers the patches of a 4×4 core: four samples of one channel, one by one, in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

PATCH = 4
_real = np.float32
_FAST = {"fastmath": True, "error_model": "numpy", "nogil": True}

# tanh(x) = x · P(x²) / Q(x²): the minimax rational approximation of Eigen (Eigen 3.4,
# MathFunctionsImpl.h, generic_fast_tanh_float), within 3e-7 of tanh for every float32; beyond the
# limit tanh rounds to ±1.
_LIMIT = _real(7.90531110763549805)
_P = tuple(
    _real(c)
    for c in (
        -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
        1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
    )
)  # fmt: skip
_Q = tuple(
    _real(c)
    for c in (
        1.19825839466702e-06,
        1.18534705686654e-04,
        2.26843463243900e-03,
        4.89352518554385e-03,
    )
)
_ONE, _ZERO = _real(1), _real(0)


@numba.njit(inline="always", **_FAST)
def fast_tanh(x):  # noqa: ANN001, ANN201
    """``tanh(x)``, for other kernels to take in."""
    x = min(max(x, -_LIMIT), _LIMIT)
    z = x * x
    p = (((((_P[0] * z + _P[1]) * z + _P[2]) * z + _P[3]) * z + _P[4]) * z + _P[5]) * z + _P[6]
    q = ((_Q[0] * z + _Q[1]) * z + _Q[2]) * z + _Q[3]
    return x * p / q


def compiled(
    *signature: numba.types.Type, fastmath: bool | set[str] = True
) -> Callable[[Callable], Callable[..., None]]:
    """Compile for these types at once; kept on disk for the next process where there is a place."""
    options = {**_FAST, "fastmath": fastmath}

    def compile_now(function: Callable) -> Callable[..., None]:
        typed = numba.void(*signature)
        try:
            return numba.njit(typed, cache=True, **options)(function)
        except RuntimeError:  # numba finds no folder that it may write to
            return numba.njit(typed, **options)(function)

    return compile_now


_rows, _matrix, _vector = numba.float32[:, ::1], numba.float32[:, :], numba.float32[:]
_size, _tokens, _slopes = numba.int64, numba.float32[:, :, :], numba.float32[:, :, :, ::1]


@compiled(_rows, _matrix, _vector, _size, _size, _tokens)
def tanh_means(x, weight, bias, start, mean_size, means):  # noqa: ANN001, ANN201
    """Write means of ``tanh(weight · x[t:t + 4] + bias)`` over runs of ``mean_size`` tokens.

    Args:
        x: ``(batch, samples)``.
        weight: ``(out, 4)``.
        bias: ``(out,)``.
        start: first sample of the first patch.
        mean_size: patches to a mean.
        means: ``(batch, num_means, out)``, written to.
    """
    for row in range(x.shape[0]):
        for token in range(means.shape[1]):
            taken = x[row, start + token * mean_size :]
            for out in range(weight.shape[0]):
                w0, w1, w2, w3 = weight[out, 0], weight[out, 1], weight[out, 2], weight[out, 3]
                b, total = bias[out], _ZERO
                for t in range(mean_size):
                    s = w0 * taken[t] + w1 * taken[t + 1] + w2 * taken[t + 2] + w3 * taken[t + 3]
                    total += fast_tanh(s + b)
                means[row, token, out] = total / _real(mean_size)


@compiled(_rows, _matrix, _vector, _size, _size, _tokens, _slopes)
def tanh_means_and_slopes(  # noqa: ANN201
    x, weight, bias, start, mean_size, means, slopes  # noqa: ANN001
):  # fmt: skip
    """As :func:`tanh_means`, and what each mean changes by with its weights and its bias.

    ``slopes (batch, num_means, out, 5)`` is written to: the derivatives by the four weights, then
    by the bias.
    """
    for row in range(x.shape[0]):
        for token in range(means.shape[1]):
            taken = x[row, start + token * mean_size :]
            for out in range(weight.shape[0]):
                w0, w1, w2, w3 = weight[out, 0], weight[out, 1], weight[out, 2], weight[out, 3]
                b, total = bias[out], _ZERO
                d0, d1, d2, d3, d4 = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
                for t in range(mean_size):
                    x0, x1, x2, x3 = taken[t], taken[t + 1], taken[t + 2], taken[t + 3]
                    y = fast_tanh(w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3 + b)
                    slope = _ONE - y * y
                    total += y
                    d0 += slope * x0
                    d1 += slope * x1
                    d2 += slope * x2
                    d3 += slope * x3
                    d4 += slope
                size = _real(mean_size)
                means[row, token, out] = total / size
                slopes[row, token, out, 0] = d0 / size
                slopes[row, token, out, 1] = d1 / size
                slopes[row, token, out, 2] = d2 / size
                slopes[row, token, out, 3] = d3 / size
                slopes[row, token, out, 4] = d4 / size
