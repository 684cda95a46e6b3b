"""What is written of a stream can be read again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import wfdb

from export.stream.beat import Fault, StreamedBeat
from export.stream.run import StreamLog
from export.stream.summary import percentiles, summarise
from export.stream.writers import beat_writer, write_annotations
from photonic.errors import ConfigError

CLASSES = ("N", "V", "O")


def beat(sample, label=None, **times):
    fault = None if label is not None else Fault.GAP
    return StreamedBeat(
        sample=sample, known_at=sample + 117, decided_at=sample + 180, label=label, fault=fault,
        logits=() if label is None else (0.1, 0.2, 0.3), **times,
    )  # fmt: skip


BEATS = [
    beat(360, 0, preprocess_us=40.0, inference_us=10.0, total_us=60.0, floor_us=4.0),
    beat(720, 2, preprocess_us=50.0, inference_us=20.0, total_us=90.0, floor_us=4.0),
    beat(1080),
]


@pytest.mark.parametrize("live", [False, True])
def test_json_lines(tmp_path, live):
    path = tmp_path / "beats.jsonl"
    with beat_writer(path, CLASSES, live=live) as write:
        write(0, BEATS[0])
        assert path.exists() == live
        write(1, BEATS[2])
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["session"], first["class"], first["time_s"]) == (0, "N", 1.0)
    assert (second["session"], second["class"], second["fault"]) == (1, None, "gap")


def test_interrupted_json_lines_of_a_record_leave_no_file(tmp_path):
    def interrupted():
        with beat_writer(tmp_path / "beats.jsonl", CLASSES, live=False) as write:
            write(0, BEATS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_annotations_are_read_back_by_wfdb(tmp_path):
    write_annotations(tmp_path / "100.pho", BEATS, CLASSES, fs_hz=250.0)
    read = wfdb.rdann(str(tmp_path / "100"), "pho")
    assert read.sample.tolist() == [250, 500, 750]
    assert read.symbol == ["N", "Q", "?"]
    assert [note.rstrip("\0") for note in read.aux_note] == ["N", "O", "gap"]
    assert [path.name for path in tmp_path.iterdir()] == ["100.pho"]


@pytest.mark.parametrize("name", ["100", "1 00.pho", "100.p7"])
def test_a_name_that_wfdb_does_not_take(tmp_path, name):
    with pytest.raises(ConfigError, match=r"RECORD\.ANNOTATOR"):
        write_annotations(tmp_path / name, BEATS, CLASSES, fs_hz=360.0)


def test_no_annotations_without_beats(tmp_path):
    with pytest.raises(ConfigError, match="no beat was found"):
        write_annotations(tmp_path / "100.pho", [], CLASSES, fs_hz=360.0)


def test_summary():
    log = StreamLog(beats=BEATS, num_samples=3600, num_sessions=1, busy_seconds=1e-3)
    summary = summarise(log, CLASSES, deadline_us=80.0)
    assert summary["num_beats"] == 3
    assert summary["decisions"] == {"N": 1, "V": 0, "O": 1}
    assert summary["unclassified"] == {"gap": 1}
    assert summary["missed_deadlines"] == 1
    assert summary["latency_us"] == percentiles([10.0, 20.0])
    assert summary["floor_us"]["p50"] == 4.0
    assert summary["beats_per_second"] == pytest.approx(3 / (1e-3 - 8e-6))
    assert summary["times_real_time"] == pytest.approx(10 / (1e-3 - 8e-6))
    assert summary["detector_delay_samples"]["p50"] == 117


def test_percentiles():
    values = np.arange(101.0).tolist()
    assert percentiles(values) == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
    assert percentiles([]) == {"p50": None, "p90": None, "p99": None, "max": None}
