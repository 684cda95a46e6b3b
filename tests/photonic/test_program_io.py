"""A program survives its file bit for bit, and a bad file says what is wrong with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.errors import ProgramError
from photonic.program import Activation, Input, Layer, Linear, Mean, Patch, Program
from photonic.program_io import load_program, program_from_dict, program_to_dict, save_program


def small_program(generator: np.random.Generator, gain: float = 1.7) -> Program:
    def layer(name: str, out: int, fan_in: int) -> Layer:
        matrix = generator.uniform(-1, 1, (out, fan_in)).astype(np.float32)
        bias = generator.uniform(-1, 1, out).astype(np.float32)
        return Layer(name=name, matrix=matrix, bias=bias, gain=gain)

    return Program(
        inputs=(Input(name="x", tokens=6, channels=2),),
        steps=(
            Patch(out="patches", source="x", size=3, stride=3),
            Linear(out="sums", source="patches", layer="first"),
            Activation(out="features", source="sums", kind="tanh"),
            Mean(out="pooled", source="features", ranges=((0, 2),)),
            Linear(out="logits", source="pooled", layer="head"),
        ),
        output="logits",
        layers={"first": layer("first", 4, 6), "head": layer("head", 3, 4)},
    )


@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(1e-6, 1e6))
def test_every_bit_survives_json(seed: int, gain: float):
    program = small_program(np.random.default_rng(seed), gain)
    back = program_from_dict(json.loads(json.dumps(program_to_dict(program))))
    assert (back.inputs, back.steps, back.output) == (
        program.inputs,
        program.steps,
        program.output,
    )
    for name, layer in program.layers.items():
        same = back.layers[name]
        assert layer.matrix.tobytes() == same.matrix.tobytes()
        assert layer.bias.tobytes() == same.bias.tobytes()
        assert layer.gain == same.gain


def test_file_round_trip_is_deterministic(tmp_path):
    program = small_program(np.random.default_rng(0))
    save_program(program, tmp_path / "a.json")
    save_program(load_program(tmp_path / "a.json"), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"schema_version": 9}, "schema version 9; this release reads 1"),
        (lambda d: {k: v for k, v in d.items() if k != "output"}, "output"),
        (lambda d: d | {"layers": [{"name": "first"}]}, "layers: KeyError: 'matrix'"),
        (lambda d: d | {"layers": d["layers"][:1]}, "uses layer 'head'"),
        (
            lambda d: d | {"layers": [d["layers"][0] | {"bias": [0.0]}, d["layers"][1]]},
            r"layer 'first': matrix \(4, 6\) and bias \(1,\)",
        ),
        (lambda d: d | {"steps": [{"op": "sorcery"}]}, "unknown op 'sorcery'"),
        (lambda d: d | {"inputs": [{"name": "x", "colour": 3}]}, "colour"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, change, message):
    data = change(program_to_dict(small_program(np.random.default_rng(0))))
    path = tmp_path / "program.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ProgramError, match=message) as caught:
        load_program(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ufffe"])
def test_not_a_json_object(tmp_path, text):
    path = tmp_path / "program.json"
    path.write_text(text, encoding="utf-16" if text == "\ufffe" else "utf-8")
    with pytest.raises(ProgramError, match=r"not valid JSON|a JSON object"):
        load_program(path)
