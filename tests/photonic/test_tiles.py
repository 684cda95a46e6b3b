"""Predictions in one compiled pass are the program's, sample by sample."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.execute import execute
from photonic.kernels.lanes import LANES, load, store, tanh, turn
from photonic.layers import TensorShape, activate
from photonic.program import (
    Activation,
    Concat,
    Input,
    Layer,
    Linear,
    Mean,
    Patch,
    Program,
    Window,
)
from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student
from photonic.students.tiles import lay_out, tiled_logits
from training.loop import predict

STUDENTS = [
    lambda g: segment_student(SegmentConfig(num_classes=2), g),
    lambda g: segment_student(SegmentConfig(num_classes=5, num_mlp_layers=2, free_head=True), g),
    lambda g: patch_student(PatchConfig(num_classes=4), g),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def inputs_of(student, num):
    draw = generator()
    return {
        i.name: torch.rand(num, i.tokens, i.channels, generator=draw) * 2 - 1
        for i in student.inputs
    }


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("num", [1, LANES, 3 * LANES - 1])
def test_predictions_are_the_students_own(student, num, monkeypatch):
    model = student(generator()).train()
    inputs = inputs_of(model, num)
    found = predict(model, inputs)
    assert model.training
    assert model.tiled is not None
    exact = model.double().eval()({name: x.double() for name, x in inputs.items()})[0]
    assert np.abs(exact.detach().numpy()).max() > 0.1
    assert np.abs(found - exact.detach().numpy()).max() < 1e-5
    model.float()
    monkeypatch.setattr("photonic.students.tiles.kernel_for", lambda *_: None)
    assert np.abs(predict(model, inputs) - found).max() < 1e-5
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    assert np.abs(predict(model, inputs) - found).max() > 1e-4


@pytest.mark.parametrize("student", STUDENTS)
def test_a_sample_is_worth_the_same_whoever_stands_beside_it(student):
    model = student(generator())
    inputs = inputs_of(model, 21)
    index = torch.randperm(21, generator=generator())[::2].numpy()
    assert (predict(model, inputs, index) == predict(model, inputs)[index]).all()
    assert predict(model, inputs, index[:0]).size == 0


def test_students_are_computed_as_if_alone():
    models = [segment_student(SegmentConfig(num_classes=2), generator()) for _ in range(3)]
    for k, model in enumerate(models):
        with torch.no_grad():
            next(model.parameters()).add_(0.3 * k)
    inputs, index = inputs_of(models[0], 13), torch.arange(13)
    raw = torch.stack([model.raw() for model in models])
    maps = models[0].affine.in_a_row(raw).detach()
    assert models[0].tiled is not None
    together = tiled_logits(models[0].tiled, inputs, index, maps)
    for logits, model in zip(together, models, strict=True):
        assert torch.equal(logits, model.tiled_logits(inputs, index))


def test_what_the_kernel_lacks_is_left_to_the_interpreter():
    model = segment_student(SegmentConfig(num_classes=2, activation="relu"), generator())
    assert model.tiled is None
    assert predict(model, inputs_of(model, 3)).shape == (3, 2)


class Plain(TensorShape):
    """The interpreter's arithmetic in floats."""

    def __init__(self, program):
        self.program = program

    def encode(self, x):
        return x

    def linear(self, step, x):
        layer = self.program.layers[step.layer]
        weight, bias = torch.from_numpy(layer.matrix), torch.from_numpy(layer.bias)
        return torch.nn.functional.linear(x, weight.to(x), bias.to(x))

    def activation(self, step, x):
        return activate(step.kind, x)

    def mean(self, step, total, count):
        return total / count


@settings(max_examples=15, deadline=None)
@given(
    tokens=st.integers(6, 12),
    channels=st.integers(1, 3),
    start=st.integers(0, 2),
    every=st.integers(1, 2),
    size=st.integers(1, 3),
    stride=st.integers(1, 2),
    out=st.integers(1, 6),
    averaged=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape(tokens, channels, start, every, size, stride, out, averaged, seed):
    windowed = len(range(start, tokens, every))
    size = min(size, windowed)
    cut = every == 1
    patches = (windowed - size) // stride + 1 if cut else windowed
    steps = [Window(out="w", source="x", start=start, stop=tokens, stride=every)]
    if cut:
        steps.append(Patch(out="p", source="w", size=size, stride=stride))
    steps += [
        Linear(out="s", source="p" if cut else "w", layer="first"),
        Activation(out="a", source="s", kind="tanh"),
    ]
    if averaged:
        half = max(1, patches // 2)
        ranges = tuple((i * half, (i + 1) * half) for i in range(patches // half))
        steps.append(Mean(out="m", source="a", ranges=ranges))
    parts = len(ranges) if averaged else patches
    steps += [
        Linear(out="t", source="y", layer="second"),
        Concat(out="c", sources=("m" if averaged else "a", "t")),
        Patch(out="all", source="c", size=parts + 2, stride=parts + 2),
        Linear(out="logits", source="all", layer="head"),
    ]
    draw = np.random.default_rng(seed)

    def layer(name, fan_in, fan_out):
        matrix = draw.standard_normal((fan_out, fan_in)).astype(np.float32)
        return Layer(name=name, matrix=matrix, bias=matrix[:, 0].copy(), gain=1.0)

    width = size * channels if cut else channels
    sizes = {"first": (width, out), "second": (2, out), "head": ((parts + 2) * out, 3)}
    program = Program(
        inputs=(
            Input(name="x", tokens=tokens, channels=channels),
            Input(name="y", tokens=2, channels=2),
        ),
        steps=tuple(steps),
        output="logits",
        layers={name: layer(name, *shape) for name, shape in sizes.items()},
    )
    tiled = lay_out(program)
    assert tiled is not None
    shapes = {"x": (5, tokens, channels), "y": (5, 2, 2)}
    inputs = {
        name: torch.from_numpy(draw.uniform(-1, 1, shape).astype(np.float32))
        for name, shape in shapes.items()
    }
    layers = program.layers.values()
    maps = np.concatenate([part for x in layers for part in (x.matrix.ravel(), x.bias)])
    found = tiled_logits(tiled, inputs, torch.arange(5), torch.from_numpy(maps)[None])
    doubles = {name: x.double() for name, x in inputs.items()}
    expected = execute(doubles, program.steps, Plain(program))["logits"][:, 0]
    assert found is not None
    assert torch.allclose(found[0].double(), expected, atol=1e-5)


def test_lanes_hold_tanh_and_turn():
    @numba.njit
    def run(source, target, begins, places):
        turn(source, begins, 1, target, places, 2)
        for k in range(0, source.size, LANES):
            store(source, k, tanh(load(source, k)))

    values = np.linspace(-12, 12, LANES * (LANES + 1), dtype=np.float32)
    values[3], values[9] = np.nan, np.inf
    given, rows = values.copy(), np.arange(LANES) * LANES
    turned = np.zeros_like(values)
    run(given, turned, rows, rows[::-1].copy())
    square = values[1 : 1 + LANES * LANES].reshape(LANES, LANES)
    expected = np.concatenate([[0, 0], square.T[::-1].ravel(), np.zeros(LANES - 2)])
    assert np.array_equal(turned, expected.astype(np.float32), equal_nan=True)
    assert np.isnan(given[3])
    assert given[9] == pytest.approx(1.0)
    assert np.nanmax(np.abs(given - np.tanh(values.astype(np.float64)))) < 4e-7
