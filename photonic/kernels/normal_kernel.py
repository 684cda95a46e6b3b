"""Normal numbers as torch's generator on the CPU gives them, by vectors; compiled with numba.

Torch draws one word of its Mersenne Twister after another, which takes four fifths of the time.
Here a block of 624 words is renewed, tempered and turned into normal numbers in loops that a
compiler vectorises: hence the copies, and the slices that begin at zero.

Sources: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998), for the words; Box and
Muller, Ann. Math. Statist. 29 (1958), for the pairs; what stands where is that of torch 2.13
(``normal_fill``).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from photonic.kernels.compiler import compiled, fast_sine
from photonic.kernels.lanes import LANES, load, store

WORDS = 624
STATE = 632
"""Numbers of eight bytes in a written generator, as torch 2.13 does it: a seed, how many words are
left beside whether it is seeded, how many were used, the words, five of no use here."""
_LEFT, _NEXT, _FIRST = 1, 2, 3
PAIRED = 16
"""Numbers to a row; sines stand half of it behind their cosines. Fewer torch draws differently."""
_HALF = PAIRED // 2
_BLOCK = 64 * _HALF  # pairs at a time
_FAR = 397
_state, _flat = numba.int64[::1], numba.float32[::1]
_word, _real = np.uint32, np.float32
_UPPER, _LOWER, _MATRIX = _word(0x80000000), _word(0x7FFFFFFF), _word(0x9908B0DF)
_UNIT = _real(2.0**-24)
_MANTISSA, _EXPONENT_OF_ONE = np.int32(0x7FFFFF), np.int32(0x3F800000)
_LOG_2, _ROOT_2 = _real(math.log(2.0)), _real(math.sqrt(2.0))
# log(1 + x) = x - x²/2 + x³ · L(x) between 1/√2 and √2, within 1e-7 (Moshier, Cephes, logf.c).
_L = tuple(
    _real(c)
    for c in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip

if LANES != _HALF:
    raise ImportError(f"lanes of {LANES}: the kernel copies half rows of {_HALF}")


@numba.njit(inline="always")
def _twisted(upper, lower, far):  # noqa: ANN001, ANN202
    mixed = _word((upper & _UPPER) | (lower & _LOWER))
    odd = _word(_word(0) - _word(mixed & _word(1)))
    return _word(far ^ _word(mixed >> _word(1)) ^ _word(_MATRIX & odd))


@numba.njit
def _twist(words, following, far, to):  # noqa: ANN001, ANN202
    for i in range(len(to)):
        to[i] = _twisted(words[i], following[i], far[i])


@numba.njit
def _renew(state, old):  # noqa: ANN001, ANN202
    """The next 624 words; ``old`` takes those before."""
    for i in range(WORDS):
        old[i] = state[i]
    near = WORDS - _FAR
    _twist(old[:near], old[1:], old[_FAR:], state[:near])
    _twist(old[near : 2 * near], old[near + 1 :], state, state[near : 2 * near])
    _twist(old[2 * near : -1], old[2 * near + 1 :], state[near:], state[2 * near : -1])
    state[WORDS - 1] = _twisted(old[WORDS - 1], state[0], state[_FAR - 1])


@numba.njit
def _uniform(state, used, values):  # noqa: ANN001, ANN202
    """Write multiples of 2^-24 in [0, 1); returns how many words of the state are used then."""
    done, old = 0, np.empty(WORDS, np.uint32)
    while done < len(values):
        if used == WORDS:
            _renew(state, old)
            used = 0
        count = min(WORDS - used, len(values) - done)
        words, part = state[used : used + count], values[done : done + count]
        for k in range(count):
            y = words[k]
            y ^= y >> _word(11)
            y ^= (y << _word(7)) & _word(0x9D2C5680)
            y ^= (y << _word(15)) & _word(0xEFC60000)
            y ^= y >> _word(18)
            part[k] = _real(np.int32(y & _word(0xFFFFFF))) * _UNIT
        used += count
        done += count
    return used


@numba.njit(fastmath=True)
def _paired(values, sigma):  # noqa: ANN001, ANN202
    """Turn uniform numbers into normal ones, in place; their number is a multiple of 16."""
    radius, angle = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    power, bits = np.empty(_BLOCK, np.float32), radius.view(np.int32)
    for begin in range(0, len(values), 2 * _BLOCK):
        part = values[begin : begin + 2 * _BLOCK]
        size = len(part) // 2
        for at in range(0, size, _HALF):
            store(radius, at, load(part, 2 * at))
            store(angle, at, load(part, 2 * at + _HALF))
        for k in range(size):
            radius[k] = _real(1) - radius[k]
        for k in range(size):
            power[k] = _real(np.int32((bits[k] >> np.int32(23)) - np.int32(127)))
            bits[k] = np.int32((bits[k] & _MANTISSA) | _EXPONENT_OF_ONE)
        for k in range(size):
            high = radius[k] > _ROOT_2
            x = (radius[k] * _real(0.5) if high else radius[k]) - _real(1)
            exponent = power[k] + (_real(1) if high else _real(0))
            p = ((((_L[0] * x + _L[1]) * x + _L[2]) * x + _L[3]) * x + _L[4]) * x + _L[5]
            p = ((p * x + _L[6]) * x + _L[7]) * x + _L[8]
            z = x * x
            log = x + (x * z * p - _real(0.5) * z) + exponent * _LOG_2
            radius[k] = np.sqrt(_real(-2) * log) * sigma
        for k in range(size):
            power[k] = radius[k] * fast_sine(angle[k])
        for k in range(size):
            radius[k] *= fast_sine(angle[k] + _real(0.25))
        for at in range(0, size, _HALF):
            store(part, 2 * at, load(radius, at))
            store(part, 2 * at + _HALF, load(power, at))


@compiled(_state, _flat, numba.int64[::1], _flat)
def fill(state, values, ends, sigmas):  # noqa: ANN001, ANN201
    """Write normal numbers, one part after the other.

    Args:
        state: of the generator as torch writes it down, ``(632,)``; it goes on.
        values: written to.
        ends: of the parts, each of 16 numbers or more.
        sigmas: standard deviation of each.
    """
    fresh = state[_LEFT] & 0xFFFFFFFF == 1
    used, begin = WORDS if fresh else state[_NEXT], 0
    kept = state[_FIRST : _FIRST + WORDS]
    words = kept.astype(np.uint32)
    for number in range(len(ends)):
        end, sigma = ends[number], sigmas[number]
        part, rest = values[begin:end], (end - begin) % PAIRED
        used = _uniform(words, used, part)
        _paired(part[: len(part) - rest], sigma)
        if rest:  # the last 16 are drawn again
            last = part[len(part) - PAIRED :]
            used = _uniform(words, used, last)
            _paired(last, sigma)
        begin = end
    for k in range(WORDS):
        kept[k] = words[k]
    seeded = state[_LEFT] >> 32
    state[_LEFT], state[_NEXT] = (seeded << 32) | (WORDS + 1 - used), used
