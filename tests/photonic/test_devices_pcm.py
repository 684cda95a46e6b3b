"""Crossbars: levels, drift, cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.devices import device_for
from photonic.devices.pcm import drift_factor
from photonic.profile import HardwareProfile, parse_profile


def profile_of(**sections) -> HardwareProfile:
    data = {
        "name": "test", "description": "x", "kind": "pcm",
        "input": {"encoding": "intensity-differential"}, **sections,
    }  # fmt: skip
    return parse_profile(data, where="test")


@given(st.floats(1, 1e8), st.floats(0.01, 0.2))
def test_drift_is_a_power_law(time_s, exponent):
    one = drift_factor(time_s=time_s, reference_s=1.0, exponent=exponent)
    ten = drift_factor(time_s=10 * time_s, reference_s=1.0, exponent=exponent)
    assert np.log10(one / ten) == pytest.approx(exponent, rel=1e-6)


def test_cells_do_not_drift_unless_told_to():
    assert drift_factor(time_s=1e9, reference_s=1.0, exponent=0.0) == 1.0


def test_drift_shrinks_the_whole_matrix():
    pcm = {"drift_exponent": 0.05, "drift_time_s": 1e4, "drift_reference_s": 10.0}
    device = device_for(profile_of(pcm=pcm))
    wanted = np.random.default_rng(0).uniform(-1, 1, (3, 4, 4))
    realised = device.realise(device.compile(wanted))[0].numpy()
    assert np.abs(realised - wanted * 1000**-0.05).max() < 1e-12


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_a_cell_has_as_many_levels_as_its_bits_say(bits):
    device = device_for(profile_of(pcm={"level_bits": bits}))
    wanted = np.linspace(-1, 1, 16 * 200).reshape(-1, 4, 4)
    cells = device.compile(wanted)["cells"]
    assert len(np.unique(cells)) == 2**bits
    assert (cells.min(axis=1) == 0).all()  # one cell of each pair stays dark
    step = 2.0**-bits
    inside = np.abs(wanted) <= 1 - step
    off = np.abs(device.decompile({"cells": cells}) - wanted)
    assert off[inside].max() <= step / 2 + 1e-12


def test_levels_hold_symmetric_weights_of_one_bit_more_exactly():
    weight = {"bits": 5, "symmetric": True}
    device = device_for(profile_of(pcm={"level_bits": 4}, weight=weight))
    wanted = np.random.default_rng(0).uniform(-1, 1, (20, 4, 4))
    stored = device.stored(wanted)
    assert np.array_equal(device.realise(device.compile(wanted))[0].numpy(), stored)


def test_both_cells_of_a_pair_err():
    device = device_for(profile_of(pcm={"cell_sigma": 0.01}))
    compiled = device.compile(np.full((1, 4, 4), 0.5))
    compiled["cells"][:, 1] = 0.4
    realised = device.realise(compiled, device.static_errors(0, range(3000), 1)).numpy()
    assert realised.std() == pytest.approx(0.01 * np.sqrt(2), rel=0.02)
    assert realised.mean() == pytest.approx(0.1, abs=0.001)


def test_a_dark_cell_does_not_become_negative():
    device = device_for(profile_of(pcm={"cell_sigma": 0.3}))
    errors = device.static_errors(0, range(100), 1)
    transfer = device.transfer(device.compile(np.full((1, 4, 4), 0.5)), errors)
    assert transfer.power is not None
    assert (transfer.power >= 0).all()
