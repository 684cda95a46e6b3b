"""Chips as reproducible draws: chip 17 of seed 0 is the same chip in any batch, chunk or process.

Each chip owns a counter-based stream keyed by ``(seed, chip, purpose)`` (Philox 4×64-10, Salmon et
al., SC'11, through NumPy), so no chip's numbers depend on how many others are drawn beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STATIC_ERRORS, READ_NOISE = 0, 1


def chip_generator(seed: int, chip: int, purpose: int, part: int = 0) -> np.random.Generator:
    """The stream of one chip for one purpose; ``part`` tells apart blocks of beats, say."""
    key = np.random.SeedSequence((seed, chip, purpose, part)).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def static_normals(seed: int, chips: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal static errors, float32 ``(len(chips), *shape)``.

    A chip's numbers depend on ``(seed, chip)`` and on ``shape`` only.
    """
    out = np.empty((len(chips), *shape), dtype=np.float32)
    for row, chip in zip(out, chips, strict=True):
        chip_generator(seed, chip, STATIC_ERRORS).standard_normal(out=row, dtype=np.float32)
    return out


def read_noise_seed(seed: int, chip: int, part: int = 0) -> int:
    """A 63-bit seed for the read noise of one chip over one part of the beats."""
    return int(chip_generator(seed, chip, READ_NOISE, part).integers(2**63 - 1))
