"""Programs: shapes are checked before anything runs, tiles and JSON are exact inverses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.errors import ProgramError
from photonic.program import (
    Activation,
    Concat,
    Input,
    Layer,
    Linear,
    Mean,
    Patch,
    Program,
    Unit,
    Window,
    step_from_dict,
    step_to_dict,
    tile,
    untile,
)

BEAT = (Input(name="beat", tokens=12, channels=1),)


def layer(name: str, out: int, fan_in: int) -> Layer:
    values = np.linspace(-0.9, 0.9, out * fan_in, dtype=np.float32).reshape(out, fan_in)
    return Layer(name=name, matrix=values, bias=np.zeros(out, dtype=np.float32), gain=2.0)


def small_program() -> Program:
    return Program(
        inputs=BEAT,
        steps=(
            Patch(out="patches", source="beat", size=4, stride=4),
            Linear(out="sums", source="patches", layer="encoder"),
            Activation(out="tokens", source="sums", kind="tanh"),
            Patch(out="merged", source="tokens", size=3, stride=3),
            Linear(out="logits", source="merged", layer="head"),
        ),
        output="logits",
        layers={"encoder": layer("encoder", 4, 4), "head": layer("head", 2, 12)},
    )


def test_shapes_follow_the_steps():
    shapes = small_program().shapes()
    assert shapes["patches"] == (3, 4)
    assert shapes["merged"] == (1, 12)
    assert shapes["logits"] == (1, 2)
    assert small_program().num_classes == 2


def test_blocks_are_padded_tiles_in_execution_order_with_their_counts():
    blocks = small_program().blocks(4, 4)
    assert [b.name for b in blocks] == ["encoder.0.0", "head.0.0", "head.0.1", "head.0.2"]
    assert [b.applied_per_beat for b in blocks] == [3, 1, 1, 1]
    assert all(b.matrix.shape == (4, 4) for b in blocks)
    assert not blocks[1].matrix[2:].any()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Window(out="x", source="nowhere", start=0, stop=1), "reads 'nowhere'"),
        (Window(out="x", source="beat", start=0, stop=13), "0:13 of 12 tokens"),
        (Patch(out="x", source="beat", size=13, stride=1), "of 13 in 12 tokens"),
        (Mean(out="x", source="beat", ranges=((0, 13),)), "0:13 of 12 tokens"),
        (Linear(out="x", source="beat", layer="encoder"), "takes 4 channels, 'beat' has 1"),
        (Linear(out="x", source="beat", layer="none"), "layer 'none'; known are: encoder"),
        (Unit(out="beat", source="beat"), "'beat' is made twice"),
        (Concat(out="x", sources=("beat", "y")), "reads 'y'"),
    ],
)
def test_a_malformed_step_is_named(step, message):
    with pytest.raises(ProgramError, match=message):
        Program(inputs=BEAT, steps=(step,), output="x", layers={"encoder": layer("e", 4, 4)})


def test_the_output_is_one_token():
    with pytest.raises(ProgramError, match="12 tokens: logits are one token"):
        Program(inputs=BEAT, steps=(), output="beat", layers={})


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99)
)
def test_untile_inverts_tile_and_padding_is_zero(out, fan_in, rows, cols, seed):
    matrix = np.random.default_rng(seed).standard_normal((out, fan_in))
    tiles = tile(matrix, rows, cols)
    assert tiles.shape[2:] == (rows, cols)
    assert np.array_equal(untile(tiles, out, fan_in), matrix)
    assert np.isclose(np.abs(tiles).sum(), np.abs(matrix).sum())


def test_steps_survive_json():
    steps = (
        *small_program().steps,
        Window(out="w", source="beat", start=1, stop=9, stride=2),
        Mean(out="m", source="w", ranges=((0, 2), (2, 4))),
        Concat(out="c", sources=("m", "w")),
        Unit(out="u", source="c"),
    )
    assert tuple(step_from_dict(step_to_dict(s)) for s in steps) == steps


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"op": "attention"}, "unknown op 'attention'; known are: window"),
        ({"op": "unit", "out": "a", "source": "b", "size": 3}, "has no field"),
        ({"op": "unit", "out": "a"}, "missing"),
    ],
)
def test_a_malformed_step_in_json_is_named(data, message):
    with pytest.raises(ProgramError, match=message):
        step_from_dict(data)
