"""A run on MIT-BIH-like records meets folders that are not: a right figure or one clear line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from photonic.errors import ConfigError, DataError
from tests.training.rescoring.other_database import write_other
from training.ec57 import Ec57Report
from training.rescore import Evaluation, Request, rescore
from training.run import Run

RATE = {"resample": 360, "lead": "0"}


def scored(run: Run, folder, *, ec57: bool = False, records=(), subset=None, **reading):
    request = Request(
        data=folder, subset=subset, records=records, reading={**RATE, **reading}, ec57=ec57
    )
    return rescore(run, request)


def ec57_of(found: Evaluation) -> Ec57Report:
    assert found.ec57 is not None
    return found.ec57


@pytest.mark.slow
def test_another_rate_other_leads_and_s_instead_of_a(make_run, tmp_path):
    folder = write_other(tmp_path / "db", "a")
    write_other(folder, "b", fs_hz=128, leads=("II",))
    found = scored(make_run(), folder, ec57=True)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (document["split"], document["subset"]) == ("external", "all")
    assert [row["record"] for row in document["per_record"]] == ["a", "b"]
    per_class = document["metrics"]["per_class"]
    # 448 beats per record, the last one or two without a whole window; one in ten S, one in ten V.
    assert per_class["S"]["support"] == pytest.approx(90, abs=2)
    assert per_class["V"]["support"] == pytest.approx(90, abs=2)
    assert document["source"]["resample"] == 360
    assert {row["name"] for row in document["baselines"]} == {
        "all-normal", "timing-only", "waveform-only",
    }  # fmt: skip
    assert document["ec57"]["gross"]["qrs"]["ppv"] == 1.0
    assert any("leads read: ECG1, II" in note for note in document["notes"])


def test_a_class_that_is_not_there_is_said_to_be_absent(orphan, tmp_path):
    folder = write_other(tmp_path / "db", "a", symbols="NNNNA")
    found = scored(orphan, folder, ec57=True)
    classes = found.scoring.metrics["per_class"]
    for name in ("V", "O"):
        assert classes[name]["support"] == 0
        assert classes[name]["sensitivity"] is classes[name]["f1"] is None
    assert any("no sample of class V, O" in note for note in found.scoring.notes)
    assert ec57_of(found).gross["veb"]["sensitivity"] is None
    assert ec57_of(found).gross["sveb"]["sensitivity"] is not None


def test_one_record_has_figures_and_no_interval(orphan, tmp_path):
    found = scored(orphan, write_other(tmp_path / "db", "a"), ec57=True)
    assert found.intervals is None
    assert all(v is None for event in ec57_of(found).intervals.values() for v in event.values())
    assert found.scoring.num_samples > 400


def test_gaps_are_not_scored_counted_as_missed_and_said(orphan, tmp_path):
    whole = scored(orphan, write_other(tmp_path / "whole", "a"), ec57=True)
    folder = write_other(tmp_path / "db", "a", gap_s=(320.0, 328.0))
    found = scored(orphan, folder, ec57=True)
    lost = whole.scoring.num_samples - found.scoring.num_samples
    assert 8 <= lost <= 13
    assert any(f"{lost} beats of records a are not scored" in n for n in found.scoring.notes)
    missed = [ec57_of(r).counts[:, :5, 5].sum() for r in (whole, found)]
    assert missed[1] - missed[0] == lost
    assert np.isfinite(ec57_of(found).counts).all()


def test_a_database_without_annotations_is_refused(orphan, tmp_path):
    folder = write_other(tmp_path / "db", "a", annotator=None)
    with pytest.raises(DataError, match=r"a\.atr does not exist: record a has no annotations"):
        scored(orphan, folder)
    write_other(folder, "b", annotator="qrs")
    assert scored(orphan, folder, records=("b",), annotator="qrs").scoring.num_samples > 400


def test_what_must_be_asked_for_is_said(orphan, tmp_path):
    folder = write_other(tmp_path / "db", "a")
    with pytest.raises(DataError, match=r"250 Hz.*give --resample 360"):
        rescore(orphan, Request(data=folder, reading={"lead": "0"}))
    with pytest.raises(DataError, match=r"no lead MLII.*0 ECG1, 1 ECG2: choose a lead"):
        rescore(orphan, Request(data=folder, reading={"resample": 360}))
    with pytest.raises(ConfigError, match=r"subset test: .* does not hold the records"):
        scored(orphan, folder, subset="test")
    with pytest.raises(DataError, match="holds no record z; it holds a"):
        scored(orphan, folder, records=("z",))
    with pytest.raises(DataError, match="is not a folder"):
        scored(orphan, tmp_path / "nowhere")


def test_records_without_a_beat_to_score_are_refused_or_named(orphan, tmp_path):
    folder = write_other(tmp_path / "db", "p", symbols="/")
    with pytest.raises(DataError, match=r"no beat is left in 0 records .*1 paced records"):
        scored(orphan, folder)
    write_other(folder, "a")
    write_other(folder, "rhythm", symbols="+")
    found = scored(orphan, folder)
    assert any("without a beat that can be scored: rhythm" in n for n in found.scoring.notes)


def test_paced_records_are_left_out_and_named(orphan, tmp_path):
    folder = write_other(tmp_path / "db", "a")
    write_other(folder, "p", symbols="NN/")
    found = scored(orphan, folder, ec57=True)
    assert [row["record"] for row in found.scoring.per_record] == ["a"]
    assert any("paced records left out: p" in note for note in found.scoring.notes)
    assert ec57_of(found).excluded == ("p",)


def test_records_too_short_for_ec57_are_named_or_refused(orphan, tmp_path):
    folder = write_other(tmp_path / "db", "short", minutes=2.0)
    assert scored(orphan, folder).scoring.num_samples > 100
    with pytest.raises(DataError, match="scores from 5:00 on, and none of the 1 records"):
        scored(orphan, folder, ec57=True)
    write_other(folder, "a")
    assert any("end before scoring begins: short" in n for n in
               ec57_of(scored(orphan, folder, ec57=True)).notes)  # fmt: skip


def test_without_the_training_data_there_is_no_fitted_baseline_and_it_is_said(orphan, tmp_path):
    found = scored(orphan, write_other(tmp_path / "db", "a"))
    assert [row["name"] for row in found.scoring.baselines] == ["all-normal"]
    assert any("cannot be read: no baseline but all-normal" in n for n in found.scoring.notes)
