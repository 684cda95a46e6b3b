"""Real runs of our own, trained here on synthetic records, each judged right."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from training.data.synthetic import write_records
from training.inspector import inspect_run
from training.loop import Learner
from training.train import train
from training.workloads import workload

pytestmark = pytest.mark.slow

# Record names of split `seed`, whose validation is a random share of the training beats.
SEED_RECORDS = """
100 101 102 103 104 105 107 108 109 111 112 113 115 117 121 122 123 200 201 202 203 207 209 210 212
213 219 222 223 230 231 232 106 114 116 118 119 124 205 208 214 215 220 221 228 233 234
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "records"
    write_records(folder, num_records=9, minutes=3.0, seed=1)
    return folder


def trained(records, out, **options):
    given = {
        "data": records, "labels": "aami-binary", "split": "by-record", "strategy_preset": "stable",
        "max_epochs": 25, "min_epochs": 25, "batch_size": 64, "lr": 0.01, "seed": 0,
        # Stated, so that what the runs show does not hang on the recipe of the day.
        "optimizer": "adam", "schedule": "plateau",
    }  # fmt: skip
    return train("ecg", workload("ecg").resolve({**given, **options}), out).path


@pytest.fixture(scope="module")
def group(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    return [trained(records, folder / f"seed{seed}", seed=seed) for seed in range(3)]


@pytest.fixture
def alone(group, tmp_path):
    """One run of the group, without the others beside it."""
    return shutil.copytree(group[0], tmp_path / "alone")


def rules(report, *wanted):
    return {found.rule for found in report.findings if found.status in wanted}


def causes(report):
    return [cause.partition(":")[0] for cause in report.decision.root_causes]


def test_a_clean_group_of_three_seeds_passes(group):
    report = inspect_run(group[0])
    assert report.verdict == "PASS", report.summary()


def test_a_single_seed_is_incomplete_for_that_reason_alone(alone):
    report = inspect_run(alone)
    assert report.verdict == "INCOMPLETE", report.summary()
    assert rules(report, "unknown", "fail") == {"E1"}
    assert [check.subject for check in report.finding("E1").worst_checks] == ["seeds"]


def test_a_missing_evaluation_fails(alone):
    for name in ("probs_test.npz", "evaluation_test.json"):
        (alone / name).unlink()
    meta = json.loads((alone / "checkpoint.json").read_text(encoding="utf-8"))
    del meta["metrics"]["test"]
    (alone / "checkpoint.json").write_text(json.dumps(meta), encoding="utf-8")
    report = inspect_run(alone)
    assert report.verdict == "FAIL"
    assert "E1" in causes(report)
    assert "no evaluation on test" in report.summary()


def test_weights_that_were_changed_are_another_path(alone):
    with np.load(alone / "sample.npz") as arrays:
        sample = dict(arrays)
    np.savez(alone / "sample.npz", **sample | {"logits": sample["logits"] + np.float32(0.01)})
    meta = json.loads((alone / "checkpoint.json").read_text(encoding="utf-8"))
    del meta["sha256"]["sample.npz"]
    (alone / "checkpoint.json").write_text(json.dumps(meta), encoding="utf-8")
    report = inspect_run(alone)
    assert report.finding("P2").status == "fail"
    assert "differ by up to 0.01" in report.finding("P2").message


def test_a_forced_collapse_is_named(records, tmp_path):
    report = inspect_run(trained(records, tmp_path / "run", lr=1.0, detect_collapse=False))
    assert report.verdict == "FAIL"
    assert "M1" in rules(report, "fail")
    assert "never called" in report.finding("M1").message
    assert "M1" in causes(report)


def test_a_random_split_leaks_patients(tmp_path):
    made, data = tmp_path / "made", tmp_path / "records"
    wanted = SEED_RECORDS.split()
    names = write_records(made, num_records=len(wanted), minutes=0.25, seed=1)
    data.mkdir()
    for old, new in zip(names, wanted, strict=True):
        header = (made / f"{old}.hea").read_text(encoding="utf-8").replace(old, new)
        (data / f"{new}.hea").write_text(header, encoding="utf-8")
        for suffix in ("dat", "atr"):
            shutil.copy(made / f"{old}.{suffix}", data / f"{new}.{suffix}")
    run = trained(data, tmp_path / "run", split="seed", max_epochs=8, min_epochs=8)
    report = inspect_run(run)
    assert report.verdict == "FAIL"
    assert "L1" in causes(report)
    assert "train and val: record" in report.finding("L1").message
    assert "train and test" not in report.finding("L1").message


def distilled(records, out, **options):
    """A run with a teacher, which needs validation records of its own."""
    names = [f"syn{number:02d}" for number in range(1, 10)]
    lists = {"train_records": names[:4], "val_records": names[4:6], "test_records": names[6:]}
    return trained(
        records, out, split="lists", use_kd=True, max_epochs=12, min_epochs=12, **lists, **options
    )


def test_a_teacher_too_weak_to_teach_fails_by_name_and_nothing_else_does(records, tmp_path):
    run = distilled(records, tmp_path / "run", teacher_auto_train_epochs=1)
    report = inspect_run(run)
    assert report.verdict == "FAIL"
    assert rules(report, "fail") == {"P1"}, report.summary()
    finding = report.finding("P1")
    assert [check.subject for check in finding.worst_checks] == [
        "distillation, logits", "distillation, features",
    ]  # fmt: skip
    assert "the log says: KD off: teacher" in finding.message
    cited = finding.worst_checks[0].evidence[-1]
    line = (run / cited.file).read_text(encoding="utf-8").splitlines()[cited.line - 1]
    assert "KD off: teacher" in line


def test_a_teacher_that_teaches_keeps_its_promise(records, tmp_path):
    run = distilled(
        records, tmp_path / "run", teacher_auto_train_epochs=2, teacher_min_f1=0.0,
        teacher_min_sensitivity=0.0, kd_teacher_gen_margin=1.0, kd_pause_miss=1.0,
        kd_resume_miss=1.0,
    )  # fmt: skip
    report = inspect_run(run)
    promised = [check for check in report.finding("P1").checks if "distillation" in check.subject]
    # The first epoch is the warm-up of the distillation, with weight 0.
    assert [check.message for check in promised] == [
        "term/kd_logits is active in 11 of 12 epochs",
        "term/kd_features is active in 11 of 12 epochs",
    ]
    projections = [c for c in report.finding("C3").checks if c.subject.startswith("objective")]
    assert [check.status for check in projections] == ["ok"]
    assert "distilled" in projections[0].subject


def test_a_nan_is_the_root_cause_with_its_line(records, tmp_path, monkeypatch):
    untouched = Learner.train_epoch

    def poisoned(self, plan, *rest):
        stats = untouched(self, plan, *rest)
        if plan.epoch == 3:
            self.parameters.value.data[0] = float("nan")
        return stats

    monkeypatch.setattr(Learner, "train_epoch", poisoned)
    with pytest.raises(ValueError, match="diverged"):
        trained(records, tmp_path / "run")
    report = inspect_run(tmp_path / "run")
    assert report.verdict == "FAIL"
    assert causes(report) == ["N1"]
    assert [str(source) for source in report.finding("N1").worst_checks[0].evidence] == [
        "train_log.jsonl:5"
    ]


def test_an_interrupted_run_is_incomplete(records, tmp_path, monkeypatch):
    untouched = Learner.train_epoch

    def interrupted(self, plan, *rest):
        if plan.epoch == 3:
            raise KeyboardInterrupt
        return untouched(self, plan, *rest)

    monkeypatch.setattr(Learner, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(records, tmp_path / "run")
    report = inspect_run(tmp_path / "run")
    assert report.verdict == "INCOMPLETE", report.summary()
