"""One configuration: from flat options to nested models, to TOML and back."""

from __future__ import annotations

import pytest

from photonic.errors import ConfigError, RunError
from training.config import flat_values, from_flat, leaf_names, read_config, to_toml, with_values
from training.options import GROUPS
from training.workloads import workload
from training.workloads.ecg import EcgConfig

ECG = workload("ecg")


def test_every_leaf_has_its_own_name_and_every_toolbox_option_is_there():
    names = list(leaf_names(EcgConfig))
    assert len(names) == len(set(names))
    for group in GROUPS.values():
        assert set(group.model_fields) <= set(names)


def test_what_the_user_gives_beats_recipe_and_preset():
    founding = ECG.resolve({"data": "x", "labels": "seed-binary", "recipe": "founding"})
    assert founding.architecture.dropout == 0.2
    assert not founding.architecture.use_tanh_activations
    given = {"data": "x", "labels": "seed-binary", "recipe": "founding", "dropout": 0.1}
    assert ECG.resolve(given).architecture.dropout == 0.1
    balanced = {"data": "x", "labels": "seed-binary", "strategy_preset": "balanced"}
    assert ECG.resolve(balanced).sampler.use_weighted_sampler
    assert not ECG.resolve({**balanced, "use_weighted_sampler": False}).sampler.use_weighted_sampler


def test_the_task_follows_from_the_labels():
    binary = ECG.resolve({"data": "x", "labels": "seed-binary"})
    four = ECG.resolve({"data": "x", "labels": "aami-4"})
    assert binary.strategy_preset == "stable"
    assert four.sampler.target_mix == (0.5, 0.2, 0.2, 0.1)


@pytest.mark.parametrize("labels", ["seed-binary", "aami-4", "aami-5"])
def test_a_resolved_configuration_resolves_to_itself(labels):
    config = ECG.resolve({"data": "x", "labels": labels, "strategy_preset": "balanced"})
    assert ECG.resolve(flat_values(config)) == config


def test_toml_holds_all_of_it(tmp_path):
    config = ECG.resolve({"data": "x", "labels": "aami-4", "profile": "generic_8bit"})
    (tmp_path / "config.toml").write_text(to_toml(config), encoding="utf-8")
    assert read_config(tmp_path / "config.toml", EcgConfig) == config


def test_one_leaf_can_be_changed():
    config = ECG.resolve({"data": "x"})
    assert with_values(config, lr=0.5).optim.lr == 0.5
    with pytest.raises(ConfigError, match="no such option"):
        with_values(config, learning=0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "x", "lr": -1}, "lr"),
        ({"data": "x", "recipe": "mine"}, "choose one of ours, founding"),
        ({"data": "x", "labels": "nothing"}, "nothing"),
        ({"data": "x", "threshold_grid_min": 0.9, "threshold_grid_max": 0.1}, "must lie below"),
        ({}, "data"),
    ],
)
def test_bad_values_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        ECG.resolve(given)


def test_an_unknown_workload_is_refused():
    with pytest.raises(ConfigError, match="known are ecg"):
        workload("tea")


def test_a_damaged_file_is_one_line(tmp_path):
    file = tmp_path / "config.toml"
    with pytest.raises(RunError, match="missing"):
        read_config(file, EcgConfig)
    file.write_text("seed = [", encoding="utf-8")
    with pytest.raises(RunError, match="not valid TOML"):
        read_config(file, EcgConfig)
    file.write_text("seed = -3", encoding="utf-8")
    with pytest.raises(RunError, match="seed"):
        read_config(file, EcgConfig)


def test_from_flat_refuses_unknown_names():
    with pytest.raises(ConfigError, match="colour"):
        from_flat(EcgConfig, {"data": "x", "colour": "red"})


def test_an_option_with_two_names_is_one_option():
    given = {"data": "x", "labels": "aami-4", "max_class_weight_ratio": 3.0}
    assert ECG.resolve(given).weights.class_weight_max_ratio == 3.0
    with pytest.raises(ConfigError, match="give it once"):
        ECG.resolve({**given, "class_weight_max_ratio": 2.0})
