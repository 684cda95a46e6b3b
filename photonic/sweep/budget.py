"""How many chips fit into a memory budget, and how work is cut into tasks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from photonic.errors import ConfigError
from photonic.program import Program
from photonic.simulate import VECTORS_AT_ONCE
from photonic.sweep.job import BEATS_PER_BLOCK

# Measured: 64 chips at once are the fastest of 16…256, and a task of this many chip·beats takes
# some 15 s, which is what an interruption costs.
CHIPS_AT_ONCE = 64
CHIP_BEATS_PER_TASK = 2_000_000
TASKS_PER_WORKER = 4
# A step needs its result, its input and the noise or the sum of another tile beside them.
TEMPORARIES = 2


def chips_in_memory(program: Program, num_beats: int, memory_mb: float) -> int:
    """How many chips a task may simulate at once with ``memory_mb`` of working memory.

    Counted are a block of the inputs, twice (as they are and with channels first), every value of
    the beats that run at once, temporaries of the largest one, and logits and decisions of a block;
    not counted are the interpreter and its libraries, and the data itself.

    Raises:
        ConfigError: not even one; the message says what one needs.
    """
    shapes = program.shapes()
    block = min(num_beats, BEATS_PER_BLOCK)
    beats = min(block, max(1, VECTORS_AT_ONCE // max(tokens for tokens, _ in shapes.values())))
    sizes = [tokens * channels for tokens, channels in shapes.values()]
    shared_mb = 2 * 4 * block * sum(i.tokens * i.channels for i in program.inputs) / 2**20
    values = 4 * beats * (sum(sizes) + TEMPORARIES * max(sizes))
    # float32 logits, their float64 softmax with two temporaries, and a decision.
    decisions = block * (program.num_classes * (4 + 3 * 8) + 8)
    chip_mb = (values + decisions) / 2**20
    fit = int((memory_mb - shared_mb) / chip_mb)
    if fit < 1:
        needed_mb = shared_mb + chip_mb
        raise ConfigError(
            f"memory_mb {memory_mb:g}: one chip needs {np.ceil(needed_mb):.0f} MB "
            f"for {num_beats} beats of this model"
        )
    return fit


def chips_per_task(num_chips: int, num_beats: int, num_workers: int, most: int) -> int:
    """Chips of one task: few enough that all workers have work, and at most ``most``."""
    share = -(-num_chips // (TASKS_PER_WORKER * num_workers))
    by_time = max(1, CHIP_BEATS_PER_TASK // max(1, num_beats))
    return max(1, min(share, by_time, most, CHIPS_AT_ONCE))


def missing_chips(done: np.ndarray, size: int) -> Iterator[range]:
    """Ranges of at most ``size`` consecutive chips that cover what is not ``done (chips,)``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], done, [True]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        for first in range(start, stop, size):
            yield range(first, min(first + size, stop))
