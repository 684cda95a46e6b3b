from __future__ import annotations

import numpy as np

from training.data.beatset import load_beats
from training.data.describe import describe_record, sum_up
from training.data.labels import label_map
from training.data.records import LeadChoice, list_records

AAMI = label_map("aami-4")


def describe(folder, name, labels=AAMI, **lead):
    return describe_record(folder, name, labels, LeadChoice(**lead))


def test_counts_are_those_of_the_beats_that_are_loaded(synthetic_dir):
    for labels in (AAMI, label_map("seed-binary")):
        reports = [describe(synthetic_dir, name, labels) for name in list_records(synthetic_dir)]
        totals = sum_up(reports, labels)
        beats = load_beats(synthetic_dir, labels)
        assert totals.classes == beats.class_counts()
        assert totals.num_outside == sum(record.num_outside for record in beats.records)
        assert totals.num_unmapped == sum(record.num_unmapped for record in beats.records)
        assert totals.num_beats == len(beats) + totals.num_outside + totals.num_unmapped
        assert totals.num_records == 6
        assert totals.duration_s == 540.0


def test_flutter_counts_as_without_a_class(write_record):
    folder = write_record("a", symbols="NN[NN]NN")
    assert describe(folder, "a").num_unmapped == 2
    assert describe(folder, "a").classes["N"] == len(load_beats(folder, AAMI))


def test_every_fault_of_a_record_is_listed(write_record):
    folder = write_record("a")
    (folder / "a.dat").unlink()
    (folder / "a.atr").unlink()
    signal, annotations = describe(folder, "a").faults
    assert "a.dat does not exist" in signal
    assert "a.atr does not exist" in annotations


def test_a_record_without_a_readable_header_has_no_figures(tmp_path):
    (tmp_path / "a.hea").write_text("garbage\n")
    report = describe(tmp_path, "a")
    assert (report.fs_hz, report.duration_s, report.num_beats) == (None, None, 0)
    assert report.classes == dict.fromkeys("NSVO", 0)
    assert len(report.faults) == 1
    assert sum_up([report], AAMI).num_faulty == 1


def test_remarks_name_what_a_user_must_decide(write_record):
    folder = write_record("a", symbols="NN//N", leads=("V5", "V2"), fs_hz=250, gap=slice(10, 14))
    report = describe(folder, "a")
    assert report.faults == ()
    assert report.paced
    assert report.remarks == (
        "4 samples of lead V5 are missing",
        "4 samples of lead V2 are missing",
        "sampled at 250 Hz: needs --resample 360",
        "no lead MLII",
        "paced: left out by label map aami-4",
    )
    assert (
        "paced: kept by label map seed-binary"
        in describe(folder, "a", label_map("seed-binary")).remarks
    )


def test_a_record_without_beats_says_so(write_record):
    folder = write_record("a", symbols="++")
    assert describe(folder, "a").remarks == ("no beat is annotated",)


def test_an_altered_signal_is_noticed(write_record):
    folder = write_record("a")
    assert describe(folder, "a").remarks == ()
    codes = np.fromfile(folder / "a.dat", dtype="<i2")
    codes[100] += 1
    codes.tofile(folder / "a.dat")
    assert describe(folder, "a").remarks == (
        "the signal does not match the header's checksums: it was altered",
    )
