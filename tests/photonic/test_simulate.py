"""Simulated chips: exact without noise, themselves in any batch, statistics as the profile says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.errors import ProgramError
from photonic.execute import run_float, run_integer
from photonic.profile import HardwareProfile, load_profile
from photonic.program import Input, Layer, Linear, Program
from photonic.simulate import _tanh_in_place, simulate
from photonic.students import SegmentConfig, segment_student

GENERIC = load_profile("generic_8bit")


def beats(n: int, tokens: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
    return {"beat": np.random.default_rng(seed).uniform(-1, 1, (n, tokens, 1)).astype(np.float32)}


def with_values(profile: HardwareProfile, **values) -> HardwareProfile:
    for key, value in values.items():
        profile = profile.with_value(key.replace("__", "."), value)
    return profile


@given(
    st.integers(2, 12), st.integers(2, 12), st.integers(2, 12), st.sampled_from([1.0, 3.0, 4.0]),
    st.sampled_from([1.0, 0.9]), st.sampled_from(["tanh", "relu"]), st.sampled_from([4, 6, 12]),
    st.integers(0, 10_000),
)  # fmt: skip
@settings(max_examples=80)
def test_without_noise_the_codes_are_those_of_the_integer_reference(
    two_layers, weight_bits, dac_bits, adc_bits, full_scale, range_in, kind, fan_in, seed
):
    profile = with_values(
        GENERIC, weight__bits=weight_bits, input__bits=dac_bits, output__bits=adc_bits,
        output__full_scale=full_scale, input__full_scale=range_in, weight__full_scale=range_in,
    )  # fmt: skip
    program, inputs = two_layers(seed, fan_in=fan_in, kind=kind), beats(40, seed=seed)
    converters = profile.converters()
    codes = run_integer(program, inputs, converters)
    logits = simulate(program, profile, inputs, chips=None)[0]
    assert np.array_equal(logits, (codes * converters.adc.step).astype(np.float32))


def test_the_comparison_with_the_integer_reference_can_fail(two_layers):
    program, inputs = two_layers(0), beats(40)
    codes = run_integer(program, inputs, GENERIC.converters())
    other = with_values(GENERIC, weight__bits=7)
    logits = simulate(program, other, inputs, chips=None)[0]
    assert not np.array_equal(logits, codes * GENERIC.converters().adc.step)


@given(st.integers(0, 1000), st.sampled_from(["tanh", "relu"]), st.sampled_from([4, 12]))
@settings(max_examples=20)
def test_the_ideal_profile_is_the_float_model(two_layers, seed, kind, fan_in):
    program, inputs = two_layers(seed, fan_in=fan_in, kind=kind), beats(30, seed=seed)
    exact = run_float(program, inputs)
    ideal = load_profile("ideal")
    for chips in (None, range(2)):
        logits = simulate(program, ideal, inputs, chips=chips)
        assert np.abs(logits - exact).max() <= 2e-6 * max(1.0, np.abs(exact).max())


def test_the_ideal_profile_is_a_torch_linear_layer():
    generator = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(4, 4)
    torch.nn.init.uniform_(linear.weight, -1, 1, generator=generator)
    torch.nn.init.uniform_(linear.bias, -1, 1, generator=generator)
    layer = Layer(
        name="one", matrix=linear.weight.detach().numpy(), bias=linear.bias.detach().numpy(),
        gain=1.0,
    )  # fmt: skip
    program = Program(
        inputs=(Input(name="x", tokens=1, channels=4),),
        steps=(Linear(out="y", source="x", layer="one"),),
        output="y",
        layers={"one": layer},
    )
    x = torch.rand(1000, 1, 4, generator=generator) * 2 - 1
    got = simulate(program, load_profile("ideal"), {"x": x.numpy()}, chips=range(1))[0]
    assert np.abs(got - linear(x)[:, 0].detach().numpy()).max() <= 1e-6


@given(st.lists(st.integers(0, 500), min_size=2, max_size=6, unique=True), st.integers(0, 99))
@settings(max_examples=15)
def test_a_chip_gives_the_same_logits_in_any_batch(two_layers, chips, seed):
    program, inputs = two_layers(1), beats(20)
    together = simulate(program, GENERIC, inputs, chips=chips, seed=seed)
    for row, chip in zip(together, chips, strict=True):
        alone = simulate(program, GENERIC, inputs, chips=[chip], seed=seed)
        assert np.array_equal(alone[0], row)


@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=5, unique=True), st.sampled_from([4, 6, 3]),
    st.sampled_from([1, 2, 17, 100, 700]), st.sampled_from(["tanh", "relu"]),
)  # fmt: skip
@settings(max_examples=25)
def test_so_does_a_chip_whose_sums_no_converter_rounds(two_layers, chips, rows, num_beats, kind):
    analog = with_values(
        load_profile("ideal"), weight__programming_sigma=0.05, core__rows=rows, core__cols=5
    )
    program, inputs = two_layers(1, fan_in=6, kind=kind), beats(num_beats)
    together = simulate(program, analog, inputs, chips=chips)
    for i, chip in enumerate(chips):
        assert np.array_equal(simulate(program, analog, inputs, chips=[chip])[0], together[i])


def test_the_fast_tanh_is_tanh():
    x = torch.linspace(-100, 100, 2_000_001)
    assert (_tanh_in_place(x.clone()) - torch.tanh(x.double())).abs().max() < 2e-7
    assert torch.equal(_tanh_in_place(x.double()), torch.tanh(x.double()))
    extreme = torch.tensor([-torch.inf, torch.inf, torch.nan])
    assert torch.equal(_tanh_in_place(extreme)[:2], torch.tensor([-1.0, 1.0]))


def test_chips_differ_and_parts_read_different_noise(two_layers):
    program, inputs = two_layers(1), beats(50)
    logits = simulate(program, GENERIC, inputs, chips=range(3))
    assert not np.array_equal(logits[0], logits[1])
    other_part = simulate(program, GENERIC, inputs, chips=range(3), part=1)
    assert not np.array_equal(logits, other_part)
    again = simulate(program, GENERIC, inputs, chips=range(3))
    assert np.array_equal(logits, again)


def one_layer(matrix: np.ndarray, gain: float = 1.0) -> Program:
    layer = Layer(
        name="one", matrix=matrix.astype(np.float32),
        bias=np.zeros(len(matrix), np.float32), gain=gain,
    )  # fmt: skip
    return Program(
        inputs=(Input(name="x", tokens=1, channels=matrix.shape[1]),),
        steps=(Linear(out="y", source="x", layer="one"),),
        output="y",
        layers={"one": layer},
    )


def test_weight_errors_are_static_and_as_large_as_the_profile_says():
    profile = with_values(load_profile("ideal"), weight__programming_sigma=0.03)
    inputs = {"x": np.eye(4, dtype=np.float32)[:, None]}
    logits = simulate(one_layer(np.zeros((4, 4))), profile, inputs, chips=range(500))
    assert logits.std() == pytest.approx(0.03, rel=0.05)
    again = simulate(one_layer(np.zeros((4, 4))), profile, inputs, chips=range(500), part=1)
    assert np.array_equal(logits, again)


def test_detector_noise_stands_before_the_gain_and_grows_with_the_number_of_tiles():
    profile = with_values(load_profile("ideal"), output__noise_sigma=0.01)
    for gain, fan_in in [(1.0, 4), (3.0, 4), (1.0, 16)]:
        inputs = {"x": np.zeros((2000, 1, fan_in), np.float32)}
        program = one_layer(np.zeros((4, fan_in)), gain)
        noise = simulate(program, profile, inputs, chips=range(4))
        assert noise.std() == pytest.approx(0.01 * gain * np.sqrt(fan_in / 4), rel=0.03)


def test_input_noise_passes_through_the_weights():
    profile = with_values(load_profile("ideal"), input__noise_sigma=0.01)
    matrix = np.full((4, 4), 0.5)
    noise = simulate(one_layer(matrix), profile, {"x": np.zeros((2000, 1, 4))}, chips=range(4))
    assert noise.std() == pytest.approx(0.01 * 0.5 * 2, rel=0.03)
    assert np.corrcoef(noise[0].T)[0, 1] > 0.99  # all rows see the same input


def test_the_adc_clips_after_the_gain():
    profile = with_values(load_profile("ideal"), output__bits=8)
    inputs = {"x": np.ones((1, 1, 4), np.float32)}
    logits = simulate(one_layer(np.ones((4, 4)), gain=8.0), profile, inputs, chips=None)
    assert np.array_equal(logits, np.full((1, 1, 4), 4.0 * 127 / 128, np.float32))


def test_a_whole_student_on_chips_stays_near_the_integer_reference():
    generator = torch.Generator().manual_seed(0)
    program = segment_student(SegmentConfig(num_classes=4), generator).program()
    inputs = beats(20, tokens=360)
    ideal = run_float(program, inputs)
    logits = simulate(program, GENERIC, inputs, chips=range(8))
    assert logits.shape == (8, 20, 4)
    assert np.abs(logits - ideal).mean() < 0.1


def test_no_chips_or_wrong_inputs_are_refused(two_layers):
    with pytest.raises(ProgramError, match="at least one chip"):
        simulate(two_layers(0), GENERIC, beats(1), chips=[])
    with pytest.raises(ProgramError, match="input 'beat' has shape"):
        simulate(two_layers(0), GENERIC, beats(1, tokens=25), chips=None)
