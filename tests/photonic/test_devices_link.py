"""Link budgets, by hand and through their findings."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import pytest

from photonic.devices.link import link_budget, longest_path_loss_db
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile, parse_profile


def profile_of(kind: str, **sections) -> HardwareProfile:
    return parse_profile(
        {"name": "test", "description": "x", "kind": kind, **sections}, where="test"
    )


OPTICS = {
    "laser_power_mw": 10.0, "lo_power_mw": 10.0, "coupler_loss_db": 3.0, "modulator_loss_db": 2.0,
    "element_loss_db": 0.5,
}  # fmt: skip


def test_a_mesh_is_passed_twice_with_an_attenuator_in_between():
    assert longest_path_loss_db(profile_of("mzi", optics=OPTICS)) == pytest.approx(5 + 9 * 0.5)
    reck = profile_of("mzi", optics={**OPTICS, "layout": "reck"})
    assert longest_path_loss_db(reck) == pytest.approx(5 + 11 * 0.5)


def test_banks_and_crossbars_share_the_light_among_rows():
    stage = {"encoding": "intensity-differential"}
    optics = {"laser_power_mw": 10.0, "element_loss_db": 0.5}
    rings = profile_of("mrr", optics=optics, input=stage)
    cells = profile_of("pcm", optics=optics, input=stage)
    assert longest_path_loss_db(rings) == pytest.approx(4 * 0.5 + 10 * math.log10(4))
    assert longest_path_loss_db(cells) == pytest.approx(0.5 + 10 * math.log10(4))


def test_powers_by_hand():
    budget = link_budget(profile_of("mzi", optics=OPTICS, output={"bits": 8}))
    assert budget.launched_dbm == pytest.approx(10.0)
    assert budget.arriving_dbm == pytest.approx(10.0 - 9.5)
    channel_mw = 10 * 10**-0.5
    amplitude = math.sqrt(4 * channel_mw) + math.sqrt(10.0)
    assert budget.brightest_dbm == pytest.approx(10 * math.log10(amplitude**2 / 2))
    assert budget.half_lsb_dbm == pytest.approx(0.5 - 10 * math.log10(64))
    assert budget.noise_lsb == 0.0
    assert budget.findings == ()


@pytest.mark.parametrize(
    ("sections", "finding"),
    [
        ({"limits": {"max_insertion_loss_db": 9.0}}, r"loss 9\.5 dB, allowed .* 9 dB"),
        ({"optics": {**OPTICS, "sensitivity_dbm": 3.0}}, r"arrives with 0\.5 dBm.*= 3 dBm"),
        ({"optics": {**OPTICS, "saturation_dbm": 5.0}}, r"saturates at .* = 5 dBm"),
        (
            {"noise": {"bandwidth_ghz": 50.0, "load_ohm": 50.0}, "output": {"bits": 12},
             "optics": {**OPTICS, "laser_power_mw": 0.01, "lo_power_mw": 0.01}},
            r"receiver noise is \d+\.\d\d LSB of the ADC",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_numbers(sections, finding):
    budget = link_budget(profile_of("mzi", **{"optics": OPTICS, **sections}))
    assert len(budget.findings) == 1
    assert re.search(finding, budget.findings[0])


def test_without_a_laser_there_is_no_budget():
    with pytest.raises(ProfileError, match=r"needs optics\.laser_power_mw"):
        link_budget(profile_of("mzi"))


def test_a_link_budget_needs_no_torch():
    code = "import sys, photonic.devices.link; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
