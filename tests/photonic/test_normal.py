"""Normal numbers of our own against torch's: the same ones, from the same stream."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from photonic.kernels import normal
from photonic.kernels.loader import compiled_kernel
from photonic.kernels.normal import LEAST, fill_normal, fill_normals

pytest.importorskip("numba")


@given(
    seed=st.integers(0, 2**32),
    before=st.integers(0, 1300),
    count=st.integers(LEAST, LEAST + 1300),
    sigma=st.floats(0.01, 10),
)
def test_torch_would_have_drawn_the_same(seed: int, before: int, count: int, sigma: float) -> None:
    ours, theirs = (torch.Generator().manual_seed(seed) for _ in range(2))
    for generator in (ours, theirs):
        torch.rand(before, generator=generator)
    for _ in range(2):
        drawn = fill_normal(torch.empty(count), sigma, ours)
        wanted = torch.empty(count).normal_(0.0, sigma, generator=theirs)
        torch.testing.assert_close(drawn, wanted, rtol=0.0, atol=1e-5 * sigma)
        assert torch.equal(ours.get_state(), theirs.get_state())


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=12),
)
def test_parts_are_drawn_one_after_the_other(seed: int, sizes: list[int]) -> None:
    ours, theirs = (torch.Generator().manual_seed(seed) for _ in range(2))
    sigmas = [0.5 + k for k in range(len(sizes))]
    drawn = torch.empty(sum(sizes))
    fill_normals(drawn, sizes, sigmas, ours)
    for part, sigma in zip(drawn.split(sizes), sigmas, strict=True):
        wanted = torch.empty(len(part)).normal_(0.0, sigma, generator=theirs)
        torch.testing.assert_close(part, wanted, rtol=0.0, atol=1e-5 * sigma)
    assert torch.equal(ours.get_state(), theirs.get_state())


def test_the_kernel_is_used_where_it_may_be() -> None:
    kernel = compiled_kernel(normal.KERNEL)
    assert kernel is not None
    assert normal._agrees(kernel)


@pytest.mark.parametrize(
    "values",
    [
        torch.empty(LEAST, dtype=torch.float64),
        torch.empty(LEAST, 2)[:, 0],
        torch.empty(100),
    ],
    ids=["float64", "strided", "few"],
)
def test_what_the_kernel_is_not_made_for_is_left_to_torch(values: torch.Tensor) -> None:
    drawn = fill_normal(values, 2.0, torch.Generator().manual_seed(3)).clone()
    values.normal_(0.0, 2.0, generator=torch.Generator().manual_seed(3))
    assert torch.equal(drawn, values)
