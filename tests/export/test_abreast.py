"""Layers side by side: found where nothing else reads what lies between, and the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.abreast import abreast
from export.onnx import float_model, quantized_model
from export.runtime import open_session, run_model
from photonic.execute import run_float, run_integer
from photonic.profile import parse_profile
from photonic.program import Activation, Concat, Input, Layer, Linear, Patch, Program, Step, Window

TOKENS, CHANNELS = 5, 3


def lanes_program(
    tokens: list[int], order: list[int], kinds: list[str], generator: np.random.Generator
) -> Program:
    """A lane per entry of ``tokens``, joined in ``order``; every layer has its own gain."""
    steps: list[Step] = []
    for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        steps += [
            Window(out=f"token{i}", source="x", start=token, stop=token + 1),
            Linear(out=f"sums{i}", source=f"token{i}", layer=f"lane{i}"),
            Activation(out=f"features{i}", source=f"sums{i}", kind=kind),
        ]
    num = len(tokens)
    steps += [
        Concat(out="tokens", sources=tuple(f"features{i}" for i in order)),
        Patch(out="whole", source="tokens", size=num, stride=num),
        Linear(out="logits", source="whole", layer="head"),
    ]

    def layer(name: str, out: int, fan_in: int) -> Layer:
        return Layer(
            name=name,
            matrix=generator.uniform(-1, 1, (out, fan_in)).astype(np.float32),
            bias=generator.uniform(-1, 1, out).astype(np.float32),
            gain=float(generator.uniform(0.3, 4)),
        )

    layers = {f"lane{i}": layer(f"lane{i}", 2, CHANNELS) for i in range(num)}
    return Program(
        inputs=(Input(name="x", tokens=TOKENS, channels=CHANNELS),),
        steps=tuple(steps),
        output="logits",
        layers=layers | {"head": layer("head", 2, 2 * num)},
    )


@settings(max_examples=40)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), bits=st.integers(2, 12))
def test_the_graphs_are_the_program_whatever_stands_side_by_side(data, seed, bits):
    generator = np.random.default_rng(seed)
    tokens = data.draw(st.lists(st.integers(0, TOKENS - 1), min_size=1, max_size=5))
    order = data.draw(st.permutations(range(len(tokens))))
    kind = st.sampled_from(["tanh", "tanh", "identity"])
    kinds = data.draw(st.lists(kind, min_size=len(tokens), max_size=len(tokens)))
    program = lanes_program(tokens, list(order), kinds, generator)
    x = {"x": generator.uniform(-1, 1, (20, TOKENS, CHANNELS)).astype(np.float32)}
    for wide, allowed in ((True, 1e-5), (False, 1e-4)):
        session = open_session(float_model(program, {}, wide=wide))
        assert np.abs(run_model(session, x) - run_float(program, x)).max() < allowed
    stages = {"weight": {"bits": bits}, "input": {"bits": bits}, "output": {"bits": bits}}
    converters = parse_profile({"name": "t", "description": "", **stages}, where="t").converters()
    assert converters is not None
    logits = run_model(open_session(quantized_model(program, converters, {})), x)
    codes = np.rint(logits.astype(np.float64) / converters.adc.step)
    assert np.array_equal(codes, run_integer(program, x, converters))


@pytest.mark.parametrize(
    ("tokens", "kinds", "groups"),
    [
        ([0, 1], ["tanh"] * 2, [["token0", "token1"]]),
        ([3, 1, 2], ["tanh"] * 3, [["token1", "token2", "token0"]]),
        ([0, 1, 3, 4], ["tanh"] * 4, [["token0", "token1"], ["token2", "token3"]]),
        ([0, 1, 2], ["tanh", "identity", "tanh"], []),
        ([0, 2, 4], ["tanh"] * 3, []),
        ([2], ["tanh"], []),
    ],
)
def test_neighbours_of_one_kind_are_a_group(tokens, kinds, groups):
    program = lanes_program(tokens, list(range(len(tokens))), kinds, np.random.default_rng(0))
    found = abreast(program)
    assert [[lane.window.out for lane in group] for group in found.values()] == groups
    position = [step.out for step in program.steps].index
    for first, group in found.items():
        assert position(first) == min(position(lane.window.out) for lane in group)


def test_a_lane_that_something_else_reads_stands_alone():
    program = lanes_program([0, 1], [0, 1], ["tanh"] * 2, np.random.default_rng(0))
    also = Concat(out="again", sources=("sums1",))
    other = Program(
        inputs=program.inputs,
        steps=(*program.steps, also),
        output="logits",
        layers=program.layers,
    )
    assert abreast(other) == {}


def test_all_lanes_are_one_product():
    program = lanes_program([0, 1, 2], [0, 1, 2], ["tanh"] * 3, np.random.default_rng(0))
    model = onnx.load_from_string(float_model(program, {}))
    assert [node.op_type for node in model.graph.node].count("Gemm") == 2
    assert "Slice" in {node.op_type for node in model.graph.node}  # 3 of the 5 tokens
