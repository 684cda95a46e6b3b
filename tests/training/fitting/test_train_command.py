"""The command line of training: every option, both spellings, the resolved file given back."""

from __future__ import annotations

import json
import shutil

import click
import pytest
import tomli_w

from photonic.cli.main import cli, normalize_name, run
from photonic.errors import ConfigError
from training.run import load_run
from training.workloads import workload

# Every option that the specification names, with a value that is not the default.
NAMED = {
    # Class weights, samplers, losses.
    "use_class_weights": True, "class_weight_power": 1.0, "class_weight_max_ratio": 3.0,
    "max_class_weight_ratio": 3.0, "class_weight_multiplier": 2.0, "class_weight_method": "inverse",
    "class_weight_abnormal": 1.5, "use_weighted_sampler": True, "sampler_power": 0.9,
    "sampler_max_ratio": 4.0, "target_mix": (0.6, 0.4), "sampler_abnormal_boost": 1.3,
    "auto_sampler_ratio": 0.3, "force_balanced_batches": True, "loss_type": "focal",
    "focal_gamma": 2.5, "stack_sampler_with_ce": True, "weight_warmup_epochs": 3,
    # Schedule and policy.
    "imbalance_warmup_epochs": 2, "imbalance_ramp_epochs": 3, "collapse_cooldown_epochs": 4,
    "collapse_lock_after": 1, "recall_target_miss": 0.2, "adaptive_fpr_cap": 0.3,
    "recall_rescue_limit": 1, "enable_adaptive_reweight": True, "use_generalization_rescue": True,
    "strategy_preset": "balanced", "strategy_strength": 0.5,
    # Thresholds and selection.
    "threshold_target_miss": 0.2, "threshold_max_fpr": 0.2, "threshold_fpr_penalty": 0.5,
    "threshold_center": 0.5, "threshold_reg": 0.1, "use_blended_thresholds": True,
    "threshold_generalization_weight": 0.2, "use_generalization_score": True,
    "generalization_score_weight": 0.2,
    # Teacher and distillation.
    "use_kd": True, "teacher_checkpoint": "t.safetensors", "teacher_auto_train_epochs": 3,
    "teacher_embedding_dim": 32, "teacher_min_f1": 0.1, "teacher_min_sensitivity": 0.2,
    "kd_temperature": 3.0, "kd_d": 8, "alpha": 0.5, "beta": 0.25, "gamma": 0.2,
    "kd_pos_penalty": 0.2, "kd_teacher_conf": 0.7, "kd_teacher_gen_margin": 0.1,
    "kd_gen_mix_ratio": 0.35, "kd_warmup_epochs": 7, "kd_pause_miss": 0.4, "kd_resume_miss": 0.1,
    # Student and optimisation.
    "num_mlp_layers": 2, "constraint_scale": 0.9, "use_value_constraint": False,
    "use_tanh_activations": False, "dropout": 0.1, "lr": 0.002, "weight_decay": 0.001,
    "batch_size": 64, "max_epochs": 3, "min_epochs": 2, "early_stop_patience": 4,
    "plateau_patience": 2, "clip_norm": 2.0, "labels": "aami-binary", "split": "seed",
}  # fmt: skip


def parsed(*options):
    """What the command line of training makes of options, by leaf name."""
    from photonic.cli.options import given_options
    from photonic.cli.train_ecg import ecg

    root = click.Context(cli, info_name="photonic", token_normalize_func=normalize_name)
    context = ecg.make_context("ecg", ["--data", "x", "--out", "y", *options], parent=root)
    given = given_options(context)
    return {name: given[name] for name in given if name not in ("data", "out")}


def test_every_option_of_the_configuration_is_on_the_command_line():
    from photonic.cli.train_ecg import ecg
    from training.config import leaf_names
    from training.workloads.ecg import EcgConfig

    names = {parameter.name for parameter in ecg.params}
    assert set(leaf_names(EcgConfig)) <= names
    assert set(NAMED) <= names


@pytest.mark.parametrize("name", NAMED)
def test_every_option_of_the_specification_is_taken_in_both_spellings(name, tmp_path, ecg_help):
    value, file = NAMED[name], tmp_path / "options.toml"
    assert f"--{name.replace('_', '-')}" in ecg_help
    for spelling in (name, name.replace("_", "-")):
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        flag = [f"--{spelling}"] if value else [f"--no-{spelling}"]
        typed = flag if isinstance(value, bool) else [f"--{spelling}", text]
        assert parsed(*typed) == {name: value}
        stored = list(value) if isinstance(value, tuple) else value
        file.write_text(tomli_w.dumps({"any": {spelling: stored}}))
        assert parsed("--config", str(file)) == {name: value}


@pytest.fixture(scope="module")
def ecg_help():
    from photonic.cli.train_ecg import ecg

    return ecg.get_help(click.Context(ecg, info_name="ecg"))


def test_an_option_that_does_not_exist_is_refused_in_both_places(tmp_path):
    file = tmp_path / "options.toml"
    file.write_text("kd_temprature = 1.0\n")
    with pytest.raises(click.NoSuchOption):
        parsed("--kd-temprature", "1")
    with pytest.raises(ConfigError, match="did you mean kd_temperature"):
        parsed("--config", str(file))


def test_eval_only_prints_what_eval_prints(ecg_run, tmp_path, capsys):
    run_copy = str(shutil.copytree(ecg_run, tmp_path / "run"))
    assert run(["train", "ecg", "--eval_only", "--checkpoint", run_copy, "--subset", "val"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("sensitivity", "precision", "F1", "samples"))
    assert run(["train", "ecg", "--eval-only", "--checkpoint", run_copy, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert run(["eval", run_copy, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eval-only"], "Missing option '--checkpoint'"),
        (["--checkpoint", "run", "--data", "x", "--out", "y"], "typed together"),
        (["--eval-only", "--checkpoint", "run", "--lr", "0.1"], "No such option"),
    ],
)
def test_eval_only_and_checkpoint_belong_together(options, message, capsys):
    assert run(["train", "ecg", *options]) == 2
    assert message in capsys.readouterr().err


def test_the_resolved_configuration_given_back_makes_the_same_weights(ecg_run, tmp_path, capsys):
    out = tmp_path / "again"
    code = run(
        ["train", "ecg", "--config", str(ecg_run / "config.toml"), "--out", str(out), "--json"]
    )
    assert code == 0
    assert json.loads(capsys.readouterr().out)["schema_version"] == 1
    assert load_run(out).config == load_run(ecg_run).config
    name = "checkpoint.safetensors"
    assert (out / name).read_bytes() == (ecg_run / name).read_bytes()


def test_counts_are_said_before_training_and_figures_after(ecg_options, typed, tmp_path, capsys):
    options = {**ecg_options, "max_epochs": 1, "labels": "aami-4"}
    assert run(["train", "ecg", *typed(options), "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "samples to train, validate and test on" in said
    assert "expected batch mix" in said
    assert "macro_f1" in said


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--profile", "ideal"], "gives no bits"),
        (["--profile", "unheard"], "neither a file nor a shipped profile"),
        (["--split", "seed"], "needs records"),
        (["--loss_type", "bce"], "does not fit the task"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    ecg_options, typed, tmp_path, capsys, extra, message
):
    out = tmp_path / "run"
    assert run(["train", "ecg", *typed(ecg_options), *extra, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_thresholds_of_a_run(ecg_run, capsys):
    assert run(["thresholds", str(ecg_run), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["rule"] for row in rows][1:] == ["constrained", "min_miss_fpr", "max_f1"]
    best = max(row["val"]["f1"] for row in rows)
    assert rows[-1]["val"]["f1"] == best
    assert run(["thresholds", str(ecg_run), "--threshold_target_miss", "2"]) == 2


def test_a_run_of_several_classes_has_no_threshold(ecg_options, tmp_path, capsys):
    options = {**ecg_options, "max_epochs": 1, "labels": "aami-4"}
    from training.train import train

    train("ecg", workload("ecg").resolve(options), tmp_path / "run")
    assert run(["thresholds", str(tmp_path / "run")]) == 2
    assert "belongs to a binary run" in capsys.readouterr().err


def test_a_finished_run_is_not_trained_again(ecg_run, tmp_path, capsys):
    copy = shutil.copytree(ecg_run, tmp_path / "run")
    before = (copy / "checkpoint.json").stat().st_mtime_ns
    assert run(["train", "resume", str(copy), "--json"]) == 0
    assert (copy / "checkpoint.json").stat().st_mtime_ns == before
    assert run(["train", "resume", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize(
    "typed", [["--strategy-preset", "full"], ["--strategy_strength", "2"], ["--recipe", "founding"]]
)
def test_a_preset_that_a_file_overrules_is_refused(ecg_run, typed, tmp_path, capsys):
    out = tmp_path / "out"
    resolved = ["--config", str(ecg_run / "config.toml"), "--out", str(out)]
    assert run(["train", "ecg", *resolved, *typed]) == 2
    assert "these win; leave" in capsys.readouterr().err
    assert not out.exists()
