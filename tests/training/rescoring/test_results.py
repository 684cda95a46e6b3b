"""The results page of real runs: every figure is one of theirs, and what must be said is said."""

from __future__ import annotations

import datetime
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from photonic.errors import RunError
from training.evaluation_log import LOG, note_evaluation
from training.rescore import Request, rescore
from training.results import collect, render
from training.results.chips import read_chip_scores, write_chip_scores
from training.results.render import spread
from training.run import load_run

TODAY = datetime.date(2026, 1, 2)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluated(make_run, tmp_path_factory) -> list[Path]:
    """Two seeds of one model, evaluated on test with EC57 and on the other lead."""
    folders = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("evaluated") / f"run{seed}"
        shutil.copytree(make_run(split="lists", train_records=("syn01", "syn02"),
                                 val_records=("syn03",), test_records=("syn05", "syn06"),
                                 seed=seed).path, folder)  # fmt: skip
        run = load_run(folder)
        for request in (Request(ec57=True), Request(reading={"companion_lead": True}),
                        Request(reading={"jitter": 10})):  # fmt: skip
            note_evaluation(folder, rescore(run, request).to_dict())
        write_chip_scores(run, num_chips=3)
        folders.append(folder)
    return folders


def page(folders) -> str:
    return render(collect(folders), command="made by hand", today=TODAY)


def cells(text: str, first: str, section: str) -> list[str]:
    """The cells of the row of a section that begins with ``first``."""
    part = text.split(f"### {section}", 1)[1]
    row = next(line for line in part.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_figures_are_mean_and_deviation_over_the_seeds(evaluated):
    text = page(evaluated)
    metrics = [load_run(folder).meta["metrics"]["test"] for folder in evaluated]
    values = [m["macro_f1"] for m in metrics]
    row = cells(text, "segment student", "Test")
    assert row[1] == "2"
    assert row[3] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    per_class = cells(text, "segment student", "Test, per class")
    assert per_class[1] == spread([m["per_class"]["N"]["sensitivity"] for m in metrics])
    assert cells(text, "all-normal", "Test")[3] != "–"


def test_the_page_says_data_split_seeds_dates_and_what_selected(evaluated):
    text = page(evaluated)
    assert "## lists, aami-4" in text
    assert "Written on 2026-01-02 by `made by hand`" in text
    assert "runs run0 (seed 0), run1 (seed 1)" in text
    assert "the records to train and validate on; no test record" in text
    assert "scored once at the end of training and, as its log says, 1 times" in text
    assert "record lists of the user" in text
    assert "photonic train ecg --config run0/config.toml --seed N --out NEW" in text
    assert str(evaluated[0].parent) not in text  # no place of this machine
    assert "/records" not in text


def test_ec57_intervals_records_and_other_leads_have_tables(evaluated):
    text = page(evaluated)
    (first, *_), (second, *_) = (
        [json.loads(line) for line in (f / LOG).read_text().splitlines()] for f in evaluated
    )
    gross = [d["ec57"]["gross"]["abnormal"]["sensitivity"] for d in (first, second)]
    row = cells(text, "segment student, gross", "Test by ANSI/AAMI EC57")
    assert row[9] == spread(gross)
    assert "segment student, seed 1" in text
    assert cells(text, "syn05", "Test per record")[1] == str(first["per_record"][0]["num_samples"])
    other = cells(text, "records, test, other lead", "Other leads and databases")
    assert other[1:3] == ["segment student", "2"]
    moved = "records, test, lead MLII, R peaks moved by up to 10 samples"
    assert cells(text, moved, "Other leads and databases")[1:3] == ["segment student", "2"]


def test_chips_have_a_table_and_the_perfect_one_is_the_model(evaluated):
    rows = [{row["condition"]: row for row in read_chip_scores(folder)} for folder in evaluated]
    for folder, row in zip(evaluated, rows, strict=True):
        metrics = load_run(folder).meta["metrics"]["test"]
        assert row["float"]["mean"] == pytest.approx(metrics["macro_f1"], abs=0.01)
        noisy = row["weight noise, sigma 0.05"]
        assert noisy["num_chips"] == 3
        assert noisy["p05"] <= noisy["p50"] <= noisy["p95"]
    section = page(evaluated).split("### Test samples on simulated chips (modelled)")[1]
    four_bits = spread([row["weights of 4 bits"]["mean"] for row in rows])
    assert f"weights of 4 bits | 2 | 1 | macro_f1 | {four_bits}" in section


def test_test_records_that_took_part_in_selection_are_told(evaluated, tmp_path):
    folder = tmp_path / "chosen"
    shutil.copytree(evaluated[0], folder)
    meta = json.loads((folder / "checkpoint.json").read_text())
    meta["split"]["used_in_selection"] = True
    (folder / "checkpoint.json").write_text(json.dumps(meta))
    assert "**the test records too in chosen: their test figures are no test" in page([folder])


def test_runs_that_do_not_go_together_are_refused(evaluated, tmp_path):
    with pytest.raises(RunError, match="same model with the same seed"):
        collect([evaluated[0], evaluated[0]])
    folder = tmp_path / "other"
    shutil.copytree(evaluated[1], folder)
    meta = json.loads((folder / "checkpoint.json").read_text())
    meta["split"]["num_test"] += 1
    (folder / "checkpoint.json").write_text(json.dumps(meta))
    with pytest.raises(RunError, match="different numbers of test samples"):
        collect([evaluated[0], folder])
    with pytest.raises(RunError, match="no run directory was given"):
        collect([])


def test_a_run_that_was_never_evaluated_has_the_figures_of_training(evaluated, tmp_path):
    folder = tmp_path / "fresh"
    shutil.copytree(evaluated[0], folder)
    (folder / LOG).unlink()
    text = page([folder])
    value = load_run(folder).meta["metrics"]["test"]["macro_f1"]
    assert cells(text, "segment student", "Test")[3] == f"{value:.3f}"
    assert "EC57, from" not in text
    assert "0 times by `photonic eval`" in text


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.5], "0.500"), ([0.4, 0.6], "0.500 ± 0.141"), ([0.4, None], "–"), ([], "–")],
)
def test_a_seed_without_a_figure_leaves_a_dash(values, text):
    assert spread(values) == text


def test_the_command_writes_the_page(evaluated, repository, tmp_path):
    spec = importlib.util.spec_from_file_location(
        "results_page", repository / "benchmarks" / "results_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path / "docs" / "results.md"
    out.parent.mkdir()
    done = CliRunner().invoke(module.main, [*map(str, evaluated), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text().startswith("# Results")
    refused = CliRunner().invoke(module.main, [str(tmp_path), "--out", str(tmp_path / "no.md")])
    assert refused.exit_code == 2
    assert not (tmp_path / "no.md").exists()
