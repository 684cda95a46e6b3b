"""Normal numbers, faster where torch draws them on the CPU, and the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from photonic.kernels.loader import kernel_for

KERNEL = "photonic.kernels.normal_kernel"
LEAST = 4096
"""For fewer numbers, to read and write the generator's state costs more than is won."""


def fill_normal(values: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """``values.normal_(0, sigma, generator=generator)``, at a quarter of its cost.

    The numbers differ from torch's by rounding (below 1e-5 of sigma); the generator is left in the
    same state. What the kernel is not made for is left to torch.
    """
    if values.numel() < LEAST or not values.is_contiguous():
        return values.normal_(0.0, sigma, generator=generator)
    fill_normals(values.view(-1), [values.numel()], [sigma], generator)
    return values


def fill_normals(
    row: Tensor, sizes: Sequence[int], sigmas: Sequence[float], generator: torch.Generator
) -> None:
    """:func:`fill_normal` of one part of a vector after the other.

    Args:
        row: written to.
        sizes: of its parts.
        sigmas: standard deviation of each.
        generator: of the numbers.
    """
    kernel = kernel_for(KERNEL, row) if len(row) >= LEAST else None
    if kernel is not None and min(sizes) >= kernel.PAIRED and _agrees(kernel):
        _fill(kernel, row, sizes, sigmas, generator)
        return
    for part, sigma in zip(row.split(list(sizes)), sigmas, strict=True):
        part.normal_(0.0, sigma, generator=generator)


def _fill(
    kernel: ModuleType,
    row: Tensor,
    sizes: Sequence[int],
    sigmas: Sequence[float],
    generator: torch.Generator,
) -> None:
    state = generator.get_state()
    ends, sigma = np.array(list(accumulate(sizes))), np.array(sigmas, np.float32)
    kernel.fill(state.numpy().view(np.int64), row.numpy(), ends, sigma)
    generator.set_state(state)


@cache
def _agrees(kernel: ModuleType) -> bool:
    """Whether this torch draws, and writes its generator down, as the kernel thinks."""
    ours, theirs = (torch.Generator().manual_seed(1) for _ in range(2))
    if ours.get_state().nbytes != 8 * kernel.STATE:
        return False
    filled = torch.empty(1001)
    _fill(kernel, filled, [1001], [1.0], ours)
    wanted = torch.empty(1001).normal_(generator=theirs)
    same_state = torch.equal(ours.get_state(), theirs.get_state())
    return same_state and torch.allclose(filled, wanted, rtol=0.0, atol=1e-5)
