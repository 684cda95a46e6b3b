"""A training pass of several students in two compiled calls is that of each by itself."""

from __future__ import annotations

import pytest
import torch

from photonic.program import Unit
from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student
from photonic.students.injection import Injection

STUDENTS = {
    "segment": lambda g: segment_student(SegmentConfig(num_classes=3, dropout=0.2), g),
    "free head": lambda g: segment_student(
        SegmentConfig(num_classes=2, num_mlp_layers=2, free_head=True, learn_gain=False), g
    ),
    "patch": lambda g: patch_student(PatchConfig(num_classes=6), g),
    "relu": lambda g: segment_student(
        SegmentConfig(num_classes=2, activation="relu", dropout=0.2), g
    ),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs_of(student, members, num):
    return {
        i.name: torch.rand(members, num, i.tokens, i.channels, generator=generator(9)) * 2 - 1
        for i in student.inputs
    }


def injections(sigma):
    return [Injection(weight_sigma=s, activation_sigma=s, seed=k) for k, s in enumerate(sigma)]


def outcome(student, sigma, num=13):
    """Logits, features and gradients of all rows, and the streams afterwards."""
    members = len(sigma)
    streams = [generator(20 + k) for k in range(members)]
    noise = injections(sigma)
    several = student.rows(streams, noise if any(sigma) else ()).train()
    raw = torch.stack([student.raw().detach() * (1 + 0.1 * k) for k in range(members)])
    raw.requires_grad_()
    logits, features = several(inputs_of(student, members, num), raw)
    joint = torch.cat([logits, features], dim=-1)
    weights = torch.linspace(-1, 1, joint.numel()).view_as(joint)
    (grad,) = torch.autograd.grad((joint * weights).sum(), raw)
    states = [s.get_state() for s in streams] + [n.noise.generator.get_state() for n in noise]
    return logits.detach(), features.detach(), grad, torch.stack(states)


@pytest.mark.parametrize("sigma", [(0.0, 0.0, 0.0), (0.05, 0.0, 0.1)])
@pytest.mark.parametrize("name", STUDENTS)
def test_rows_are_what_the_interpreter_makes_of_each(name, sigma, monkeypatch):
    student = STUDENTS[name](generator(0))
    assert (student.tape is None) == any(isinstance(step, Unit) for step in student.steps)
    found = outcome(student, sigma)
    monkeypatch.setattr("photonic.students.base.tape_kernel", lambda *_: None)
    expected = outcome(student, sigma)
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        assert theirs.abs().max() > 0.05
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=2e-5)
    assert torch.equal(found[3], expected[3])


@pytest.mark.parametrize("name", ["segment", "patch"])
def test_a_row_is_what_the_student_is_alone(name):
    student = STUDENTS[name](generator(0)).train()
    inputs = inputs_of(student, 2, 9)
    several = student.rows([generator(1), generator(2)], injections((0.05, 0.05))).train()
    raw = torch.stack([student.raw().detach()] * 2).requires_grad_()
    logits, features = several(inputs, raw)
    assert type(logits.grad_fn).__name__ == "TapePassBackward"
    (grads,) = torch.autograd.grad(logits.sum() + (features**2).sum(), raw)
    for k in range(2):
        student.generator, student.injection = generator(1 + k), injections((0.05, 0.05))[k]
        own = student.raw().detach().requires_grad_()
        alone, pooled = student({n: x[k] for n, x in inputs.items()}, own)
        (grad,) = torch.autograd.grad(alone.sum() + (pooled**2).sum(), own)
        assert torch.allclose(logits[k], alone, atol=1e-5)
        assert torch.allclose(features[k], pooled, atol=1e-5)
        assert torch.allclose(grads[k], grad, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits[0], logits[1], atol=1e-2)


def test_two_passes_do_not_share_memory():
    student = STUDENTS["segment"](generator(0)).eval()
    raw = torch.stack([student.raw().detach()] * 2).requires_grad_()
    several = student.rows([generator(1), generator(2)]).eval()
    first, second = inputs_of(student, 2, 5), inputs_of(student, 2, 8)
    logits = several(first, raw)[0]
    several(second, raw)
    (after,) = torch.autograd.grad(logits.sum(), raw)
    (expected,) = torch.autograd.grad(several(first, raw)[0].sum(), raw)
    assert torch.equal(after, expected)
