"""Receiver noise against its closed forms, and the simulated readout against both."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from photonic.devices import device_for
from photonic.devices.noise import (
    ELEMENTARY_CHARGE_C,
    amplifier_variance,
    channel_power_w,
    homodyne_full_scale_a,
    homodyne_receiver,
    intensity_receiver,
    rin_variance,
    shot_variance,
    snr_db,
    thermal_variance,
)
from photonic.devices.read_noise import ChipStreams
from photonic.devices.readout import forward
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile, parse_profile

RECEIVER = {"bandwidth_ghz": 5.0, "load_ohm": 50.0, "rin_db_per_hz": -155.0}


def profile_of(kind: str, **sections) -> HardwareProfile:
    return parse_profile(
        {"name": "test", "description": "x", "kind": kind, **sections}, where="test"
    )


def test_the_stated_test_vector():
    """1 mW on 1 A/W in 5 GHz at 300 K and 50 Ω, −155 dB/Hz, 10 nA dark current."""
    current_a = 1e-3
    shot = shot_variance(current_a=current_a, dark_current_a=10e-9, bandwidth_hz=5e9)
    thermal = thermal_variance(load_ohm=50.0, temperature_k=300.0, bandwidth_hz=5e9)
    rin = rin_variance(current_a=current_a, rin_db_per_hz=-155.0, bandwidth_hz=5e9)
    assert shot == pytest.approx(1.602193e-12, rel=1e-6)
    assert thermal == pytest.approx(1.656779e-12, rel=1e-6)
    assert rin == pytest.approx(1.581139e-12, rel=1e-6)
    assert snr_db(current_a, shot, thermal, rin) == pytest.approx(53.151, abs=5e-4)


def test_amplifier_noise_and_homodyne_current():
    assert amplifier_variance(noise_a_per_rthz=10e-12, bandwidth_hz=1e9) == pytest.approx(1e-13)
    full_scale = homodyne_full_scale_a(
        responsivity_a_per_w=0.8, lo_power_w=4e-3, signal_power_w=1e-3
    )
    assert full_scale == pytest.approx(2 * 0.8 * 2e-3)


def measured_sigma(profile: HardwareProfile, matrix: np.ndarray, x: list[float]) -> np.ndarray:
    """Standard deviation of each output over many reads of one vector."""
    device = device_for(profile)
    transfer = device.transfer(device.compile(matrix[None]))
    vectors = torch.tensor(x, dtype=torch.float64).expand(1, 40_000, len(x))
    y = forward(device, vectors, transfer, noise=ChipStreams.of_chips(0, range(1)))
    return y[0].std(0).numpy()


def test_homodyne_noise_is_that_of_its_formula():
    matrix = np.diag([0.9, 0.5, 0.2, 0.0])
    optics = {"laser_power_mw": 0.5, "lo_power_mw": 2.0, "responsivity_a_per_w": 0.8}
    profile = profile_of(
        "mzi", optics=optics, noise={**RECEIVER, "cmrr_db": 30.0, "dark_current_na": 10.0}
    )
    x = [1.0, 1.0, -1.0, 1.0]
    gain = 1.05 * 0.9
    full_scale_a = 2 * 0.8 * math.sqrt(0.5e-3 * 2e-3)
    current = matrix @ np.array(x) / gain * full_scale_a
    rin = 10**-15.5
    # Shot noise of oscillator and detected signal, 4kTB/R, oscillator RIN behind 30 dB, shared RIN.
    signal_a = 0.8 * 0.5e-3 * (current / full_scale_a) ** 2
    variance = (
        2 * ELEMENTARY_CHARGE_C * (0.8 * 2e-3 + signal_a + 2 * 10e-9) * 5e9
        + thermal_variance(load_ohm=50.0, temperature_k=300.0, bandwidth_hz=5e9)
        + rin * (0.8 * 2e-3) ** 2 * 5e9 * 1e-3
        + rin * current**2 * 5e9
    )
    expected = np.sqrt(variance) / full_scale_a * gain
    assert measured_sigma(profile, matrix, x) == pytest.approx(expected, rel=0.02)


def test_balanced_intensity_noise_is_that_of_its_formula():
    matrix = np.array([[0.9, -0.5, 0.0, 0.2]])
    profile = profile_of(
        "pcm", core={"rows": 1}, optics={"laser_power_mw": 0.2, "coupler_loss_db": 3.0},
        noise=RECEIVER, input={"encoding": "intensity-differential"},
    )  # fmt: skip
    x = np.array([1.0, -0.5, 1.0, 0.25])
    power_w = 0.2e-3 * 10**-0.3
    assert channel_power_w(profile) == pytest.approx(power_w)
    # Two passes, each with electronics; light |w|·|x| in all; every channel its own laser.
    light, squares = (np.abs(matrix) * np.abs(x)).sum(1), ((matrix * x) ** 2).sum(1)
    variance = (
        2 * thermal_variance(load_ohm=50.0, temperature_k=300.0, bandwidth_hz=5e9)
        + 2 * ELEMENTARY_CHARGE_C * power_w * light * 5e9
        + 10**-15.5 * power_w**2 * squares * 5e9
    )
    got = measured_sigma(profile, matrix, x.tolist())
    assert got == pytest.approx(np.sqrt(variance) / power_w, rel=0.02)


def test_doubling_the_light_halves_thermal_noise_and_leaves_rin():
    def receiver(power_mw: float, **noise):
        return intensity_receiver(
            profile_of(
                "pcm", input={"encoding": "intensity-offset"},
                optics={"laser_power_mw": power_mw}, noise={"bandwidth_ghz": 5.0, **noise},
            )
        )  # fmt: skip

    thermal = {"shot": False, "load_ohm": 50.0}
    assert receiver(2.0, **thermal).constant == pytest.approx(receiver(1.0, **thermal).constant / 4)
    assert receiver(2.0).linear == pytest.approx(receiver(1.0).linear / 2)
    rin = {"shot": False, "rin_db_per_hz": -150.0}
    assert receiver(2.0, **rin).square == receiver(1.0, **rin).square > 0


def test_an_offset_encoding_pays_six_decibels():
    sigmas = {}
    for encoding in ("intensity-offset", "intensity-differential"):
        profile = profile_of("pcm", input={"encoding": encoding}, output={"noise_sigma": 0.01})
        sigmas[encoding] = measured_sigma(profile, np.eye(4), [0.0] * 4).mean()
    assert sigmas["intensity-offset"] == pytest.approx(0.02, rel=0.02)
    assert sigmas["intensity-differential"] == pytest.approx(0.01 * math.sqrt(2), rel=0.02)


def test_physical_noise_without_the_light_it_needs_is_refused():
    with pytest.raises(ProfileError, match=r"needs optics\.lo_power_mw"):
        homodyne_receiver(profile_of("mzi", noise={"bandwidth_ghz": 1.0}))
    with pytest.raises(ProfileError, match=r"needs optics\.laser_power_mw"):
        homodyne_receiver(
            profile_of("mzi", optics={"lo_power_mw": 1.0}, noise={"bandwidth_ghz": 1.0})
        )


def test_cells_that_fluctuate_disturb_in_proportion():
    profile = profile_of(
        "pcm", core={"rows": 1}, input={"encoding": "intensity-differential"},
        pcm={"read_sigma": 0.02},
    )  # fmt: skip
    matrix = np.array([[0.8, -0.4, 0.0, 0.0]])
    expected = 0.02 * math.hypot(0.8 * 1.0, 0.4 * 0.5)
    assert measured_sigma(profile, matrix, [1.0, 0.5, 1.0, 1.0]) == pytest.approx(
        expected, rel=0.02
    )
