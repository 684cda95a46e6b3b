"""The command line of training: every option, both spellings, the resolved file given back."""

from __future__ import annotations

import json
import shutil

import pytest

from photonic.cli.main import run
from training.run import load_run
from training.workloads import workload


def arguments(options):
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def test_every_option_of_the_toolbox_is_there_in_both_spellings(capsys):
    from photonic.cli.train_ecg import ecg
    from training.config import leaf_names
    from training.workloads.ecg import EcgConfig

    names = {parameter.name for parameter in ecg.params}
    assert set(leaf_names(EcgConfig)) <= names
    for spelling in ("--max_epochs", "--max-epochs"):
        assert run(["train", "ecg", spelling, "0", "--data", "x", "--out", "y"]) == 2
        assert "max-epochs" in capsys.readouterr().err


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


def test_counts_are_said_before_training_and_figures_after(ecg_options, tmp_path, capsys):
    options = {**ecg_options, "max_epochs": 1, "labels": "aami-4"}
    assert run(["train", "ecg", *arguments(options), "--out", str(tmp_path / "run")]) == 0
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
def test_bad_input_is_one_line_and_writes_nothing(ecg_options, tmp_path, capsys, extra, message):
    out = tmp_path / "run"
    assert run(["train", "ecg", *arguments(ecg_options), *extra, "--out", str(out)]) == 2
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
