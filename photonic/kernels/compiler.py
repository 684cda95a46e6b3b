"""What the kernels on the CPU share: how numba compiles them, a fast tanh and a fast sine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np

PATCH = 4
_real = np.float32
_FAST = {"fastmath": True, "error_model": "numpy", "nogil": True}

# tanh(x) = x · P(x²) / Q(x²): the minimax rational approximation of Eigen (Eigen 3.4,
# MathFunctionsImpl.h, generic_fast_tanh_float), within 3e-7 of tanh for every float32; beyond the
# limit tanh rounds to ±1.
TANH_LIMIT = _real(7.90531110763549805)
TANH_P = tuple(
    _real(c)
    for c in (
        -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
        1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
    )
)  # fmt: skip
TANH_Q = tuple(
    _real(c)
    for c in (
        1.19825839466702e-06,
        1.18534705686654e-04,
        2.26843463243900e-03,
        4.89352518554385e-03,
    )
)
_ONE, _ZERO, _HALF, _TURN = _real(1), _real(0), _real(0.5), _real(2 * math.pi)
# sin(x) = x · S(x²) for |x| ≤ π/2: Taylor's, within 6e-8.
_S = tuple(_real((-1.0) ** k / math.factorial(2 * k + 1)) for k in range(5, -1, -1))


@numba.njit(inline="always", **_FAST)
def fast_tanh(x):  # noqa: ANN001, ANN201
    """``tanh(x)``, for other kernels to take in."""
    x = min(max(x, -TANH_LIMIT), TANH_LIMIT)
    z = x * x
    p = (
        ((((TANH_P[0] * z + TANH_P[1]) * z + TANH_P[2]) * z + TANH_P[3]) * z + TANH_P[4]) * z
        + TANH_P[5]
    ) * z + TANH_P[6]
    q = ((TANH_Q[0] * z + TANH_Q[1]) * z + TANH_Q[2]) * z + TANH_Q[3]
    return x * p / q


@numba.njit(inline="always", **_FAST)
def fast_sine(turns):  # noqa: ANN001, ANN201
    """``sin(2π · turns)``, for other kernels to take in."""
    turn = turns - np.floor(turns + _HALF)
    size = abs(turn)
    x = _TURN * min(size, _HALF - size)
    z = x * x
    y = x * (((((_S[0] * z + _S[1]) * z + _S[2]) * z + _S[3]) * z + _S[4]) * z + _S[5])
    return y if turn >= _ZERO else -y


def compiled(
    *signature: numba.types.Type, fastmath: bool | set[str] = True
) -> Callable[[Callable], Callable[..., None]]:
    """Compile for these types at once; kept on disk for the next process where there is a place."""
    options = {**_FAST, "fastmath": fastmath}

    def compile_now(function: Callable) -> Callable[..., None]:
        kernel: Any = numba.njit(**options)(function)
        try:
            kernel.enable_caching()
        except RuntimeError:  # numba finds no folder that it may write to
            pass
        else:
            _let_shared_code_count(kernel)
        kernel.compile(numba.void(*signature))
        kernel.disable_compile()
        return kernel

    return compile_now


def _let_shared_code_count(kernel: Any) -> None:
    """Have what is kept on disk expire with the files that kernels take functions from, too.

    Numba itself looks at the file of the kernel alone, and would run old code for new.
    """
    kept = kernel._cache._cache_file
    kept._source_stamp = kept._source_stamp, _digest_of_shared_code()


@cache
def _digest_of_shared_code() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
