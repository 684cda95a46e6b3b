"""Inputs as light: extinction, curves and their inverses, signs, the founding lab's impairments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.devices import device_for
from photonic.devices.encoding import (
    InputOptics,
    field,
    intensity,
    modulation_depth,
    modulator_curve,
    predistorted,
    tabulated_curve,
    tabulated_drive,
    value_of_intensity,
)
from photonic.devices.read_noise import ChipStreams
from photonic.devices.readout import forward
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile, parse_profile

VALUES = torch.linspace(-1, 1, 41, dtype=torch.float64)


def profile_of(kind: str = "generic", **sections) -> HardwareProfile:
    return parse_profile(
        {"name": "test", "description": "x", "kind": kind, **sections}, where="test"
    )


def answer(profile: HardwareProfile, x: torch.Tensor, matrix: np.ndarray | None = None, **more):
    device = device_for(profile)
    matrix = np.eye(4) if matrix is None else matrix
    return forward(device, x, device.transfer(device.compile(matrix[None])), **more)


def test_a_field_of_finite_extinction_stays_on_the_unit_circle_of_its_modulator():
    real, imaginary = field(VALUES, 20.0)
    assert torch.equal(real, VALUES)
    assert float(imaginary.max()) == pytest.approx(0.1)
    ideal = (imaginary / 0.1) ** 2 + real**2
    assert torch.allclose(ideal, torch.ones_like(ideal))


def test_full_scale_has_a_finite_slope_on_a_modulator_of_finite_extinction():
    """A saturated tanh hands on exactly ±1, where ``√(1−x²)`` is infinitely steep."""
    x = torch.tensor([-1.0, -0.6, 0.0, 1.0], requires_grad=True)
    imaginary = field(x, 20.0)[1]
    imaginary.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([0.0, 0.1 * 0.6 / 0.8, 0.0, 0.0])
    assert torch.equal(imaginary.detach(), field(x.detach(), 20.0)[1])


@given(st.floats(0, 1), st.floats(3, 40))
def test_an_intensity_gives_its_value_back(u, ratio_db):
    power = intensity(torch.tensor(u, dtype=torch.float64), ratio_db)
    assert float(value_of_intensity(power, ratio_db)) == pytest.approx(u, abs=1e-12)
    darkest, brightest = (intensity(torch.tensor(v), ratio_db) for v in (0.0, 1.0))
    assert 10 * math.log10(brightest / darkest) == pytest.approx(ratio_db, rel=1e-5)


@given(st.floats(0.3, 0.999))
def test_the_curve_keeps_small_values_and_attenuates_the_peak(attenuation):
    m = modulation_depth(attenuation)
    assert math.sin(m) / m == pytest.approx(attenuation, abs=1e-9)
    small, peak = modulator_curve(torch.tensor([1e-4, 1.0], dtype=torch.float64), attenuation)
    assert float(small) == pytest.approx(1e-4, rel=1e-6)
    assert float(peak) == pytest.approx(attenuation, abs=1e-9)


@given(st.floats(2 / math.pi + 1e-6, 0.999))
@settings(max_examples=30)
def test_predistortion_undoes_the_curve(attenuation):
    drive = predistorted(VALUES, attenuation)
    assert (drive.abs() <= 1 + 1e-9).all()
    assert (modulator_curve(drive, attenuation) / attenuation - VALUES).abs().max() < 1e-9


def test_a_compressed_peak_is_what_the_core_sees():
    y = answer(profile_of(input={"peak_attenuation": 0.7}), VALUES.expand(4, -1).T[None])
    assert float(y[0, -1, 0]) == pytest.approx(0.7)
    assert float(y[0, 21, 0]) == pytest.approx(0.05, rel=2e-3)


def test_predistortion_straightens_the_core_and_costs_noise():
    crooked = {"peak_attenuation": 0.7, "predistortion": True}
    x = VALUES.expand(4, -1).T[None]
    assert (answer(profile_of(input=crooked), x) - x).abs().max() < 1e-9
    zeros = torch.zeros(1, 20_000, 4)
    sigmas = [
        answer(
            profile_of(input=stage, output={"noise_sigma": 0.01}), zeros,
            noise=ChipStreams.of_chips(0, range(1)),
        ).std()
        for stage in ({}, crooked)
    ]  # fmt: skip
    assert float(sigmas[1] / sigmas[0]) == pytest.approx(1 / 0.7, rel=0.02)


@given(
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=12), st.floats(0.3, 1.2),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_a_measured_curve_passes_its_points_and_is_undone(steps, peak, dtype):
    table = np.concatenate([[0.0], np.cumsum(steps)])
    table = tuple((table * peak / table[-1]).tolist())
    drives = torch.linspace(0, 1, len(table), dtype=dtype)
    points = torch.tensor(table, dtype=dtype)
    assert (tabulated_curve(drives, table) - points).abs().max() < 1e-5
    assert (tabulated_curve(-drives, table) + points).abs().max() < 1e-5
    values = VALUES.to(dtype)
    drive = tabulated_drive(values * peak, table)
    assert (drive.abs() <= 1 + 1e-5).all()
    assert (tabulated_curve(drive, table) - values * peak).abs().max() < 1e-5


def test_a_measured_curve_takes_the_place_of_the_sine():
    x = VALUES.expand(4, -1).T[None]
    table = tuple(modulator_curve(torch.linspace(0, 1, 201), 0.7).tolist())
    for encoding in ("field", "intensity-offset", "intensity-differential"):
        for more in ({}, {"predistortion": True}):
            sine, measured = (
                answer(profile_of(input={"encoding": encoding, **curve, **more}), x)
                for curve in ({"peak_attenuation": 0.7}, {"curve": table})
            )
            assert (sine - measured).abs().max() < 1e-4
            assert (x - measured).abs().max() > 0.05 or more
    with pytest.raises(ProfileError, match=r"instead of input\.peak_attenuation: give one"):
        profile_of(input={"curve": table, "peak_attenuation": 0.7})
    for bad in ((0.1, 0.5), (0.0, 0.5, 0.4), (0.0, float("inf"))):
        with pytest.raises(ProfileError, match="must begin at 0, rise all the way"):
            profile_of(input={"curve": bad})


def test_the_drive_converter_needs_two_bits_more_and_then_costs_less_than_half_an_lsb():
    stage = {"bits": 6, "peak_attenuation": 0.7, "predistortion": True, "dac_bits": 8}
    codes = torch.arange(-32, 32, dtype=torch.float64) / 32
    off = answer(profile_of(input=stage), codes.expand(4, -1).T[None])[0, :, 0] - codes
    assert 1e-4 < float(off.abs().max()) < 0.5 / 32
    with pytest.raises(ProfileError, match=r"input\.dac_bits = 7.* at least input\.bits \+ 2"):
        profile_of(input={**stage, "dac_bits": 7})
    with pytest.raises(ProfileError, match=r"at least 2/π = 0\.637"):
        profile_of(input={"peak_attenuation": 0.5, "predistortion": True})


@pytest.mark.parametrize("encoding", ["intensity-differential", "intensity-offset"])
@pytest.mark.parametrize("difference", ["analog", "digital"])
@pytest.mark.parametrize("ratio_db", [None, 10.0])
def test_powers_carry_signs(encoding, difference, ratio_db):
    stage = {"encoding": encoding, "difference": difference, "extinction_ratio_db": ratio_db}
    rng = np.random.default_rng(0)
    matrix = rng.uniform(-1, 1, (4, 4))
    x = torch.from_numpy(rng.uniform(-1, 1, (1, 100, 4)))
    y = answer(profile_of("pcm", input=stage), x, matrix)
    assert (y[0] - x[0] @ torch.from_numpy(matrix).T).abs().max() < 1e-9


def test_a_digital_difference_rounds_twice():
    rng = np.random.default_rng(0)
    matrix = np.rint(rng.uniform(-1, 1, (4, 4)) * 32) / 32
    x = torch.from_numpy(np.rint(rng.uniform(-0.9, 0.9, (1, 500, 4)) * 32) / 32)
    exact = (x @ torch.from_numpy(matrix).T)[0]
    step = 4.0 / 32

    def rounded(values: torch.Tensor) -> torch.Tensor:
        return (values / step).round().clamp(-32, 31) * step

    bits = {"output": {"bits": 6}}
    stage = {"encoding": "intensity-differential"}
    analog = answer(profile_of("pcm", input=stage, **bits), x, matrix)[0]
    assert torch.equal(analog, rounded(exact))
    digital = answer(
        profile_of("pcm", input={**stage, "difference": "digital"}, **bits), x, matrix
    )[0]
    halves = [(h @ torch.from_numpy(matrix).T)[0] for h in (x.clamp(min=0), (-x).clamp(min=0))]
    assert torch.equal(digital, rounded(halves[0]) - rounded(halves[1]))
    assert not torch.equal(analog, digital)


def test_passes_per_product():
    assert profile_of("mzi").passes() == 1
    differential = profile_of("mrr", input={"encoding": "intensity-differential"})
    assert differential.passes() == 2
    assert differential.passes(nonnegative=True) == 1
    assert differential.with_value("input.doubled", True).passes() == 1
    offset = profile_of("pcm", input={"encoding": "intensity-offset"})
    assert offset.passes() == 1
    assert offset.with_value("pcm.columns_in_turn", True).passes() == 2


def test_noise_of_a_stated_snr_follows_the_power_of_each_beat():
    device = device_for(profile_of(input={"snr_db": 20.0}))
    transfer = device.transfer(device.compile(np.eye(4)[None]))
    x = torch.ones(1, 20_000, 4) * torch.tensor([0.2, 0.8]).repeat(10_000)[:, None]
    off = forward(device, x, transfer, noise=ChipStreams.of_chips(0, range(1))) - x
    quiet, loud = off[0, 0::2], off[0, 1::2]
    assert float(quiet.std()) == pytest.approx(0.02, rel=0.02)
    assert float(loud.std()) == pytest.approx(0.08, rel=0.02)


def test_optics_of_a_plain_input_change_nothing():
    optics = InputOptics.of(profile_of())
    assert optics.is_linear
    assert (optics.receiver_scale, optics.detections, optics.epsilon) == (1.0, 1, 0.0)
    assert optics.emit(VALUES) is VALUES
