"""Layers of several students in one pass: the numbers and gradients of each by itself."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student
from photonic.students.rows import RowsLinear
from training.loop import predict


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


@pytest.mark.parametrize(
    ("student", "channels"),
    [
        (lambda g: segment_student(SegmentConfig(num_classes=2), g), 1),
        (lambda g: segment_student(SegmentConfig(num_classes=4, activation="relu"), g), 1),
        (lambda g: patch_student(PatchConfig(num_classes=4), g), 2),
    ],
)
def test_a_prediction_as_a_row_is_the_same_prediction(student, channels):
    draw = torch.Generator().manual_seed(0)
    model = student(draw).train()
    inputs = {"beat": torch.rand(30, 360, channels, generator=draw) * 2 - 1}
    if channels == 2:
        inputs["rhythm"] = torch.rand(30, 2, 4, generator=draw)
    alone, row = (predict(model, inputs, batch_size=16, as_row=way) for way in (False, True))
    assert model.training
    assert alone.shape == row.shape
    assert abs(alone - row).max() < 1e-5
