"""Heaters: crosstalk and what compiles it away, the φ(V) law and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.devices.heaters import (
    crosstalk_matrix,
    drives_for,
    heater_power_mw,
    phase_to_voltage,
    quantize_phases,
    reachable_phases,
    voltage_to_phase,
)
from photonic.errors import ProfileError
from photonic.profile_sections import Heater

LAW = Heater(quadratic_rad_per_v2=0.4, cubic_rad_per_v3=-0.01, max_voltage_v=5.0)
GRID = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2).astype(float)


def test_a_neighbour_gets_the_stated_share_and_others_exponentially_less():
    c = crosstalk_matrix(GRID, Heater(crosstalk=0.02, crosstalk_pitch=0.5))
    assert np.array_equal(np.diag(c), np.ones(16))
    assert c[0, 1] == pytest.approx(0.02)
    assert c[0, 2] == pytest.approx(0.02 * np.exp(-2))
    assert np.array_equal(c, c.T)


@given(st.integers(0, 10_000), st.floats(0.001, 0.03))
def test_drives_give_the_wanted_phases_and_never_cool(seed, share):
    c = crosstalk_matrix(GRID, Heater(crosstalk=share))
    wanted = np.random.default_rng(seed).uniform(0, 2 * np.pi, (5, 16))
    drives = drives_for(wanted, c)
    assert drives.min() >= 0
    turns = (drives @ c.T - wanted) / (2 * np.pi)
    assert np.abs(turns - np.rint(turns)).max() < 1e-9


@given(st.floats(0, 5))
def test_a_voltage_gives_a_phase_that_gives_it_back(voltage):
    phase = voltage_to_phase(np.array([voltage]), LAW)
    assert phase_to_voltage(phase, LAW)[0] == pytest.approx(voltage, abs=1e-6)


def test_phases_beyond_the_voltage_range():
    top = float(voltage_to_phase(np.array(5.0), LAW))
    with pytest.raises(ProfileError, match=r"allowed are heater\.max_voltage_v = 5 V"):
        phase_to_voltage(np.array([top + 0.1]), LAW)
    floor = LAW.model_copy(update={"min_voltage_v": 0.5})
    low = float(voltage_to_phase(np.array(0.5), floor))
    reached = reachable_phases(np.array([0.0, low / 2, 1.0, top + 1.0]), floor)
    assert reached == pytest.approx([2 * np.pi, low / 2 + 2 * np.pi, 1.0, top])
    assert reachable_phases(np.array([9.0]), Heater()) == 9.0


def test_without_a_law_there_is_no_voltage_and_no_power():
    with pytest.raises(ProfileError, match="quadratic_rad_per_v2 is not given"):
        voltage_to_phase(np.array([1.0]), Heater())
    with pytest.raises(ProfileError, match="power_per_pi_mw is not given"):
        heater_power_mw(np.array([1.0]), Heater())


def test_power_is_proportional_to_phase():
    heater = Heater(power_per_pi_mw=30.0)
    assert heater_power_mw(np.array([np.pi, np.pi / 2]), heater) == pytest.approx(45.0)


def test_phase_codes_wrap_unless_heaters_warm_each_other():
    almost = np.array([2 * np.pi - 1e-3])
    assert quantize_phases(almost, 4)[0] == 0.0
    assert quantize_phases(almost, 4, wrap=False)[0] == pytest.approx(15 / 16 * 2 * np.pi)
    assert quantize_phases(almost, None)[0] == almost[0]
