"""Real inputs in parts, so that memory stays bounded however many beats there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

CHUNK = 1024


def chunks(inputs: Mapping[str, np.ndarray], size: int = CHUNK) -> Iterator[dict[str, np.ndarray]]:
    """``inputs (n, tokens, channels)`` by name in parts of at most ``size`` samples."""
    for start in range(0, num_samples(inputs), size):
        yield {name: x[start : start + size] for name, x in inputs.items()}


def num_samples(inputs: Mapping[str, np.ndarray]) -> int:
    """Number of samples."""
    return len(next(iter(inputs.values())))
