"""Run directories, fabricated file by file: what is read, how it is judged, what is refused."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import pytest
import tomli_w
from safetensors.numpy import save_file

from photonic.errors import DataError, RunError
from training.inspector import inspect_run
from training.inspector.derive import plan_of_config
from training.inspector.identity import ROW, rows_hash, split_hash
from training.inspector.rundir import find_group, read_files

CLASSES = ["normal", "abnormal"]


@pytest.fixture
def make_run(bench, tmp_path):
    """``make_run(seed)``: a run directory that every rule is content with."""

    def rows(predictions):
        return [f"{r}@{i}" for i, r in enumerate(predictions.keys["record"])]

    def make(seed, name=None, **config):
        folder = tmp_path / (name or f"seed{seed}")
        folder.mkdir()
        settings = {"seed": seed, "optim": {"lr": 0.001}, **config}
        (folder / "config.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
        weights = {"layers.head.raw_weight": np.zeros((4, 4), np.float32)}
        save_file(weights, folder / "checkpoint.safetensors")
        checkpoint = hashlib.sha256((folder / "checkpoint.safetensors").read_bytes()).hexdigest()
        # Seeds draw weights, not data: the samples of all runs are the same.
        saved = {subset: bench.predictions(subset) for subset in ("train", "val", "test")}
        for subset, p in saved.items():
            np.savez_compressed(
                folder / f"probs_{subset}.npz",
                probs=p.probs,
                label=p.truth[:, 1].astype(np.int64),
                logits=p.logits.astype(np.float32),
                record=p.keys["record"],
                sample=np.arange(len(p)),
                checkpoint=np.array(checkpoint),
            )
        for subset in ("val", "test"):
            document = {
                "subset": subset,
                "metrics": {"f1": 0.85},
                "baselines": [{"name": "all-normal", "metrics": {"f1": 0.0}}],
                "checkpoint": checkpoint,
            }
            (folder / f"evaluation_{subset}.json").write_text(json.dumps(document))
        logits = np.linspace(-1, 1, 8)
        np.savez(folder / "probe.npz", train=logits, predict=logits)
        meta = {
            "classes": CLASSES,
            "decision": {
                "kind": "threshold", "classes": CLASSES, "threshold": 0.5, "offsets": [],
            },
            "epoch": 6,
            "stages": ["float"],
            "split": {
                "num_train": 600, "num_val": 600, "num_test": 600, "used_in_selection": False,
                "hash": split_hash({subset: rows(p) for subset, p in saved.items()}),
            },
            "metrics": {"test": {"f1": 0.85 + 0.002 * seed}},
        }  # fmt: skip
        (folder / "checkpoint.json").write_text(json.dumps(meta))
        write_log(bench, folder)
        return folder

    return make


def write_log(bench, folder, **changed):
    curves = {**bench.CURVES, "val/auroc": (0.7, 0.72, 0.75, 0.77, 0.79, 0.8, 0.81), **changed}
    curves["train/auroc"] = [value + 0.03 for value in curves["val/auroc"]]
    lines = [{"event": "start", "num_train": 600, "num_folds": 0}]
    lines += [
        {"event": "epoch", "phase": "choose", "stage": "float", "epoch": epoch}
        | {name: values[epoch] for name, values in curves.items()}
        for epoch in range(7)
    ]
    lines.append({"event": "end", "epoch": 6})
    text = "\n".join(map(json.dumps, lines)) + "\n"
    (folder / "train_log.jsonl").write_text(text, encoding="utf-8")


def rewrite(file, **changes):
    with np.load(file) as arrays:
        kept = dict(arrays)
    np.savez_compressed(file, **kept | changes)


def statuses(report, *wanted):
    return {f.rule for f in report.findings if f.status in wanted}


def test_a_clean_group_of_three_seeds_passes(make_run):
    folders = [make_run(seed) for seed in range(3)]
    for folder in folders:
        report = inspect_run(folder)
        assert report.verdict == "PASS", report.summary()
    assert not [name for name in os.listdir(folders[0]) if name.startswith("inspection")]


def test_a_single_seed_is_incomplete_for_that_reason_alone(make_run):
    report = inspect_run(make_run(0))
    assert report.verdict == "INCOMPLETE"
    assert statuses(report, "unknown", "fail") == {"E1"}
    assert [check.subject for check in report.finding("E1").worst_checks] == ["seeds"]


def test_another_configuration_is_another_group(make_run):
    make_run(0), make_run(1), make_run(2, optim={"lr": 0.01})
    seeds = report_of_seeds(inspect_run(make_run(3)))
    assert seeds == "3 seeds: seed0, seed1, seed3"


def report_of_seeds(report):
    return next(c.message for c in report.finding("E1").checks if c.subject == "seeds")


def test_the_same_seed_again_is_no_other_seed(make_run):
    make_run(0), make_run(0, name="again"), make_run(1)
    assert report_of_seeds(inspect_run(make_run(0, name="third"))).startswith("2 seeds")


def test_a_damaged_sibling_is_none_of_the_group(make_run):
    (make_run(1) / "checkpoint.json").write_text("{")
    assert len(find_group(make_run(0))) == 1


def test_missing_evaluation_fails(make_run):
    folder = make_run(0)
    (folder / "probs_test.npz").unlink()
    (folder / "evaluation_test.json").unlink()
    (folder / "checkpoint.json").write_text(
        json.dumps(json.loads((folder / "checkpoint.json").read_text()) | {"metrics": {}})
    )
    report = inspect_run(folder)
    assert report.verdict == "FAIL"
    assert "no evaluation on test" in report.decision.root_causes[0]


def test_a_random_split_leaks(make_run):
    folder = make_run(0)
    with np.load(folder / "probs_train.npz") as train:
        records = train["record"]
    rewrite(folder / "probs_val.npz", record=records, sample=np.arange(600) + 1000)
    report = inspect_run(folder)
    assert report.finding("L1").status == "fail"
    assert "12 shared records" in report.finding("L1").message
    assert report.verdict == "FAIL"


def test_a_collapse_is_the_root_cause(make_run):
    folder = make_run(0)
    flat = np.tile([0.9, 0.1], (600, 1))
    for subset in ("val", "test"):
        rewrite(folder / f"probs_{subset}.npz", probs=flat, logits=np.log(flat))
    report = inspect_run(folder)
    assert {"M1", "N3"} <= statuses(report, "fail")
    assert [cause[:2] for cause in report.decision.root_causes] == ["M1"]


def test_nan_in_the_log_is_the_root_cause(bench, make_run):
    folder = make_run(0)
    write_log(bench, folder, **{"train/loss": [0.9, 0.8, float("nan"), 1, 1, 1, 1]})
    report = inspect_run(folder)
    assert [cause[:2] for cause in report.decision.root_causes] == ["N1"]
    assert str(report.finding("N1").worst_checks[0].evidence[0]) == "train_log.jsonl:4"


def test_predictions_of_another_checkpoint_are_stale(make_run):
    folder = make_run(0)
    weights = {"layers.head.raw_weight": np.ones((4, 4), np.float32)}
    save_file(weights, folder / "checkpoint.safetensors")
    assert "another checkpoint" in inspect_run(folder).finding("E1").message


def test_an_unfinished_run_is_incomplete(make_run):
    folder = make_run(0)
    for name in os.listdir(folder):
        if name not in ("train_log.jsonl", "config.toml"):
            (folder / name).unlink()
    report = inspect_run(folder)
    assert report.verdict == "INCOMPLETE"
    assert not statuses(report, "fail")


def test_parameters_are_counted_in_the_weights(make_run):
    folder = make_run(0)
    assert read_files(folder).num_parameters[0] == 16


def test_multi_label_predictions(make_run):
    folder = make_run(0)
    generator = np.random.default_rng(0)
    probs = generator.random((400, 3))
    label = (generator.random((400, 3)) < probs).astype(np.int64)
    for subset in ("train", "val", "test"):
        np.savez(folder / f"probs_{subset}.npz", probs=probs, label=label)
    report = inspect_run(folder)
    assert report.finding("M1").status == "ok"
    assert "AUROC" in report.finding("M1").checks[1].message
    probs[:, 1] = 0.01
    np.savez(folder / "probs_test.npz", probs=probs, label=label)
    assert "class class 1 is never called" in inspect_run(folder).finding("M1").message


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("checkpoint.json", "{", RunError, "not readable JSON"),
        ("checkpoint.json", "[]", RunError, "expected one JSON object"),
        ("checkpoint.json", '{"decision": {"kind": "coin"}}', RunError, "decision"),
        ("config.toml", "a =", RunError, "not valid TOML"),
        ("checkpoint.safetensors", "x", RunError, "damaged"),
        ("probs_test.npz", "x", DataError, "not a readable NPZ file"),
        ("probe.npz", "x", DataError, "not a readable NPZ file"),
        ("evaluation_test.json", "x", RunError, "not readable JSON"),
    ],
)
def test_damaged_files(make_run, name, content, error, message):
    folder = make_run(0)
    (folder / name).write_text(content)
    with pytest.raises(error, match=message):
        inspect_run(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"probs": np.zeros((3, 2))}, "no array label"),
        ({"probs": np.zeros((3, 2)), "label": np.zeros(2)}, "as many labels"),
        ({"probs": np.zeros((0, 2)), "label": np.zeros(0)}, "at least one"),
        ({"probs": np.zeros((3, 2)), "label": np.array([0, 1, 2])}, "for 2 classes"),
        ({"probs": np.array([None]), "label": np.zeros(1)}, "not a readable NPZ file"),
    ],
)
def test_predictions_that_make_no_sense(make_run, arrays, message):
    folder = make_run(0)
    np.savez(folder / "probs_test.npz", **arrays)
    with pytest.raises(DataError, match=message):
        inspect_run(folder)


def test_the_hash_of_a_split_knows_no_order():
    assert rows_hash(["a@1", "b@2"]) == rows_hash(["b@2", "a@1"]) != rows_hash(["a@1"])
    one = split_hash({"train": ["a@1"], "test": ["b@1"]})
    assert one != split_hash({"train": ["b@1"], "test": ["a@1"]})
    assert ROW == "row"


def test_a_configuration_promises_what_it_switches_on():
    config = {
        "use_weighted_sampler": True, "use_class_weights": True, "use_kd": True, "beta": 0.5,
        "gamma": 0.0, "profile": "generic_8bit", "split": "ds1-ds2",
    }  # fmt: skip
    plan = plan_of_config(config)
    assert [part.name for part in plan.components] == [
        "weighted sampler",
        "warm-up of the rebalancing",
        "distillation, logits",
        "training with the profile's bits",
    ]
    assert plan.L1.tolerated == ("201",)
    assert not plan_of_config({"profile": "none"}).components


def test_distillation_that_a_gate_switched_off_is_named(bench, make_run):
    folder = make_run(0, use_kd=True, beta=0.5, gamma=0.1)
    reason = "KD off: teacher F1 0.310 is below 0.5"
    write_log(
        bench,
        folder,
        **{
            "loss_terms/kd_logits": [0.0] * 7,
            "loss_terms/ce": [0.5] * 7,
            "messages": [[], [reason], [], [], [], [], []],
        },
    )
    finding = inspect_run(folder).finding("P1")
    assert finding.status == "fail"
    assert "distillation, logits: inert: term/kd_logits zero in all epochs" in finding.message
    assert "distillation, features: no trace" in finding.message
    assert reason in finding.message
    assert "train_log.jsonl:3" in [str(source) for source in finding.checks[0].evidence]
