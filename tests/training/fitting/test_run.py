"""The run directory: everything is there, fits together, and damage is one clear line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from photonic.errors import ConfigError, RunError
from photonic.execute import run_float
from photonic.files import atomic_write_text
from training.config import with_values
from training.evaluate import report
from training.rescore import Request, rescore
from training.run import META, RESUME, load_run, read_arrays, read_log
from training.train import resume, train
from training.workloads import workload


@pytest.fixture
def copied(ecg_run, tmp_path):
    return shutil.copytree(ecg_run, tmp_path / "run")


def test_the_directory_holds_what_is_specified(ecg_run):
    names = {file.name for file in ecg_run.iterdir()}
    assert names == {
        "config.toml", "train_log.jsonl", "checkpoint.safetensors", "checkpoint.json",
        "inspection.json", "inspection.md",
        "program.json", "sample.npz", "probs_train.npz", "probs_val.npz", "probs_test.npz",
        "evaluation_val.json", "evaluation_test.json", "curves.png", "roc.png", "pr.png",
        "per_class.png", "confusion_val.png", "confusion_test.png", "beats.png",
    }  # fmt: skip


def test_weights_program_sample_and_probabilities_are_one_model(ecg_run):
    run = load_run(ecg_run)
    sample = read_arrays(ecg_run / "sample.npz")
    with torch.no_grad():
        logits = run.student()({"beat": torch.from_numpy(sample["beat"])})[0].numpy()
    assert np.abs(logits - sample["logits"]).max() < 1e-6
    assert np.abs(run_float(run.program, {"beat": sample["beat"]}) - logits).max() < 1e-5
    test = run.predictions("test")
    metrics = report(run.decision, test.probs, test.label)
    assert json.loads(json.dumps(metrics)) == run.meta["metrics"]["test"]
    assert rescore(run, Request()).scoring.metrics["f1"] == metrics["f1"]


def test_the_log_has_a_start_every_epoch_and_an_end(ecg_run):
    events = [line["event"] for line in read_log(ecg_run)]
    assert events[0] == "start"
    assert events[-1] == "end"
    assert set(events[1:-1]) == {"epoch"}
    chosen = next(line for line in read_log(ecg_run) if line.get("phase") == "choose")
    named = "train_loss val train selection_score threshold miss_ema policy class_weights lr"
    assert {*named.split(), "grad_norms", "seconds", "multipliers"} <= chosen.keys()
    assert {"f1", "miss", "fpr", "auroc", "confusion", "per_class", "per_class_loss"} <= chosen[
        "val"
    ].keys()


@pytest.mark.slow
def test_the_configuration_reproduces_the_weights(ecg_run, tmp_path):
    again = train("ecg", load_run(ecg_run).config, tmp_path / "again")
    for name in ("checkpoint.safetensors", "program.json"):
        assert (again.path / name).read_bytes() == (ecg_run / name).read_bytes()


def test_an_interrupted_run_continues_to_the_same_weights(ecg_options, ecg_run, tmp_path):
    from training.train import Callbacks

    class Stop(Exception):
        pass

    out, count = tmp_path / "run", 0

    def stop(record):
        nonlocal count
        count += 1
        if count % 2:
            raise Stop

    config = workload("ecg").resolve(ecg_options)
    with pytest.raises(Stop):
        train("ecg", config, out, Callbacks(on_epoch=stop))
    with pytest.raises(RunError, match="not finished; continue it with `photonic train resume"):
        load_run(out)
    with pytest.raises(ConfigError, match="unfinished run"):
        train("ecg", config, out)
    with (out / "train_log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"event": "epoch", "cut off')
    for _ in range(20):
        try:
            run = resume(out, Callbacks(on_epoch=stop))
            break
        except Stop:
            continue
    assert (out / "checkpoint.safetensors").read_bytes() == (
        ecg_run / "checkpoint.safetensors"
    ).read_bytes()
    assert not (out / RESUME).exists()
    assert len(read_log(out)) == len(read_log(ecg_run))
    assert resume(out).meta == run.meta


def test_nothing_is_written_over(ecg_run, ecg_options, tmp_path):
    config = workload("ecg").resolve(ecg_options)
    with pytest.raises(ConfigError, match="is not empty"):
        train("ecg", config, ecg_run)
    with pytest.raises(ConfigError, match="no CUDA"):
        if torch.cuda.is_available():
            pytest.skip("this machine has one")
        train("ecg", with_values(config, device="cuda"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["", "foo", "meta", "mps", "cpu:x"])
def test_a_device_that_is_none_is_refused_before_anything_is_written(name, ecg_options, tmp_path):
    config = workload("ecg").resolve({**ecg_options, "device": name})
    with pytest.raises(ConfigError, match="choose cpu, cuda or cuda:N"):
        train("ecg", config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def break_schema(run):
    meta = json.loads((run / META).read_text())
    atomic_write_text(run / META, json.dumps({**meta, "schema_version": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / META).unlink(), "missing; this is no run directory"),
        (lambda run: (run / META).write_text("{"), "not valid JSON"),
        (lambda run: (run / META).write_text("[]"), "schema version None"),
        (break_schema, "schema version 99, this release reads 1"),
        (lambda run: (run / "program.json").unlink(), "program.json: missing"),
        (lambda run: (run / "checkpoint.safetensors").write_bytes(b"x" * 100), "damaged"),
        (lambda run: (run / "config.toml").write_text("seed = 1"), "damaged"),
    ],
)
def test_damage_is_one_clear_line(copied, damage, message):
    damage(copied)
    with pytest.raises(RunError, match=message) as caught:
        load_run(copied)
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_safetensors_are_refused(copied):
    """Even where the hash was changed along."""
    from training.run import sha256

    (copied / "checkpoint.safetensors").write_bytes(b"x" * 100)
    meta = json.loads((copied / META).read_text())
    meta["sha256"]["checkpoint.safetensors"] = sha256(copied / "checkpoint.safetensors")
    (copied / META).write_text(json.dumps(meta))
    with pytest.raises(RunError, match="not the weights of this run"):
        load_run(copied).student()


def test_no_pickled_array_is_read(copied):
    np.savez(copied / "probs_val.npz", probs=np.array([{}], dtype=object))
    with pytest.raises(RunError, match="not a readable NPZ file"):
        load_run(copied).predictions("val")


def test_what_is_no_run_directory_says_so(tmp_path):
    with pytest.raises(RunError, match="no such run directory"):
        load_run(tmp_path / "none")
    with pytest.raises(RunError, match="no interrupted run"):
        resume(tmp_path)
    (tmp_path / RESUME).write_bytes(b"nothing")
    with pytest.raises(RunError, match="damaged"):
        resume(tmp_path)
