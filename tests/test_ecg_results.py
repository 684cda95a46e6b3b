"""The command that makes the results page: it goes on where it stopped and scores nothing twice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from training.data.synthetic import write_records
from training.evaluation_log import read_evaluations
from training.results.chips import CHIPS_FILE

SHORT = {"steps_per_epoch": 3, "max_epochs": 2, "min_epochs": 2, "batch_size": 32}


@pytest.fixture
def benchmark(repository, monkeypatch):
    file = repository / "benchmarks" / "ecg_results.py"
    spec = importlib.util.spec_from_file_location("ecg_results", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ecg_results", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_protocol_is_trained_scored_and_left_alone_when_done(benchmark, monkeypatch, tmp_path):
    write_records(tmp_path / "records", num_records=6, minutes=5.5, seed=1)
    protocol = benchmark.PROTOCOLS["patient-binary"]
    options = {**protocol.options, **SHORT, "split": "by-record"}
    small = benchmark.Protocol(options=options, extra=protocol.extra)
    monkeypatch.setitem(benchmark.PROTOCOLS, "patient-binary", small)

    def finished() -> Path:
        folder = tmp_path / "runs"
        return benchmark.finished_run("patient-binary", 0, tmp_path / "records", folder)

    folder = finished()
    scored = [(d["source"]["companion_lead"], d["source"]["jitter"]) for d in
              read_evaluations(folder)]  # fmt: skip
    assert scored == [(False, 0), (False, 10), (True, 0)]
    assert not (folder / CHIPS_FILE).exists()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert finished() == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_data_that_is_not_there_is_one_line(benchmark, tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = ["--data", str(tmp_path / "empty"), "--out", str(tmp_path / "runs"), "--seeds", "0"]
    done = CliRunner().invoke(benchmark.main, [*arguments, "--only", "ds1-ds2", "--workers", "1"])
    assert done.exit_code == 2
    assert "ecg_results: error:" in done.output
