"""Students: what they compute is their program, and every value in use fits the chip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photonic.errors import ConfigError
from photonic.execute import run_float
from photonic.layers import MAX_GAIN, ConstrainedLinear, scale_to_unit
from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def beats(n: int) -> torch.Tensor:
    return torch.rand(n, 360, 1, generator=generator(1)) * 2 - 1


FOUNDING = {"activation": "relu", "learn_gain": False, "free_head": True}


@pytest.mark.parametrize("options", [{}, FOUNDING, {"num_mlp_layers": 2}, {"num_classes": 4}])
def test_the_student_computes_its_program(options):
    student = segment_student(SegmentConfig(**{"num_classes": 2, **options}), generator()).eval()
    x = beats(50)
    with torch.no_grad():
        logits, pooled = student({"beat": x})
    program = student.program()
    expected = run_float(program, {"beat": x.numpy()})
    assert pooled.shape == (50, 4)
    assert np.abs(logits.numpy() - expected).max() < 1e-5
    assert np.abs(expected).max() > 0.01


def test_shapes_of_the_specification():
    shapes = segment_student(SegmentConfig(num_classes=2), generator()).program().shapes()
    assert [shapes[f"{s}_patches"][0] for s in ("p", "qrs", "t", "global")] == [117, 117, 117, 357]
    assert [shapes[f"{s}_tokens"][0] for s in ("p", "qrs", "t", "global")] == [2, 3, 2, 1]
    assert shapes["tokens"] == (8, 4)
    assert shapes["pooled"] == (1, 4)


def test_a_channels_first_tensor_is_the_same_beat():
    student = segment_student(SegmentConfig(num_classes=2), generator()).eval()
    x = beats(3)
    assert torch.equal(student({"beat": x})[0], student(x.transpose(1, 2))[0])


@pytest.mark.parametrize("options", [{}, FOUNDING])
def test_a_beat_is_worth_the_same_alone_and_in_a_batch(options):
    student = segment_student(SegmentConfig(num_classes=2, **options), generator()).eval()
    x = beats(8)
    with torch.no_grad():
        batch = student({"beat": x})[0]
        alone = torch.cat([student({"beat": x[i : i + 1]})[0] for i in range(8)])
    assert torch.allclose(batch, alone, atol=1e-6)


def test_values_in_use_stay_in_range_whatever_the_optimiser_does():
    student = segment_student(SegmentConfig(num_classes=2, constraint_scale=0.5), generator())
    optimizer = torch.optim.SGD(student.parameters(), lr=1e3)
    for _ in range(5):
        optimizer.zero_grad()
        student({"beat": beats(4)})[0].square().sum().backward()
        optimizer.step()
    for layer in student.program().layers.values():
        assert np.abs(layer.matrix).max() <= 0.5
        assert np.abs(layer.bias).max() <= 0.5
        assert 0 <= layer.gain <= MAX_GAIN


def test_a_free_head_is_exported_within_range_by_its_gain():
    layer = ConstrainedLinear(4, 2, scale=None, learn_gain=False, generator=generator())
    with torch.no_grad():
        layer.raw_weight.mul_(50)
    exported = layer.to_layer("head")
    assert np.abs(exported.matrix).max() == pytest.approx(1.0)
    x = torch.rand(3, 4, generator=generator(2))
    by_program = exported.gain * (x.numpy() @ exported.matrix.T + exported.bias)
    assert np.allclose(layer(x).detach().numpy(), by_program, rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-30, 1e-7, 1e-3, 1.0])
def test_scale_to_unit_passes_no_gradient_of_a_vanishing_token(size):
    x = torch.tensor([[size, -size / 2, 0.0], [1.0, 0.5, 0.0]], requires_grad=True)
    unit = scale_to_unit(x)
    (unit * torch.arange(6.0).view(2, 3)).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert bool(x.grad[0].any()) == (size >= 1e-6)
    assert x.grad[1].any()
    assert unit[0].abs().amax() == (size > 0)


def test_scale_to_unit_is_per_token_and_keeps_zero():
    x = torch.tensor([[0.0, 0.0], [3.0, -6.0]])
    assert torch.equal(scale_to_unit(x), torch.tensor([[0.0, 0.0], [0.5, -1.0]]))


def test_every_parameter_gets_a_finite_gradient():
    student = segment_student(SegmentConfig(num_classes=4), generator())
    student({"beat": beats(16)})[0].square().sum().backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_mlp_layers": 1}, "at least 2"),
        ({"num_classes": 1}, "at least 2"),
        ({"activation": "gelu"}, "tanh or relu"),
        ({"initial_gain": 9.0}, r"learned gain lies in \(0, 8\)"),
        ({"constraint_scale": 0.0}, "must be above 0"),
    ],
)
def test_impossible_shapes_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        segment_student(SegmentConfig(**{"num_classes": 2, **options}), generator())


def test_the_patch_student_is_as_specified_and_computes_its_program():
    student = patch_student(PatchConfig(num_classes=2), generator()).eval()
    inputs = {
        "beat": torch.rand(9, 360, 2, generator=generator(1)) * 2 - 1,
        "rhythm": torch.rand(9, 2, 4, generator=generator(2)) * 2 - 1,
    }
    program = student.program()
    blocks = program.blocks(4, 4)
    assert sum(p.numel() for p in student.parameters()) == 393
    assert len(blocks) == 23
    assert sum(b.applied_per_beat for b in blocks) == 315
    with torch.no_grad():
        logits, features = student(inputs)
    assert features.shape == (9, 4)
    expected = run_float(program, {k: v.numpy() for k, v in inputs.items()})
    assert np.abs(logits.numpy() - expected).max() < 1e-5
