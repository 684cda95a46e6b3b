"""Rings and banks: inverses, tails, ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.devices import device_for
from photonic.devices.ring import (
    STEEPEST_SLOPE,
    bank_detunings,
    bank_powers,
    bank_weight,
    ring_detuning,
    ring_weight,
    usable_weights,
)
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile, parse_profile


def profile_of(**sections) -> HardwareProfile:
    data = {
        "name": "test", "description": "x", "kind": "mrr",
        "input": {"encoding": "intensity-differential"}, **sections,
    }  # fmt: skip
    return parse_profile(data, where="test")


def double(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


@given(st.floats(0, 50), st.floats(0.3, 1), st.floats(0, 0.2))
def test_a_ring_weight_gives_its_detuning_back(delta, drop, through):
    weight = ring_weight(double(delta), drop=drop, through=through)
    again = ring_detuning(weight, drop=drop, through=through)
    assert float(again) == pytest.approx(delta, abs=1e-6, rel=1e-9)


def test_the_lossless_ring_in_closed_form():
    delta = torch.linspace(0, 20, 5001, dtype=torch.float64)
    weight = ring_weight(delta)
    assert torch.allclose(weight, (1 - delta**2) / (1 + delta**2), atol=1e-15)
    slope = torch.gradient(weight, spacing=(delta,))[0].abs()
    assert float(slope.max()) == pytest.approx(STEEPEST_SLOPE, rel=1e-4)
    assert float(delta[slope.argmax()]) == pytest.approx(1 / math.sqrt(3), abs=0.01)


def test_the_usable_range_ends_short_of_one():
    assert usable_weights(10.0) == pytest.approx((-99 / 101, 1.0))
    low, high = usable_weights(10.0, drop=0.8, through=0.05)
    assert (low, high) == pytest.approx((1.75 / 101 - 1, 0.75))


@given(st.integers(0, 10_000), st.sampled_from([10.0, 20.0, 50.0]), st.integers(2, 8))
@settings(max_examples=40)
def test_a_lossless_bank_drops_what_it_does_not_pass(seed, spacing, size):
    delta = double(np.random.default_rng(seed).uniform(0, 4, (3, size)))
    dropped, through = bank_powers(delta, spacing=spacing)
    assert (dropped + through - 1).abs().max() < 1e-12
    index = torch.arange(size)
    offset = spacing * (index[:, None] - index[None]) - delta[:, None, :]
    product = (offset**2 / (1 + offset**2)).prod(-1)
    weight = bank_weight(delta, spacing=spacing)
    assert (weight - (1 - 2 * product)).abs().max() < 1e-12


@given(st.integers(0, 1000), st.floats(0.5, 1), st.floats(0, 0.2))
@settings(max_examples=20)
def test_a_lossy_bank_only_loses(seed, drop, through):
    delta = double(np.random.default_rng(seed).uniform(0, 4, (3, 4)))
    drop = min(drop, 1 - through)
    dropped, passed = bank_powers(delta, spacing=10.0, drop=drop, through=through)
    assert (dropped >= 0).all()
    assert (passed >= 0).all()
    assert (dropped + passed <= 1 + 1e-12).all()


@given(
    st.integers(0, 10_000), st.sampled_from([None, 10.0, 20.0, 50.0]), st.integers(1, 8),
    st.sampled_from([(1.0, 0.0), (0.8, 0.05)]),
)  # fmt: skip
@settings(max_examples=40)
def test_the_joint_inverse_of_a_bank(seed, spacing, size, losses):
    drop, through = losses
    delta = double(np.random.default_rng(seed).uniform(0.05, 4, (3, size)))
    weights = bank_weight(delta, spacing=spacing, drop=drop, through=through)
    again = bank_detunings(weights, spacing=spacing, max_detuning=4.5, drop=drop, through=through)
    assert (again - delta).abs().max() < 1e-6


@pytest.mark.parametrize("spacing", [5.0, 10.0, 20.0, 50.0])
def test_crosstalk_is_the_product_of_the_lorentzian_tails(spacing):
    """A channel between two neighbours on resonance, its own ring far off."""
    delta = double([0.0, 1e6, 0.0, 0.0])
    crosstalk = bank_weight(delta, spacing=spacing)[1] - ring_weight(double(1e6))
    tails = [1 / (1 + (spacing * n) ** 2) for n in (1, 1, 2)]
    expected = 2 * (1 - math.prod(1 - t for t in tails))
    assert float(crosstalk) == pytest.approx(expected, rel=1e-6)


def test_programming_rings_one_by_one_leaves_the_crosstalk_that_the_joint_inverse_removes():
    wanted = double(np.random.default_rng(0).uniform(-0.7, 0.7, (500, 4)))
    alone = bank_weight(ring_detuning(wanted), spacing=10.0) - wanted
    joint = bank_weight(bank_detunings(wanted, spacing=10.0, max_detuning=5.0), spacing=10.0)
    assert alone.abs().max() > 0.02
    assert (joint - wanted).abs().max() < 1e-9


@pytest.mark.parametrize(("drop", "through"), [(1.0, 0.0), (0.8, 0.05)])
def test_a_device_reaches_its_full_scale_with_both_signs(drop, through):
    ring = {
        "spacing": 12.0, "max_detuning": 6.0, "drop_on_resonance": drop,
        "through_on_resonance": through,
    }  # fmt: skip
    device = device_for(profile_of(ring=ring))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (300, 4, 4))
    assert np.abs(device.realise(device.compile(signs))[0].numpy() - signs).max() < 1e-9


def test_tuning_codes_are_whole():
    device = device_for(profile_of(ring={"tuning_bits": 6, "max_detuning": 5.0}))
    delta = device.compile(np.random.default_rng(0).uniform(-1, 1, (50, 4, 4)))["detuning"]
    codes = delta / (5.0 / 63)
    assert np.abs(codes - np.rint(codes)).max() < 1e-9
    assert codes.max() <= 63


def test_one_kelvin_is_about_one_half_linewidth_at_a_quality_of_ten_thousand():
    half_linewidth_pm = 1550e3 / 1e4 / 2
    drift = {"temperature_k_per_rts": 1.0, "recalibration_interval_s": 2.0}
    device = device_for(profile_of(ring={"half_linewidth_pm": half_linewidth_pm}, drift=drift))
    cold = device.compile(np.zeros((1, 4, 4)))
    errors = {name: torch.ones_like(e) for name, e in device.static_errors(0, [0], 1).items()}
    moved = device.realise(cold, errors)
    by_hand = device.realise({"detuning": cold["detuning"] + 83.0 / half_linewidth_pm})
    assert (moved - by_hand).abs().max() < 1e-12
    assert 83.0 / half_linewidth_pm == pytest.approx(1.07, abs=0.01)


def test_rings_that_meet_or_do_not_fit_are_refused():
    with pytest.raises(ProfileError, match=r"ring\.max_detuning = 10 reaches the next channel"):
        device_for(profile_of(ring={"spacing": 8.0}))
    with pytest.raises(ProfileError, match="reach no weight with both signs"):
        device_for(profile_of(ring={"max_detuning": 0.5}))
    with pytest.raises(ProfileError, match=r"take 6\.2 nm, more than ring\.free_spectral_range_nm"):
        profile_of(ring={"spacing": 20.0, "half_linewidth_pm": 77.5, "free_spectral_range_nm": 5.0})
    with pytest.raises(ProfileError, match=r"needs ring\.half_linewidth_pm"):
        device_for(
            profile_of(drift={"temperature_k_per_rts": 1.0, "recalibration_interval_s": 1.0})
        )
    with pytest.raises(ProfileError, match="kind 'mrr' adds powers"):
        profile_of(input={"encoding": "field"})
