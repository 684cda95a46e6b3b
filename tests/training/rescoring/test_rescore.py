"""A run scored on its own records: its split holds, EC57 sees whole records, leads can change."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import training.baselines as fitted_baselines
from photonic.errors import ConfigError, DataError, RunError
from training.ec57 import Ec57Report
from training.evaluation_log import note_evaluation, read_evaluations
from training.intervals import metric_intervals
from training.rescore import Evaluation, Request, rescore
from training.workloads import task_of, workload

EC57 = Request(ec57=True)


def ec57_of(found: Evaluation) -> Ec57Report:
    assert found.ec57 is not None
    return found.ec57


def test_the_figures_are_those_that_training_wrote(make_run):
    run = make_run()
    for subset in ("val", "test"):
        found = rescore(run, Request(subset=subset))
        assert found.scoring.split == "by-record"
        saved, again = run.meta["metrics"][subset], found.scoring.metrics
        assert again["confusion"] == tuple(map(tuple, saved["confusion"]))
    assert rescore(run, Request()).scoring.subset == "test"


def test_a_copy_of_the_records_is_the_same_data_and_all_is_no_test(make_run, six_minutes, tmp_path):
    run = make_run()
    shutil.copytree(six_minutes, tmp_path / "copy")
    found = rescore(run, Request(data=tmp_path / "copy"))
    assert (found.scoring.split, found.scoring.subset) == ("by-record", "test")
    everything = rescore(run, Request(data=tmp_path / "copy", subset="all"))
    assert len(everything.scoring.per_record) == 6
    assert any("4 of these records have the names" in n for n in everything.scoring.notes)


def test_named_records_are_scored_alone(make_run):
    found = rescore(make_run(), Request(records=("syn05",)))
    assert [row["record"] for row in found.scoring.per_record] == ["syn05"]
    assert found.scoring.split == "external"


def test_ec57_counts_every_beat_after_five_minutes_once(make_run):
    found = rescore(make_run(), EC57)
    report = ec57_of(found)
    assert report.records == ("syn05", "syn06")
    assert report.counts[:, 5:].sum() == 0  # no beat is extra: the R peaks are the reference's
    beats = report.counts.sum()
    assert 40 <= beats <= 120  # half a minute of each record
    assert report.events == ("qrs", "veb", "sveb", "abnormal")
    assert {row["name"] for row in found.ec57_baselines} == {
        "all-normal", "timing-only", "waveform-only",
    }  # fmt: skip
    quiet = next(row for row in found.ec57_baselines if row["name"] == "all-normal")
    assert quiet["gross"]["veb"]["sensitivity"] == 0.0
    assert quiet["gross"]["veb"]["ppv"] is None


@pytest.mark.slow
def test_a_binary_run_does_not_claim_v(make_run):
    report = ec57_of(rescore(make_run(labels="seed-binary"), EC57))
    assert report.events == ("qrs", "abnormal")
    assert report.called == {"normal": "N", "abnormal": "Q"}
    assert not report.counts[:, :, 1:4].any()
    assert any("do not tell V from S" in note for note in report.notes)
    # Records syn05 and syn06 hold A and f, which seed-binary drops: they are scored all the same.
    aami = ec57_of(rescore(make_run(), EC57))
    assert np.array_equal(report.counts.sum(axis=2), aami.counts.sum(axis=2))


def test_out_of_fold_scores_are_those_of_ec57_on_validation(make_run):
    run = make_run()
    report = ec57_of(rescore(run, Request(subset="val", ec57=True)))
    saved = run.predictions("val")
    late = saved.sample >= 300 * 360
    called = run.decision.from_probabilities(saved.probs)[late]
    expected = np.bincount(np.array([0, 1, 2, 4])[called], minlength=5)
    assert np.array_equal(report.counts.sum(axis=(0, 1))[:5], expected)


@pytest.mark.slow
def test_what_ec57_cannot_score_is_refused(make_run):
    with pytest.raises(DataError, match="validation beats have no saved out-of-fold score"):
        rescore(make_run(labels="seed-binary"), Request(subset="val", ec57=True))


@pytest.mark.slow
def test_jitter_is_scored_on_demand_and_is_said(make_run):
    run = make_run()
    first, second = (rescore(run, Request(reading=r)) for r in ({}, {"jitter": 20}))
    assert (first.source["jitter"], second.source["jitter"]) == (0, 20)
    # A window at the end of a record may have moved out of it.
    assert 0 <= first.scoring.num_samples - second.scoring.num_samples <= 4
    assert first.scoring.metrics["auroc"] != second.scoring.metrics["auroc"]
    with pytest.raises(DataError, match="out-of-fold and were saved by training"):
        rescore(run, Request(subset="val", reading={"jitter": 20}))


@pytest.mark.slow
def test_the_other_lead_is_scored_on_demand_but_not_with_scores_of_the_first(make_run):
    run, other = make_run(), {"companion_lead": True}
    first, second = (rescore(run, Request(reading=r)) for r in ({}, other))
    assert second.source["companion_lead"] is True
    assert first.scoring.num_samples == second.scoring.num_samples
    by_index = rescore(run, Request(reading={"lead": "1"}))
    assert by_index.scoring.metrics == second.scoring.metrics
    with pytest.raises(DataError, match=r"out-of-fold.*not of the data, lead or annotator"):
        rescore(run, Request(subset="val", reading=other))


def test_intervals_hold_the_figures_and_do_not_move(make_run):
    run = make_run()
    predictions = run.predictions("val")
    found = metric_intervals(run.decision, predictions)
    assert found == metric_intervals(run.decision, predictions)
    assert found is not None
    for name in ("macro_f1", "accuracy", "miss", "fpr", "auroc"):
        low, high = found[name]
        assert low - 0.02 <= run.meta["metrics"]["val"][name] <= high + 0.02


def test_evaluations_are_noted_one_line_each(make_run, tmp_path):
    document = rescore(make_run(), EC57).to_dict()
    assert note_evaluation(tmp_path, document)
    assert note_evaluation(tmp_path, document)
    first, second = read_evaluations(tmp_path)
    assert first["date"] <= second["date"]
    assert {k: v for k, v in second.items() if k != "date"} == json.loads(json.dumps(document))
    assert not note_evaluation(tmp_path / "nowhere", document)
    assert read_evaluations(tmp_path / "nowhere") == []
    (tmp_path / "evaluations.jsonl").write_text('{"a": 1}\n{"b"\n')
    with pytest.raises(RunError, match="line 2: not JSON"):
        read_evaluations(tmp_path)


def test_ec57_is_of_heartbeats_only(make_run):
    run = make_run()
    options = Request(reading={"no_such_option": 1})
    with pytest.raises(ConfigError, match="no_such_option"):
        rescore(run, options)


def test_a_baseline_is_fitted_once_for_the_same_data_and_anew_for_other(make_run, monkeypatch):
    run = make_run()
    data = workload("ecg").load(run.config, lambda _: None)
    options = run.config.imbalance(task_of(data.classes))
    fits, fit = [], fitted_baselines._fit
    monkeypatch.setattr(fitted_baselines, "_fitted_last", {})
    monkeypatch.setattr(fitted_baselines, "_fit", lambda *given: fits.append(0) or fit(*given))

    def asked(given, subset: str, seed: int = 0):
        return fitted_baselines.baselines(given, given.subset(subset), options, seed=seed)

    test, again = asked(data, "test"), asked(data, "test")
    asked(data, "val")
    assert len(fits) == 2  # timing and waveform
    for one, other in zip(test, again, strict=True):
        assert np.array_equal(one.probs, other.probs)
    turned = data.label.copy()
    turned[data.split.train[:5]] = 0
    turned[data.split.train[5:10]] = 1
    asked(replace(data, label=turned), "test")
    assert len(fits) == 4
    asked(data, "test", seed=1)
    assert len(fits) == 6
