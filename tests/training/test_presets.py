from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from photonic.errors import ConfigError
from training import options as options_module
from training.options import GROUPS, ImbalanceOptions, Task
from training.presets import (
    ALIASES,
    flat_options,
    preset_names,
    resolve,
    scale_strength,
    task_defaults,
)

ALL_PRESETS = [(task, name) for task in Task for name in preset_names(task)]

# Defaults as the specification states them.
FOUR_CLASS = {
    "use_weighted_sampler": True,
    "target_mix": (0.5, 0.2, 0.2, 0.1),
    "sampler_power": 0.7,
    "sampler_max_ratio": 6.0,
    "loss_type": "focal",
    "focal_gamma": 2.0,
    "class_weight_power": 0.5,
    "class_weight_max_ratio": 5.0,
    "sampler_class_weights": "sqrt",
    "stack_sampler_with_ce": False,
    "weight_warmup_epochs": 8,
    "imbalance_warmup_epochs": 5,
    "imbalance_ramp_epochs": 5,
    "collapse_cooldown_epochs": 5,
    "collapse_lock_after": 2,
    "use_kd": False,
    "kd_warmup_epochs": 10,
    "use_generalization_rescue": False,
    "use_generalization_score": False,
    "generalization_score_weight": 0.35,
}
BINARY = {
    "loss_type": "ce",
    "class_weight_abnormal": 1.3,
    "class_weight_max_ratio": 2.0,
    "class_weight_clamp": 2.0,
    "use_weighted_sampler": False,
    "sampler_abnormal_boost": 1.1,
    "sampler_max_abnormal_share": 0.5,
    "auto_sampler_ratio": 0.35,
    "force_balanced_batches": False,
    "recall_target_miss": 0.15,
    "adaptive_fpr_cap": 0.25,
    "recall_rescue_limit": 3,
    "threshold_target_miss": 0.10,
    "threshold_max_fpr": 0.10,
    "threshold_fpr_penalty": 0.9,
    "threshold_center": 0.78,
    "threshold_reg": 0.02,
    "threshold_generalization_weight": 0.35,
    "teacher_auto_train_epochs": 15,
    "kd_warmup_epochs": 5,
    "kd_pause_miss": 0.35,
    "kd_resume_miss": 0.20,
    "kd_gen_mix_ratio": 0.0,
}
MULTI_LABEL = {
    "focal_gamma": 3.0,
    "weight_method": "per_class",
    "class_weight_method": "balanced",
    "class_weight_multiplier": 1.0,
    "optimize_thresholds": True,
    "early_stop_metric": "macro_f1",
}


@pytest.mark.parametrize(
    ("task", "stated"),
    [(Task.FOUR_CLASS, FOUR_CLASS), (Task.BINARY, BINARY), (Task.MULTI_LABEL, MULTI_LABEL)],
)
def test_task_defaults_are_those_of_the_specification(task, stated):
    flat = flat_options(task_defaults(task))
    assert {name: flat[name] for name in stated} == stated


def test_binary_runs_the_stable_preset_unless_told_otherwise():
    stable = resolve("binary")
    assert stable.strategy_preset == "stable"
    assert not stable.weights.use_class_weights
    assert not stable.sampler.use_weighted_sampler
    assert not stable.distill.use_kd
    assert stable.weights.class_weight_abnormal == 1.2
    assert stable.weights.class_weight_max_ratio == 1.5
    assert stable.policy.imbalance_warmup_epochs >= 8
    assert stable.distill.kd_warmup_epochs == 12


def test_balanced_and_full_are_what_they_are_named_after():
    balanced, full = (resolve("binary", preset=name) for name in ("balanced", "full"))
    assert balanced.weights.use_class_weights
    assert balanced.sampler.use_weighted_sampler
    assert not balanced.distill.use_kd
    assert balanced.policy.imbalance_warmup_epochs >= 6
    assert full.distill.use_kd
    assert full.policy.enable_adaptive_reweight
    assert full.sampler.use_weighted_sampler


@pytest.mark.parametrize(("task", "preset"), ALL_PRESETS)
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
def test_a_resolved_configuration_resolves_to_itself(task, preset, strength):
    options = resolve(task, preset=preset, strength=strength)
    saved = json.loads(json.dumps(flat_options(options)))
    assert resolve(task, overrides=saved) == options
    assert None not in saved.values(), "TOML has no null"


def test_strength_scales_the_instruments_together_and_leaves_the_caps():
    full = resolve("binary", preset="full")
    half = resolve("binary", preset="full", strength=0.5)
    assert half.weights.class_weight_scale == 0.5
    assert half.sampler.sampler_strength == 0.5
    assert half.sampler.sampler_abnormal_boost == pytest.approx(1.1)
    assert half.distill.beta == pytest.approx(full.distill.beta / 2)
    assert half.distill.gamma == pytest.approx(full.distill.gamma / 2)
    assert half.weights.class_weight_max_ratio == full.weights.class_weight_max_ratio
    unchanged = scale_strength(full, 1.0)
    assert unchanged == full


def test_what_the_user_gave_wins_over_preset_and_strength():
    options = resolve("binary", preset="full", strength=0.5, overrides={"beta": 0.8})
    assert options.distill.beta == 0.8


def test_both_spellings_and_the_aliases_are_accepted():
    for spelling in ("class-weight-max-ratio", "max_class_weight_ratio", "max-class-weight-ratio"):
        options = resolve("binary", overrides={spelling: 1.7})
        assert options.weights.class_weight_max_ratio == 1.7
    assert resolve(
        "multi-label", overrides={"use-weighted-sampling": True}
    ).sampler.use_weighted_sampler


def test_another_number_of_classes_samples_by_power():
    five = resolve("four-class", num_classes=5)
    assert five.sampler.sampler_method == "power"
    assert five.sampler.target_mix == ()


def test_a_weighted_multilabel_loss_switches_its_weights_on():
    assert not resolve("multi-label").weights.use_class_weights
    assert resolve("multi-label", overrides={"loss_type": "focal"}).weights.use_class_weights


def test_founding_table_recipes():
    mild = resolve("multi-label", preset="aggressive")
    assert (mild.loss.loss_type, mild.loss.focal_gamma) == ("focal", 3.0)
    assert mild.weights.class_weight_method == "aggressive"
    assert mild.weights.class_weight_multiplier == 2.0
    assert mild.selection.early_stop_patience == 15
    strong = resolve("multi-label", preset="very_aggressive")
    assert strong.loss.loss_type == "weighted_bce"
    assert strong.weights.class_weight_multiplier == 5.0
    assert strong.selection.early_stop_metric == "macro_recall"
    assert strong.selection.early_stop_patience == 20


def test_field_names_are_unique_over_the_groups():
    names = [name for group in GROUPS.values() for name in group.model_fields]
    assert len(names) == len(set(names))
    assert not set(ALIASES) & set(names)


def test_every_option_stands_in_the_table_of_the_config_module():
    table = options_module.__doc__ or ""
    first_cells = " ".join(re.findall(r"^\| ([^|]+) \|", table, flags=re.MULTILINE))
    stems = [word.rstrip("*") for word in re.findall(r"\w+_\*", first_cells)]
    for group in GROUPS.values():
        for name in group.model_fields:
            in_a_family = any(name.startswith(stem) for stem in stems)
            assert in_a_family or re.search(rf"\b{name}\b", first_cells), name


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("ternary", {}, "task 'ternary' is unknown: choose one of binary"),
        ("binary", {"preset": "aggressive"}, "choose one of default, stable, balanced, full"),
        ("binary", {"strength": -1.0}, r"strategy_strength -1 is outside \[0, 3\]"),
        ("binary", {"overrides": {"focal_gama": 2}}, "did you mean focal_gamma"),
        ("binary", {"overrides": {"focal_gamma": -1}}, "focal_gamma -1: Input should be greater"),
        ("binary", {"overrides": {"loss_type": "bce"}}, "loss_type bce does not fit"),
        ("binary", {"overrides": {"target_mix": (0.5, 0.6)}}, "sums to 1.1"),
        ("binary", {"overrides": {"sampler_method": "target_mix"}}, "needs target_mix"),
        ("binary", {"overrides": {"class_weight_clamp": 0.5}}, "give 1 or more, or 0"),
        ("binary", {"overrides": {"kd_resume_miss": 0.9}}, "must not exceed kd_pause_miss"),
        ("binary", {"overrides": {"threshold_grid_min": 0.96}}, "must lie below"),
        (
            "binary",
            {"overrides": {"class-weight-max-ratio": 2, "max_class_weight_ratio": 3}},
            "given twice",
        ),
        ("four-class", {"overrides": {"force_balanced_batches": True}}, "two classes"),
        ("four-class", {"overrides": {"sampler_method": "boost"}}, "binary tasks"),
        ("multi-label", {"overrides": {"use_kd": True}}, "not available in multi-label"),
        (
            "multi-label",
            {"overrides": {"use_class_weights": True}},
            "bce takes no positive weights",
        ),
        ("multi-label", {"overrides": {"label_smoothing": 0.1}}, "not for multi-label"),
    ],
)
def test_bad_options_are_one_clear_line(task, arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(task, **arguments)
    assert "\n" not in str(caught.value)


def test_options_are_frozen():
    options = resolve("binary")
    with pytest.raises(ValidationError, match="frozen"):
        options.task = Task.MULTI_LABEL


@given(
    st.sampled_from(
        ["use_generalization_rescue", "use_generalization_score", "use_blended_thresholds"]
    )
)
def test_options_that_look_at_unseen_records_say_so(name):
    assert not resolve("binary").uses_unseen_records
    assert resolve("binary", overrides={name: True}).uses_unseen_records


def test_mixing_unseen_records_into_training_counts_only_with_kd():
    mixed = {"kd_gen_mix_ratio": 0.35}
    assert not resolve("binary", overrides=mixed).uses_unseen_records
    options = resolve("binary", overrides=mixed | {"use_kd": True})
    assert isinstance(options, ImbalanceOptions)
    assert options.uses_unseen_records
