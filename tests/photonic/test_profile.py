"""Profiles: the shipped ones hold together, and every fault in a file gets one useful line."""

from __future__ import annotations

import json
import tomllib

import pytest

from photonic.devices import device_for
from photonic.errors import ProfileError
from photonic.profile import load_profile, parse_profile, shipped_profiles
from photonic.profile_table import COMMAND, render_profiles

MINIMAL = {"name": "mine", "description": "a core of my own"}


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_shipped_profile_loads_under_its_own_name(name):
    assert load_profile(name).name == name


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_value_of_a_shipped_profile_says_where_it_comes_from(name, repository):
    text = (repository / "hw_profiles" / f"{name}.toml").read_text(encoding="utf-8")
    profile = load_profile(name)
    given = {
        f"{section}.{key}"
        for section, values in tomllib.loads(text).items()
        if isinstance(values, dict) and section != "source"
        for key in values
    }
    assert given <= set(profile.source)


def test_a_file_of_the_users_own_loads(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ndescription = "x"\n[weight]\nbits = 6\n')
    profile = load_profile(path)
    assert profile.weight.bits == 6
    assert profile.core.rows == 4


def test_an_unknown_name_lists_the_shipped_profiles():
    with pytest.raises(ProfileError, match=r"'lab_ecg' is neither a file nor .* generic_8bit"):
        load_profile("lab_ecg")


def test_a_damaged_file_says_where(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("name = ")
    with pytest.raises(ProfileError, match=r"broken\.toml: not valid TOML: .*document"):
        load_profile(path)


def test_every_fault_has_its_own_line():
    data = MINIMAL | {"weight": {"bits": 0, "sigma": 1.0}, "output": {"full_scale": -4.0}}
    with pytest.raises(ProfileError) as caught:
        parse_profile(data, where="f.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("f.toml: weight.bits = 0" in x and "greater than or equal to 2" in x for x in lines)
    assert any("weight.sigma" in x and "known are full_scale, bits" in x for x in lines)
    assert any("output.full_scale = -4.0" in x and "greater than 0" in x for x in lines)


@pytest.mark.parametrize("value", ["8", 8.0, True])
def test_bits_are_whole_numbers_and_nothing_else(value):
    with pytest.raises(ProfileError, match=r"weight\.bits"):
        parse_profile(MINIMAL | {"weight": {"bits": value}}, where="f.toml")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value):
    with pytest.raises(ProfileError, match=r"output\.noise_sigma"):
        parse_profile(MINIMAL | {"output": {"noise_sigma": value}}, where="f.toml")


def test_a_source_must_name_a_value_and_its_kind():
    with pytest.raises(
        ProfileError, match=r"source of 'weight\.bit': the profile has no such value"
    ):
        parse_profile(MINIMAL | {"source": {"weight.bit": "assumed: x"}}, where="f.toml")
    with pytest.raises(ProfileError, match="must begin with one of reported, derived"):
        parse_profile(MINIMAL | {"source": {"weight.bits": "I think"}}, where="f.toml")


def test_a_changed_value_is_checked_and_the_closest_keys_are_named():
    profile = load_profile("ideal")
    assert profile.with_value("output.noise_sigma", 0.1).output.noise_sigma == 0.1
    with pytest.raises(ProfileError, match=r"did you mean weight\.programming_sigma"):
        profile.with_value("weight.programing_sigma", 0.1)
    with pytest.raises(ProfileError, match=r"weight\.bits = 0"):
        profile.with_value("weight.bits", 0)


def test_a_hash_is_that_of_the_values():
    profile = load_profile("generic_8bit")
    same = parse_profile(profile.model_dump(), where="again")
    assert profile.hash() == same.hash()
    assert profile.hash() != profile.with_value("weight.bits", 7).hash()


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_profile_written_out_with_all_its_values_loads_again(name):
    profile = load_profile(name)
    again = parse_profile(json.loads(json.dumps(profile.model_dump(mode="json"))), where="again")
    assert again == profile
    assert device_for(again).profile.hash() == profile.hash()


def test_the_page_of_profiles_is_up_to_date(repository):
    page = (repository / "docs" / "profiles.md").read_text(encoding="utf-8")
    rendered = render_profiles([load_profile(name) for name in shipped_profiles()])
    assert page == rendered, f"run: {COMMAND}"


def test_converters_are_there_only_when_all_three_have_bits():
    profile = load_profile("generic_6bit")
    converters = profile.converters()
    assert converters is not None
    assert (converters.dac.bits, converters.weight.bits, converters.adc.bits) == (6, 6, 6)
    assert converters.adc.full_scale == 4.0
    for key in ("weight.bits", "input.bits", "output.bits"):
        assert profile.with_value(key, None).converters() is None


def test_differential_detection_takes_the_symmetric_grid():
    profile = load_profile("generic_6bit").with_value("input.encoding", "intensity-differential")
    converters = profile.converters()
    assert converters is not None
    assert converters.dac.symmetric
    assert not converters.weight.symmetric


def test_a_digital_difference_has_no_integer_reference():
    profile = load_profile("feldmann_2021_pcm")
    assert profile.converters() is not None
    with pytest.raises(ProfileError, match="'digital' rounds twice"):
        profile.with_value("input.difference", "digital").converters()


def test_a_coherent_mesh_takes_fields_only():
    data = MINIMAL | {"kind": "mzi", "input": {"encoding": "intensity-offset"}}
    with pytest.raises(ProfileError, match="a coherent mesh takes 'field' only"):
        parse_profile(data, where="f.toml")
