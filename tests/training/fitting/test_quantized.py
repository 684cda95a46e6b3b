"""Brevitas, the integer reference and the simulator agree code for code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.errors import ConfigError
from photonic.execute import run_integer
from photonic.layers import ConstrainedLinear
from photonic.profile import load_profile
from photonic.quantize import round_mantissa
from photonic.simulate import simulate
from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student
from training.quantized import BrevitasCore, round_gain


def profile(dac: int, weight: int, adc: int, encoding: str = "field"):
    values = {"input.bits": dac, "weight.bits": weight, "output.bits": adc}
    made = load_profile("lab_ecg_5bit").with_value("input.encoding", encoding)
    for key, value in values.items():
        made = made.with_value(key, value)
    return made


bits = st.integers(2, 12)


@settings(max_examples=30)
@given(
    dac=bits, weight=bits, adc=bits, seed=st.integers(0, 2**31),
    fan_in=st.integers(1, 13), gain=st.floats(0.05, 7.9),
)  # fmt: skip
def test_a_layer_is_exact(dac, weight, adc, seed, fan_in, gain):
    generator = torch.Generator().manual_seed(seed)
    layer = ConstrainedLinear(fan_in, 3, initial_gain=gain, generator=generator)
    converters = profile(dac, weight, adc).converters()
    core = BrevitasCore(profile(dac, weight, adc))
    x = core.encode(torch.rand(64, fan_in, generator=generator) * 2.2 - 1.1)
    got = (layer(x, core) / converters.adc.step).detach().numpy()

    values = layer.to_layer("layer")
    product = np.zeros((64, 3))
    codes = converters.weight.codes(values.matrix.astype(np.float64))
    short = round_mantissa(values.gain, converters.gain_bits)
    scale = short * converters.weight.step * converters.dac.step / converters.adc.step
    inputs = converters.dac.codes(x.double().numpy())
    for first in range(0, fan_in, converters.cols):
        part = slice(first, first + converters.cols)
        sums = np.rint(inputs[:, part] @ codes[:, part].T * scale)
        product += sums.clip(converters.adc.min_code, converters.adc.max_code)
    expected = product + np.rint(short * values.bias.astype(np.float64) / converters.adc.step)
    assert np.array_equal(got, expected)


@settings(max_examples=8)
@given(dac=bits, weight=bits, adc=bits, seed=st.integers(0, 2**31), free=st.booleans())
def test_a_whole_student_is_exact(dac, weight, adc, seed, free):
    generator = torch.Generator().manual_seed(seed)
    student = segment_student(SegmentConfig(num_classes=3, free_head=free), generator).eval()
    _compare(student, profile(dac, weight, adc), generator)


def test_the_patch_student_on_a_differential_core_is_exact():
    generator = torch.Generator().manual_seed(0)
    student = patch_student(PatchConfig(num_classes=4), generator).eval()
    _compare(student, profile(5, 6, 8, "intensity-differential"), generator)


def _compare(student, hardware, generator):
    inputs = {
        spec.name: torch.rand(16, spec.tokens, spec.channels, generator=generator) * 2 - 1
        for spec in student.inputs
    }
    student.core = BrevitasCore(hardware)
    with torch.no_grad():
        logits = student(inputs)[0].numpy()
    arrays = {name: x.numpy() for name, x in inputs.items()}
    program, converters = student.program(), hardware.converters()
    expected = run_integer(program, arrays, converters) * converters.adc.step
    assert np.array_equal(logits, expected)
    assert np.array_equal(simulate(program, hardware, arrays, chips=None)[0], expected)


def test_a_code_off_is_seen():
    generator = torch.Generator().manual_seed(0)
    student = segment_student(SegmentConfig(num_classes=3), generator).eval()
    with torch.no_grad():
        student.layers["head"].raw_bias += 0.5
    good = student.program()
    with torch.no_grad():
        student.layers["head"].raw_bias -= 0.5
    student.core = BrevitasCore(profile(5, 5, 8))
    x = torch.rand(8, 360, 1, generator=generator)
    converters = profile(5, 5, 8).converters()
    with torch.no_grad():
        logits = student({"beat": x})[0].numpy()
    other = run_integer(good, {"beat": x.numpy()}, converters) * converters.adc.step
    assert not np.array_equal(logits, other)


def test_every_parameter_gets_a_gradient_through_the_converters():
    student = segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(0))
    student.core = BrevitasCore(profile(6, 6, 8))
    student({"beat": torch.rand(32, 360, 1) * 2 - 1})[0].square().sum().backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert student.layers["mlp0"].raw_weight.grad.abs().max() > 0


@given(gain=st.floats(1e-6, 100), width=st.integers(1, 23))
def test_gains_are_rounded_as_the_integer_reference_rounds_them(gain, width):
    value = torch.tensor(gain, dtype=torch.float32)
    assert float(round_gain(value, width)) == round_mantissa(float(value), width)


def test_a_profile_without_bits_is_refused():
    with pytest.raises(ConfigError, match="gives no bits"):
        BrevitasCore(load_profile("ideal"))
