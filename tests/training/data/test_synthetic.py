from __future__ import annotations

import hashlib

import numpy as np
import pytest
import wfdb
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from photonic.beats import FS_HZ
from photonic.errors import ConfigError
from training.data.beatset import load_beats
from training.data.describe import describe_record
from training.data.ecg import EcgDataOptions, load_ecg
from training.data.labels import label_map
from training.data.records import LeadChoice, list_records
from training.data.synthetic import write_records


def digests(folder) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


@pytest.mark.slow
def test_records_are_decided_by_seed_and_number(synthetic_dir, tmp_path):
    write_records(tmp_path / "two", num_records=2, minutes=1.5, seed=3)
    write_records(tmp_path / "other", num_records=2, minutes=1.5, seed=4)
    again, other, first = (
        digests(tmp_path / "two"),
        digests(tmp_path / "other"),
        digests(synthetic_dir),
    )
    assert again.items() <= first.items()
    assert not set(again.values()) & set(other.values())


def test_records_are_readable_and_without_faults(synthetic_dir):
    names = list_records(synthetic_dir)
    assert names == tuple(f"syn{i:02d}" for i in range(1, 7))
    for name in names:
        report = describe_record(synthetic_dir, name, label_map("aami-4"), LeadChoice())
        assert report.leads == ("MLII", "V5")
        assert report.fs_hz == FS_HZ
        assert report.duration_s == 90.0
        assert (report.faults, report.remarks) == ((), ())
        assert report.symbols["+"] == 1


def test_all_classes_are_there(synthetic_dir):
    counts = load_beats(synthetic_dir, label_map("aami-5")).class_counts()
    assert all(count >= 5 for count in counts.values()), counts
    assert counts["N"] > 3 * counts["V"] > 3 * counts["F"]


def test_annotations_stand_on_r_peaks(synthetic_dir):
    record = wfdb.rdrecord(str(synthetic_dir / "syn01"), channels=[0])
    marks = wfdb.rdann(str(synthetic_dir / "syn01"), "atr")
    signal = record.p_signal[:, 0]
    normal = marks.sample[np.array(marks.symbol) == "N"][1:-1]
    found = np.array([r + np.argmax(np.abs(signal[r - 20 : r + 21])) - 20 for r in normal])
    assert np.abs(found - normal).max() <= 2  # noise moves the largest sample a little


def test_ventricular_beats_are_wide_and_premature(synthetic_dir):
    beats = load_beats(synthetic_dir, label_map("aami-4"))
    width = (np.abs(beats.beats[:, 140:220]) > 0.5).sum(axis=1)
    early = beats.rhythm[:, 0, 0]
    normal, ectopic = beats.label == 0, beats.label == 2
    assert np.median(width[ectopic]) > 1.4 * np.median(width[normal])
    assert np.median(early[ectopic]) < -0.3 < np.median(early[normal])


def test_neither_timing_nor_shape_alone_solves_the_task(synthetic_dir):
    data = load_ecg(synthetic_dir, EcgDataOptions(split="by-record"), seed=0)
    beats, split = data.beats, data.split
    abnormal = beats.label > 0
    for features in (beats.rhythm.reshape(-1, 8), beats.beats[:, ::6]):
        model = LogisticRegression(max_iter=1000).fit(
            features[split.selection], abnormal[split.selection]
        )
        score = model.decision_function(features[split.test])
        assert 0.6 < roc_auc_score(abnormal[split.test], score) < 0.98


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(ConfigError, match="is not empty"):
        write_records(tmp_path, num_records=1, minutes=1.0)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["mine"]


@pytest.mark.parametrize(("num_records", "minutes"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_records_that_cannot_be_are_refused(tmp_path, num_records, minutes):
    with pytest.raises(ConfigError, match=r"at least 1 record of 0\.25 to 1440 minutes"):
        write_records(tmp_path / "new", num_records=num_records, minutes=minutes)
    assert not (tmp_path / "new").exists()


def test_an_interrupt_leaves_no_folder(tmp_path):
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / "new", num_records=2, minutes=0.5, on_record=interrupt)
    assert not list(tmp_path.glob("*new*"))
