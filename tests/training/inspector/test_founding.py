"""The founding report's run gives exactly the verdicts that it should have been given."""

from __future__ import annotations

import json

import pytest

from training.inspector import inspect_run
from training.inspector.finding import Status

VERDICTS = {
    "C1": "ok", "C2": "warn", "C3": "unknown", "O1": "fail", "O2": "unknown", "O3": "warn",
    "M1": "unknown", "N1": "ok", "N2": "ok", "N3": "unknown", "P1": "fail", "P2": "unknown",
    "H1": "warn", "E1": "fail", "E2": "unknown", "L1": "unknown",
}  # fmt: skip


@pytest.fixture
def report(founding):
    return inspect_run(
        founding / "train.log", plan=founding / "plan.toml", patterns=founding / "patterns.toml"
    )


def test_every_verdict(report):
    assert {found.rule: str(found.status) for found in report.findings} == VERDICTS
    assert report.verdict == "FAIL"
    assert report.decision.roll_back_to == "chat0"


def test_pace_is_anomalous_at_epochs_two_and_three(report):
    assert "at epochs 2–3" in report.finding("C2").message
    assert [s.line for s in report.finding("C2").checks[0].evidence] == [3, 4]


def test_warn_line_at_epoch_three_severe_from_epoch_five(report):
    message = report.finding("O1").message
    assert "from epoch 3, severe (over 0.95) from epoch 5" in message


def test_parameters_per_sample_are_computed_not_believed(report):
    check = report.finding("O3").checks[0]
    assert check.value == 89.8
    assert "stated: 0.09" in check.message


def test_five_of_five_promises_are_broken_by_name(report):
    finding = report.finding("P1")
    assert finding.message.startswith("5 of 5 fail")
    assert [check.subject for check in finding.checks] == [
        "contrastive loss", "prototype network", "homogeneous sampling", "orthogonal loss",
        "curriculum",
    ]  # fmt: skip


def test_the_earlier_failure_is_cited(report):
    finding = report.finding("H1")
    assert "run 21 (FAIL)" in finding.message
    assert "0.955 against 0.967" in finding.message
    assert str(finding.checks[0].evidence[0]) == "history.jsonl:1"


def test_without_history_nothing_is_cited(founding, tmp_path):
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    report = inspect_run(
        founding / "train.log",
        plan=founding / "plan.toml",
        patterns=founding / "patterns.toml",
        history=tmp_path / "empty.jsonl",
    )
    assert report.finding("H1").status is Status.UNKNOWN


def test_as_json(report):
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert {f["id"]: f["status"] for f in data["findings"]} == VERDICTS | {"D": "fail"}
    assert all({"value", "limit", "evidence"} <= f.keys() for f in data["findings"])


def test_cross_validation_names_the_fold_that_overfits(repository):
    folder = repository / "examples" / "inspector" / "cross_validation"
    report = inspect_run(folder / "cv.log", patterns=folder / "patterns.toml")
    finding = report.finding("O2")
    assert finding.status is Status.FAIL
    assert [check.subject for check in finding.worst_checks] == ["fold 2"]
    assert "at epoch 3" in finding.message
    assert report.finding("C1").status is Status.OK
