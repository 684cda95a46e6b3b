"""The figures that depend on the real records."""

from __future__ import annotations

import pytest

from training.data.describe import describe_record, sum_up
from training.data.ecg import EcgDataOptions, load_ecg
from training.data.labels import label_map
from training.data.records import LeadChoice, list_records, read_annotations, read_header
from training.data.splits import MITDB_PLANS


def counts(folder, records, name: str) -> int:
    """Beats of the label map whose window lies inside its record, from the annotations alone."""
    labels = label_map(name)
    total = 0
    for record in records:
        header = read_header(folder, record)
        marks = read_annotations(folder, header)
        inside = (marks.samples >= 180) & (marks.samples + 180 <= header.num_samples)
        total += int((labels.encode(marks.symbols)[inside] >= 0).sum())
    return total


def test_the_founding_map_gives_the_founding_counts(mitdb_dir):
    plan = MITDB_PLANS["seed"]
    assert counts(mitdb_dir, plan.train, "seed-binary") == 42_232 + 10_558
    assert counts(mitdb_dir, plan.test, "seed-binary") == 29_781


@pytest.mark.slow
def test_the_seed_split_has_the_founding_sizes(mitdb_dir, tmp_path):
    options = EcgDataOptions(labels="seed-binary", split="seed")
    data = load_ecg(mitdb_dir, options, seed=0, cache=tmp_path)
    split = data.split
    assert (len(split.train), len(split.val), len(split.test)) == (42_232, 10_558, 29_781)
    leads = {record.name: record.lead for record in data.beats.records}
    assert leads.pop("102") == leads.pop("104") == "V5"
    assert set(leads.values()) == {"MLII"}  # also of 114, where it is the second channel
    assert data.beats.class_counts(split.test) == {"normal": 25_117, "abnormal": 4_664}


@pytest.mark.slow
def test_ds1_ds2_under_the_four_classes(mitdb_dir, tmp_path):
    data = load_ecg(mitdb_dir, EcgDataOptions(), seed=0, cache=tmp_path)
    assert data.beats.excluded == ()
    assert data.beats.class_counts(data.split.selection) == {
        "N": 45841,
        "S": 944,
        "V": 3788,
        "O": 422,
    }
    assert data.beats.class_counts(data.split.test) == {"N": 44235, "S": 1837, "V": 3220, "O": 395}


@pytest.mark.slow
def test_the_whole_database_is_described_without_faults(mitdb_dir):
    labels = label_map("aami-5")
    reports = [
        describe_record(mitdb_dir, name, labels, LeadChoice()) for name in list_records(mitdb_dir)
    ]
    totals = sum_up(reports, labels)
    assert (totals.num_records, totals.num_faulty, totals.num_beats) == (48, 0, 109_494)
    assert totals.paced == ("102", "104", "107", "217")
    without = [report.name for report in reports if "no lead MLII" in report.remarks]
    assert without == ["102", "104"]
