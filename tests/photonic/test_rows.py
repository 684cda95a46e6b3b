"""Layers of several students in one pass: the numbers and gradients of each by itself."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from photonic.students.rows import RowsLinear


@pytest.fixture(params=["compiled", "torch", "float64"])
def dtype(request, monkeypatch):
    if request.param == "torch":
        monkeypatch.setattr("photonic.students.rows.kernel_for", lambda *_: None)
    return torch.float64 if request.param == "float64" else torch.float32


@pytest.mark.parametrize("num_out", [2, 4, 5])
@pytest.mark.parametrize("num_in", [3, 8])
@pytest.mark.parametrize("squashed", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_each_row_is_a_linear_layer_of_its_own(num_out, num_in, squashed, wanted, dtype):
    draw = torch.Generator().manual_seed(0)
    whole = torch.randn(3, 40, 7, 2, num_in, generator=draw).to(dtype)
    x = whole[..., 0, :].requires_grad_(wanted)  # not contiguous
    weight = torch.randn(3, num_out, num_in, generator=draw).to(dtype).requires_grad_()
    bias = torch.randn(3, num_out, generator=draw).to(dtype).requires_grad_()
    given = torch.randn(3, 40, 7, num_out, generator=draw).to(dtype)
    before = given.clone()
    inputs = [weight, bias, *([x] if wanted else [])]
    y = RowsLinear.apply(x, weight, bias, squashed)
    ours = torch.autograd.grad(y, inputs, given)
    sums = torch.stack([functional.linear(x[k], weight[k], bias[k]) for k in range(3)])
    expected = torch.tanh(sums) if squashed else sums
    theirs = torch.autograd.grad(expected, inputs, given)
    assert torch.allclose(y, expected, rtol=1e-5, atol=1e-5)
    for grad, other in zip(ours, theirs, strict=True):
        assert torch.allclose(grad, other, rtol=1e-4, atol=1e-4)
    assert torch.equal(given, before), "a gradient belongs to others too"
