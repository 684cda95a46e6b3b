"""Cost of a beat: hand-counted on a small program, and what scales with what."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from photonic.cost import cost, phase_shifters, reprogrammings_per_beat
from photonic.errors import ConfigError
from photonic.profile import HardwareProfile, load_profile, shipped_profiles
from photonic.program import Activation, Input, Layer, Linear, Patch, Program

MZI = load_profile("component_mzi")


def program() -> Program:
    """Six tokens through a 6→5 layer (2 × 2 tiles), then one token through a 5→2 layer."""

    def layer(name: str, out: int, fan_in: int) -> Layer:
        return Layer(
            name=name, matrix=np.ones((out, fan_in), "f4"), bias=np.zeros(out, "f4"), gain=1.0
        )

    return Program(
        inputs=(Input(name="x", tokens=36, channels=1),),
        steps=(
            Patch(out="patches", source="x", size=6, stride=6),
            Linear(out="sums", source="patches", layer="first"),
            Activation(out="features", source="sums", kind="tanh"),
            Patch(out="whole", source="features", size=6, stride=6),
            Linear(out="logits", source="whole", layer="last"),
        ),
        output="logits",
        layers={"first": layer("first", 5, 6), "last": layer("last", 2, 30)},
    )


def with_values(profile: HardwareProfile, **values) -> HardwareProfile:
    for key, value in values.items():
        profile = profile.with_value(key.replace("__", "."), value)
    return profile


def test_counts_are_those_of_the_tiles():
    c = cost(program(), MZI)
    assert c.matrices == 4 + 8
    assert c.products == c.passes == 6 * 4 + 8
    assert c.macs == 6 * 30 + 60
    assert c.reprogrammings == 12


def test_time_is_passes_over_the_clock_and_flight_per_layer_and_writes():
    c = cost(program(), MZI)
    assert c.compute_us == pytest.approx((32 / 1.0 + 2 * 0.1) * 1e-3)
    assert c.reprogramming_us == pytest.approx(12 * 10.0)
    assert c.latency_us == pytest.approx(c.compute_us + 120.0)
    held = cost(program(), with_values(MZI, core__count=12))
    assert held.reprogrammings == 0
    assert held.latency_us == pytest.approx((32 / 12 + 0.2) * 1e-3)


def test_energy_by_hand():
    c = cost(program(), MZI)
    assert c.missing == ()
    assert c.energy_pj["dac"] == pytest.approx(32 * 4 * 3.57)
    assert c.energy_pj["adc"] == pytest.approx(32 * 4 * 1.48)
    assert c.energy_pj["laser"] == pytest.approx((4 * 10 + 4 * 1) / 0.2 * c.compute_us * 1e3)
    assert c.energy_pj["receiver"] == pytest.approx(4 * 3.0 * c.compute_us * 1e3)
    assert c.energy_pj["heater"] == pytest.approx(36 * 30.0 * c.latency_us * 1e3)
    assert c.total_energy_pj == pytest.approx(sum(c.energy_pj.values()))
    assert c.times_digital == pytest.approx(c.total_energy_pj / (240 * 0.23))


def test_the_number_of_phase_shifters_is_that_of_the_compiled_settings():
    from photonic.devices import device_for

    (phases,) = device_for(MZI).compile(np.eye(4)[None])["phases_rad"]
    assert len(phases) == phase_shifters(4, 4)


def test_intensity_encoding_takes_two_passes_and_converts_a_digital_difference_twice():
    ring = with_values(load_profile("zhang_2022_mrr"), energy__adc_pj=1.0, energy__dac_pj=1.0)
    analog, digital = (
        cost(program(), ring),
        cost(program(), with_values(ring, input__difference="digital")),
    )
    assert analog.passes == 2 * analog.products
    assert analog.energy_pj["adc"] == analog.products * 4
    assert digital.energy_pj["adc"] == 2 * analog.energy_pj["adc"]
    assert digital.energy_pj["dac"] == analog.energy_pj["dac"] == analog.passes * 4


def test_beats_that_share_a_load_share_the_writing():
    one, many = cost(program(), MZI), cost(program(), MZI, beats_per_load=100)
    assert many.reprogramming_us == pytest.approx(one.reprogramming_us / 100)
    assert many.energy_pj["dac"] == one.energy_pj["dac"]
    assert reprogrammings_per_beat(12, 12) == 0.0


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_shipped_profile_has_a_cost_and_names_what_it_lacks(name):
    profile = load_profile(name)
    c = cost(program(), profile)
    assert c.passes > 0
    for key in c.missing:
        section, _, value = key.partition(".")
        assert getattr(getattr(profile, section), value) is None
    if c.total_energy_pj is not None:
        assert math.isfinite(c.total_energy_pj)


def test_nothing_stated_is_nothing_guessed():
    c = cost(program(), load_profile("ideal"))
    assert c.energy_pj == {}
    assert c.total_energy_pj is None
    assert c.latency_us is None
    assert {"energy.dac_pj", "timing.clock_ghz"} <= set(c.missing)


@pytest.mark.parametrize("name", ["beats_per_load", "digital_pj_per_mac"])
def test_numbers_that_are_not_positive_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} 0: must be above 0"):
        cost(program(), MZI, **{name: 0})


def test_the_command_shows_all_profiles_in_one_table(small_bundle):
    command = [sys.executable, "-m", "photonic.cli.main", "cost", str(small_bundle)]
    done = subprocess.run(
        [*command, "--profile", "all"], capture_output=True, text=True, check=True
    )
    for name in shipped_profiles():
        assert name in done.stdout
    assert "≥" in done.stdout
    code = (
        "import sys; from photonic.cli.main import run; "
        f"run(['cost', {str(small_bundle)!r}, '--profile', 'component_mzi', '--json']); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (answer,) = json.loads(done.stdout)["costs"]
    assert answer["total_is_lower_bound"] is False
    assert answer["latency_us"] > 0
