"""``photonic eval``: one command line from a run to figures on another database."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from photonic.cli.main import run as command
from tests.training.rescoring.other_database import write_other


@pytest.fixture
def folder(orphan, tmp_path) -> Path:
    """A copy of a run directory, whose log of evaluations is the test's own."""
    shutil.copytree(orphan.path, tmp_path / "run")
    write_other(tmp_path / "db", "a")
    write_other(tmp_path / "db", "b", fs_hz=500)
    return tmp_path


@pytest.mark.slow
def test_another_database_in_one_command(folder, capsys):
    line = ["eval", folder / "run", "--data", folder / "db", "--subset", "all"]
    line += ["--resample", "360", "--lead", "0", "--ec57-csv", folder / "ec57.csv", "--json"]
    assert command([str(word) for word in line]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"split", "subset", "num_samples", "threshold", "metrics", "per_record", "baselines",
            "intervals", "source", "ec57"} <= document.keys()  # fmt: skip
    assert [row["record"] for row in document["ec57"]["per_record"]] == ["a", "b"]
    rows = list(csv.DictReader((folder / "ec57.csv").read_text().splitlines()))
    assert [row["record"] for row in rows] == ["a", "b", "gross", "average"]
    noted = (folder / "run" / "evaluations.jsonl").read_text().splitlines()
    assert json.loads(noted[0])["num_samples"] == document["num_samples"]


def test_tables_for_people(folder, capsys):
    line = ["eval", folder / "run", "--data", folder / "db", "--records", "a", "--resample", "360"]
    assert command([str(w) for w in [*line, "--lead", "ECG2", "--ec57"]]) == 0
    out = " ".join(capsys.readouterr().out.split())  # a title is wrapped to its table
    for text in ("split external, all", "ANSI/AAMI EC57", "gross of all-normal", "leads read: ECG2",
                 "no intervals: they are drawn over records, and there is one"):  # fmt: skip
        assert text in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lead", "0"], "give --resample 360"),
        (["--resample", "360"], "choose a lead by name or index"),
        (["--resample", "360", "--lead", "7"], "no lead index 7"),
        (["--resample", "360", "--lead", "0", "--annotator", "qrs"], "has no annotations"),
        (["--resample", "360", "--lead", "0", "--subset", "val"], "choose subset all"),
        (["--resample", "250"], "360"),
    ],
)
def test_bad_input_is_one_line_and_status_2(folder, capsys, words, message):
    line = ["eval", folder / "run", "--data", folder / "db", *words]
    assert command([str(word) for word in line]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
