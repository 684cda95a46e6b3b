"""``photonic sweep``: its answer, its files, and a clear line for what it cannot do."""

from __future__ import annotations

import csv
import json

import pytest

SIGMA = "weight.programming_sigma"


def test_the_answer_has_the_fixed_keys_and_names_its_files(photonic, small_bundle, tmp_path):
    out = tmp_path / "sweep"
    answer = photonic(
        "sweep", small_bundle, "--profile", "generic_8bit", "--vary", f"{SIGMA}=0,0.1",
        "--vary", "output.bits=6,8", "--chips", 3, "--out", out, "--json",
    ).json()  # fmt: skip
    assert {"table", "points", "reference_metric", "num_chips", "seconds"} <= set(answer)
    assert [p["params"] for p in answer["points"]][:2] == [
        {SIGMA: 0, "output.bits": 6},
        {SIGMA: 0, "output.bits": 8},
    ]
    keys = {"params", "metric_mean", "metric_p05", "metric_p50", "metric_p95", "yield"}
    assert set(answer["points"][0]) == keys
    with open(answer["table"], encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 4 * 3
    assert {f.rsplit("/")[-1] for f in answer["figures"]} == {"yield_curve.png", "heatmap.png"}
    assert json.loads((out / "summary.json").read_text()) == answer


def test_the_same_command_again_counts_nothing_and_answers_the_same(
    photonic, small_bundle, tmp_path, monkeypatch
):
    command = ["sweep", small_bundle, "--chips", 4, "--out", tmp_path / "sweep", "--json"]
    first = photonic(*command).json()
    table = (tmp_path / "sweep" / "table.csv").read_bytes()
    monkeypatch.setattr("photonic.sweep.run.count_chips", None)
    second = photonic(*command).json()
    assert first["points"] == second["points"]
    assert (tmp_path / "sweep" / "table.csv").read_bytes() == table


def test_the_text_shows_points_table_and_figures(photonic, small_bundle, tmp_path):
    outcome = photonic(
        "sweep", small_bundle, "--vary", "profile=ideal,generic_8bit", "--vary", "seed=0,1",
        "--chips", 2, "--format", "csv", "--format", "parquet", "--out", tmp_path,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "generic_8bit" in outcome.out
    assert "table.csv" in outcome.out
    assert "table.parquet" in outcome.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vary", "weight.sigma=1"], "did you mean .*weight.programming_sigma"),
        (["--vary", f"{SIGMA}="], "write KEY=V1,V2"),
        (["--vary", f"{SIGMA}=1,,2"], "write KEY=V1,V2"),
        (["--vary", f"{SIGMA}=1", "--vary", f"{SIGMA}=2"], "given twice"),
        (["--chips", "0"], "0 is not in the range"),
        (["--memory-mb", "0.5"], "one chip needs"),
        (["--metric", "miss"], "use 'sensitivity'"),
        (["--device", "warp"], "torch cannot compute there"),
        (["--executor", "slurm"], "dask:ADDRESS"),
        (["--executor", "dask:"], "dask:ADDRESS"),
        (["--executor", "dask:tcp://127.0.0.1:1", "--workers", "2"], "has its own workers"),
    ],
)
def test_what_cannot_be_swept_is_one_line(photonic, small_bundle, tmp_path, options, message):
    outcome = photonic("sweep", small_bundle, "--chips", 2, "--out", tmp_path / "out", *options)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert __import__("re").search(message, outcome.err)
    assert not (tmp_path / "out" / "table.csv").exists()
