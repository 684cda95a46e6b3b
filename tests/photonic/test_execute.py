"""The integer reference: what its codes are, and that they approach the float model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.errors import ProgramError
from photonic.execute import activation_table, integer_layer, run_float, run_integer
from photonic.profile import Converters
from photonic.program import Activation, Mean, Program
from photonic.quantize import Quantizer


def converters(bits: int, adc_full_scale: float = 4.0) -> Converters:
    return Converters(
        dac=Quantizer(bits=bits),
        weight=Quantizer(bits=bits),
        adc=Quantizer(bits=bits, full_scale=adc_full_scale),
        gain_bits=8,
        rows=4,
        cols=4,
    )


def beats(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"beat": np.random.default_rng(seed).uniform(-1, 1, (n, 24, 1)).astype(np.float32)}


def by_hand(model: Program, inputs: np.ndarray, c: Converters) -> np.ndarray:
    """The integer meaning of a one-tile tanh program, written out without the interpreter."""
    encoder, head = (integer_layer(model.layers[n], c) for n in ("encoder", "head"))
    codes = c.dac.codes(inputs.astype(np.float64)).reshape(len(inputs), 6, 4)
    out = np.empty((len(inputs), 3), dtype=np.int64)
    for i, beat in enumerate(codes):
        tokens = []
        for token in beat:
            product = encoder.tiles[0, 0] @ token.astype(np.int64)
            adc = np.rint(product * encoder.scale).clip(c.adc.min_code, c.adc.max_code)
            sums = (adc + encoder.bias).astype(np.int64)
            tokens.append(activation_table("tanh", sums, c))
        pooled = np.rint(np.sum(tokens, axis=0) / 6)
        product = head.tiles[0, 0] @ pooled
        adc = np.rint(product * head.scale).clip(c.adc.min_code, c.adc.max_code)
        out[i] = adc[:3] + head.bias
    return out


@given(st.integers(2, 12), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_codes_equal_the_definition_written_out(two_layers, bits, seed):
    model, c, inputs = two_layers(seed), converters(bits), beats(5, seed)
    assert np.array_equal(run_integer(model, inputs, c), by_hand(model, inputs["beat"], c))


@pytest.mark.parametrize("kind", ["tanh", "relu"])
@pytest.mark.parametrize("fan_in", [4, 12])
def test_codes_approach_the_float_model_as_bits_grow(two_layers, kind, fan_in):
    model, inputs = two_layers(3, fan_in=fan_in, kind=kind), beats(200)
    exact = run_float(model, inputs)
    wide = 16.0  # nothing clips, so only rounding is left
    errors = []
    for bits in (8, 10, 12):
        c = converters(bits, wide)
        errors.append(np.abs(run_integer(model, inputs, c) * c.adc.step - exact).mean())
    assert all(b < 0.5 * a for a, b in pairwise(errors))


def test_a_product_reads_dac_codes_only(two_layers):
    model = two_layers(0)
    bare = tuple(s for s in model.steps if not isinstance(s, Activation))
    bare = tuple(
        Mean(out=s.out, source="sums", ranges=s.ranges) if isinstance(s, Mean) else s for s in bare
    )
    broken = Program(inputs=model.inputs, steps=bare, output="logits", layers=model.layers)
    with pytest.raises(ProgramError, match="layer 'head' reads 'pooled', which is on the ADC grid"):
        run_integer(broken, beats(1), converters(8))


def test_inputs_of_the_wrong_name_or_shape_are_refused(two_layers):
    with pytest.raises(ProgramError, match="input 'beat' is missing; given: ecg"):
        run_float(two_layers(0), {"ecg": np.zeros((1, 24, 1))})
    with pytest.raises(ProgramError, match=r"\(1, 25, 1\); it must end in \(24, 1\)"):
        run_float(two_layers(0), {"beat": np.zeros((1, 25, 1))})


def test_a_beat_is_worth_the_same_alone_and_in_a_batch(two_layers):
    model, inputs = two_layers(1, kind="relu"), beats(20)
    batch = run_integer(model, inputs, converters(6))
    alone = [
        run_integer(model, {"beat": inputs["beat"][i : i + 1]}, converters(6))[0] for i in range(20)
    ]
    assert np.array_equal(batch, np.stack(alone))
