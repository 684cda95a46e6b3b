"""Chips as reproducible draws: chip 17 of seed 0 is the same chip in any batch, chunk or process.

Philox 4×64-10 (Salmon et al., SC'11), as NumPy has it, maps a key and a counter to four random
words. The key is ``(seed, purpose)``, the counter ``(chip, position, part)``: every number has an
address of its own and depends neither on the chips nor on the numbers drawn beside it. Neighbouring
chips are neighbouring counters, so a range of chips costs one call per position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

CORE_ERRORS, BLOCK_ERRORS, READ_NOISE = 0, 1, 2
_WORDS = 4


def random_words(
    seed: int, chips: Sequence[int], purpose: int, count: int, part: int = 0
) -> np.ndarray:
    """The first ``count`` random words of each chip, uint64 ``(len(chips), count)``."""
    bits = np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))
    state = bits.state
    positions = -(-count // _WORDS)
    words = np.empty((len(chips), positions, _WORDS), dtype=np.uint64)
    for rows, first in _runs(chips):
        for position in range(positions):
            state["state"]["counter"][:] = (first, position, part, 0)
            bits.state = state
            run = words[rows, position]
            run[...] = bits.random_raw(run.size).reshape(run.shape)
    return words.reshape(len(chips), -1)[:, :count]


def _runs(chips: Sequence[int]) -> Iterator[tuple[slice, int]]:
    """Stretches of consecutive chips: their rows and the first chip."""
    numbers = np.asarray(chips, dtype=np.int64)
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    edges = [0, *breaks.tolist(), len(numbers)]
    for start, stop in pairwise(edges):
        yield slice(start, stop), int(numbers[start])


def static_normals(
    seed: int, chips: Sequence[int], shape: tuple[int, ...], purpose: int = BLOCK_ERRORS
) -> np.ndarray:
    """Standard normal static errors, float32 ``(len(chips), *shape)`` (Box and Muller 1958).

    A chip's numbers depend on ``(seed, chip, purpose)``; a longer ``shape`` begins with the numbers
    of a shorter one.
    """
    count = int(np.prod(shape))
    words = random_words(seed, chips, purpose, count + count % 2)
    uniform = (words >> np.uint64(11)).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log((uniform[:, 0::2] + 1.0) * 2.0**-53))
    angle = uniform[:, 1::2] * (2.0 * np.pi * 2.0**-53)
    normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    flat = normals.reshape(len(chips), -1)[:, :count].astype(np.float32)
    return flat.reshape(len(chips), *shape)


def read_noise_seeds(seed: int, chips: Sequence[int], part: int = 0) -> list[int]:
    """A 63-bit seed for the read noise of each chip over one part of the beats."""
    words = random_words(seed, chips, READ_NOISE, 1, part)[:, 0]
    return (words >> np.uint64(1)).tolist()
