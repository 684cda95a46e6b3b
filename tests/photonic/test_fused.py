"""The fused forward pass is the interpreter's, values and gradients alike."""

from __future__ import annotations

import pytest
import torch

from photonic.execute import execute
from photonic.layers import ExactCore, TensorShape, activate
from photonic.program import Activation, Linear, Mean, Patch, Window
from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student
from photonic.students.fused import find_chains
from photonic.students.pooled import Chain, _computed, pooled_patches


class PlainCore(ExactCore):
    """An exact core that is not ``ExactCore`` itself, so that the student takes the interpreter."""


CASES = [
    {},
    {"constraint_scale": 0.7},
    {"learn_gain": False, "free_head": True},
    {"activation": "relu", "learn_gain": False, "free_head": True},
    {"use_value_constraint": False, "num_mlp_layers": 2},
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def outcome(student, inputs):
    student.zero_grad()
    logits, pooled = student(inputs)
    ((logits**2).sum() + pooled.sum()).backward()
    return logits, pooled, [p.grad for p in student.parameters() if p.requires_grad]


@pytest.mark.parametrize("options", CASES)
def test_fused_equals_interpreted(options):
    student = segment_student(SegmentConfig(num_classes=3, **options), generator()).double()
    assert student.chains
    inputs = {"beat": torch.rand(9, 360, 1, generator=generator()).double() * 2 - 1}
    logits, pooled, grads = outcome(student, inputs)
    student.core = PlainCore()
    expected_logits, expected_pooled, expected_grads = outcome(student, inputs)
    assert torch.allclose(logits, expected_logits, atol=1e-12)
    assert torch.allclose(pooled, expected_pooled, atol=1e-12)
    for grad, expected in zip(grads, expected_grads, strict=True):
        assert expected.abs().max() > 0
        assert torch.allclose(grad, expected, atol=1e-10)


def test_the_patch_student_has_no_chains_and_still_agrees():
    student = patch_student(PatchConfig(num_classes=2), generator()).double().eval()
    assert student.chains == ()
    inputs = {
        "beat": torch.rand(5, 360, 2, generator=generator()).double(),
        "rhythm": torch.rand(5, 2, 4, generator=generator()).double(),
    }
    fused = student(inputs)[0]
    student.core = PlainCore()
    assert torch.allclose(fused, student(inputs)[0], atol=1e-12)


@pytest.mark.parametrize("kind", ["tanh", "relu", "identity"])
@pytest.mark.parametrize(("channels", "stride"), [(1, 1), (2, 1), (3, 2)])
def test_gradients_of_pooled_patches(kind, channels, stride):
    steps = (
        Window(out="w", source="x", start=2 * stride, stop=22),
        Patch(out="p", source="w", size=2, stride=stride),
        Linear(out="s", source="p", layer="layer"),
        Activation(out="a", source="s", kind=kind),
        Mean(out="m", source="a", ranges=((0, 3), (3, 6))),
    )
    ((chain,),), rest = find_chains(steps)
    assert rest == ()
    x = torch.randn(3, 24, channels, dtype=torch.float64, generator=generator())
    size = 2 * channels
    weight = torch.randn(4, size, dtype=torch.float64, generator=generator(), requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, generator=generator(), requires_grad=True)

    def tokens(w, b):
        return pooled_patches((chain,), x, {"layer": (w, b)})["m"]

    class Plain(TensorShape):
        def encode(self, value):
            return value

        def linear(self, step, value):
            return value @ weight.T + bias

        def activation(self, step, value):
            return activate(step.kind, value)

        def mean(self, step, total, count):
            return total / count

    expected = execute({"x": x}, steps, Plain())["m"]
    assert torch.allclose(tokens(weight, bias), expected, atol=1e-12)
    assert torch.autograd.gradcheck(tokens, (weight, bias))


CHAINS = {
    "P": {"start": 6, "num_tokens": 116, "num_means": 2, "mean_size": 58},
    "QRS": {"start": 126, "num_tokens": 117, "num_means": 3, "mean_size": 39},
    "global": {"start": 0, "num_tokens": 357, "num_means": 1, "mean_size": 357},
    "short": {"start": 350, "num_tokens": 7, "num_means": 7, "mean_size": 1},
    "fewer than lanes": {"start": 355, "num_tokens": 2, "num_means": 1, "mean_size": 2},
}


@pytest.mark.parametrize("window", CHAINS)
@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
def test_the_compiled_kernel_equals_torch(window, size):
    chain = Chain(
        out="m", source="x", layer="layer", kind="tanh", size=4, stride=1, **CHAINS[window]
    )
    draw = generator()
    x = torch.rand(6, 360, 1, generator=draw) * 2 - 1
    weight, bias = size * torch.randn(4, 4, generator=draw), size * torch.randn(4, generator=draw)
    kernel = _computed((chain,), x, (weight, bias), slopes=True)[0]
    exact = _computed((chain,), x.double(), (weight.double(), bias.double()), slopes=True)[0]
    for ours, expected in zip(kernel, exact, strict=True):
        assert ours.dtype == torch.float32
        assert expected.abs().max() > 1e-3
        assert torch.allclose(ours.double(), expected, rtol=0, atol=1e-6)
    means, none = _computed((chain,), x, (weight, bias), slopes=False)[0]
    assert torch.allclose(means, kernel[0], rtol=0, atol=1e-7)
    assert none.numel() == 0


def test_members_of_a_population_are_computed_as_if_alone():
    chain = Chain(out="m", source="x", layer="layer", kind="tanh", size=4, stride=1, **CHAINS["P"])
    draw = generator()
    beats = torch.rand(3, 6, 360, 1, generator=draw)
    weight, bias = torch.randn(3, 2, 4, generator=draw), torch.randn(3, 2, generator=draw)
    for dtype in (torch.float32, torch.float64):
        x, w, b = beats.to(dtype), weight.to(dtype), bias.to(dtype)
        for own in (True, False):
            together = _computed((chain,), x if own else x[0], (w, b), slopes=True)[0]
            for k in range(3):
                alone = _computed((chain,), x[k if own else 0], (w[k], b[k]), slopes=True)[0]
                for ours, expected in zip(together, alone, strict=True):
                    assert torch.allclose(ours[k], expected, atol=1e-7)


def test_without_numba_torch_does_it(monkeypatch):
    student = segment_student(SegmentConfig(num_classes=2), generator())
    inputs = {"beat": torch.rand(4, 360, 1, generator=generator()) * 2 - 1}
    logits, _, grads = outcome(student, inputs)
    monkeypatch.setattr("photonic.students.pooled.compiled_kernel", lambda module: None)
    expected_logits, _, expected_grads = outcome(student, inputs)
    assert torch.allclose(logits, expected_logits, atol=1e-5)
    assert not torch.equal(logits, expected_logits)  # two ways indeed
    for grad, expected in zip(grads, expected_grads, strict=True):
        assert torch.allclose(grad, expected, rtol=1e-5, atol=1e-5)


def test_values_that_others_read_are_not_swallowed():
    steps = (
        Window(out="w", source="x", start=0, stop=8),
        Patch(out="p", source="w", size=2, stride=1),
        Linear(out="s", source="p", layer="layer"),
        Activation(out="a", source="s", kind="tanh"),
        Mean(out="m", source="a", ranges=((0, 7),)),
        Mean(out="other", source="a", ranges=((0, 2),)),
    )
    assert find_chains(steps) == ((), steps)


@pytest.mark.parametrize("ranges", [((1, 3),), ((0, 2), (2, 5)), ((0, 2), (1, 3))])
def test_unequal_ranges_are_left_to_the_interpreter(ranges):
    steps = (
        Window(out="w", source="x", start=0, stop=8),
        Patch(out="p", source="w", size=2, stride=1),
        Linear(out="s", source="p", layer="layer"),
        Activation(out="a", source="s", kind="tanh"),
        Mean(out="m", source="a", ranges=ranges),
    )
    assert find_chains(steps) == ((), steps)


def test_an_input_that_wants_a_gradient_gets_one():
    student = segment_student(SegmentConfig(num_classes=2), generator())
    beat = torch.rand(2, 360, 1, generator=generator(), requires_grad=True)
    student({"beat": beat})[0].sum().backward()
    assert beat.grad is not None
    assert beat.grad.abs().max() > 0


def test_dropout_draws_from_the_generator_it_is_given():
    student = segment_student(SegmentConfig(num_classes=2, dropout=0.5), generator())
    inputs = {"beat": torch.rand(4, 360, 1, generator=generator())}
    student.generator = torch.Generator().manual_seed(3)
    first = student(inputs)[0]
    second = student(inputs)[0]
    student.generator.manual_seed(3)
    assert torch.equal(first, student(inputs)[0])
    assert not torch.equal(first, second)
