"""Logs of every kind in one normal form; damaged ones a clear line."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.errors import ConfigError, DataError
from training.inspector import lines
from training.inspector.adapters import find_log, read_log, read_patterns
from training.inspector.adapters.values import to_number
from training.inspector.log import MOST_TRACES
from training.inspector.names import canonical

LIGHTNING = """epoch,step,train_loss_step,train_loss_epoch,val_auroc,lr-Adam
0,9,0.9,,,0.001
0,19,0.85,,,0.001
0,19,,,0.61,
0,19,,0.88,,
1,29,0.7,,,0.001
1,39,,,0.66,
1,39,,0.72,,
"""


def values(log, name, trace=0):
    curve = log.traces[trace].curve(name)
    return list(zip(curve.epochs, curve.values, curve.lines, strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", "train/loss"),
        ("train_loss", "train/loss"),
        ("Train Loss", "train/loss"),
        ("train/loss", "train/loss"),
        ("loss/train", "train/loss"),
        ("val_auc", "val/auroc"),
        ("Validation ROC-AUC", "val/auroc"),
        ("valid_average_precision", "val/auprc"),
        ("train AUPR", "train/auprc"),
        ("generalisation/f1", "test/f1"),
        ("val/confusion/0/1", "val/confusion/0/1"),
        ("grad_norms/layers.head", "grad/layers.head"),
        ("grad_norm_encoder", "grad/encoder"),
        ("loss_terms/ce", "term/ce"),
        ("contrastive_loss", "contrastive_loss"),
        ("num_train", "num_train"),
        ("parameters", "num_parameters"),
        ("lr", "lr"),
    ],
)
def test_names(name, expected):
    assert canonical(name) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.5", 0.5), ("1e-3", 1e-3), ("145,534", 145534), ("13 065 814", 13065814), ("12 %", 0.12),
     ("-inf", -math.inf), ("0,5", None), ("1,23", None), ("", None), ("fast", None)],
)  # fmt: skip
def test_numbers(text, expected):
    assert to_number(text) == expected


def test_json_lines(write):
    rows = [
        {"event": "start", "classes": ["N", "V"], "num_train": 7, "note": "x"},
        {"event": "epoch", "epoch": 0, "stage": "float", "train_loss": 0.9, "val": {"auroc": 0.6}},
        {"event": "epoch", "epoch": 1, "stage": "float", "train_loss": 0.8, "drawing": "weighted"},
        {"event": "epoch", "epoch": 0, "stage": "qat", "train_loss": 0.7},
        {"event": "end"},
    ]
    log = read_log(write("train_log.jsonl", "\n".join(map(json.dumps, rows)) + "\n"))
    assert [trace.name for trace in log.traces] == ["stage float", "stage qat"]
    assert values(log, "train/loss") == [(0, 0.9, 2), (1, 0.8, 3)]
    assert values(log, "val/auroc") == [(0, 0.6, 2)]
    assert log.traces[0].words["drawing"] == {"weighted": 3}
    assert log.facts["classes"].value == ("N", "V")
    assert log.number("num_train")[0] == 7


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"NaN"', '"-Infinity"', "1e400"])
def test_non_finite_values_of_json(write, value):
    log = read_log(write("a.jsonl", f'{{"epoch": 1, "x": 1, "val": {{"f1": {value}}}}}\n'))
    assert log.nonfinite[0].name == "val/f1"
    assert str(log.nonfinite[0].source) == "a.jsonl:1"
    assert log.traces[0].curve("val/f1") is None


def test_a_diverged_event_is_seen(write):
    text = '{"epoch": 1, "loss": 1}\n{"event": "diverged", "epoch": 2, "train_loss": "NaN"}\n'
    log = read_log(write("a.jsonl", text))
    assert log.nonfinite[0].source.line == 2


def test_a_torn_last_line_is_noted(write):
    log = read_log(write("a.jsonl", '{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "lo'))
    assert log.num_epochs == 1
    assert log.notes == ("a.jsonl:2: torn last line, left out",)


def test_csv(write):
    log = read_log(write("a.csv", "epoch,loss,val auc,note\n1,0.5,0.61,a\n2,0.4,nan,b\n"))
    assert values(log, "train/loss") == [(1, 0.5, 2), (2, 0.4, 3)]
    assert values(log, "val/auroc") == [(1, 0.61, 2)]
    assert log.nonfinite[0].name == "val/auroc"


def test_csv_without_epochs_counts_rows(write):
    log = read_log(write("a.csv", 'loss,"a, b"\n0.5,1\n0.4,"2"\n'))
    assert values(log, "train/loss") == [(1, 0.5, 2), (2, 0.4, 3)]


def test_csv_with_folds(write):
    log = read_log(write("a.csv", "fold,epoch,loss\n1,1,3\n2,1,4\n1,2,2\n2,2,3\n"))
    assert [trace.name for trace in log.traces] == ["fold 1", "fold 2"]
    assert values(log, "train/loss", 1) == [(1, 4, 3), (2, 3, 5)]


def test_lightning_rows_of_an_epoch_are_merged(tmp_path, write):
    write("metrics.csv", LIGHTNING)
    log = read_log(find_log(tmp_path))
    assert values(log, "train/loss") == [(0, 0.88, 5), (1, 0.72, 8)]
    assert values(log, "val/auroc") == [(0, 0.61, 4), (1, 0.66, 7)]


def test_cross_validation_of_another_project(repository):
    folder = repository / "examples" / "inspector" / "cross_validation"
    patterns = folder / "patterns.toml"
    assert len(patterns.read_text(encoding="utf-8").splitlines()) <= 10
    log = read_log(folder / "cv.log", read_patterns(patterns))
    assert [trace.name for trace in log.traces] == ["fold 1", "fold 2"]
    assert values(log, "val/auprc", 1)[2] == (3, 0.419, 21)
    assert values(log, "train/auroc")[0] == (1, 0.612, 4)
    assert log.number("num_train")[0] == 5440


def test_epochs_that_start_again_are_another_part(write):
    log = read_log(write("a.csv", "epoch,loss\n1,9\n2,8\n1,7\n2,6\n"))
    assert [(trace.name, len(trace)) for trace in log.traces] == [("", 2), ("part 2", 2)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", "empty"),
        ("a.jsonl", "\n \n", "empty"),
        ("a.jsonl", '{"epoch": 1}\nnot json\n', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", "[1, 2]\n", "a.jsonl:1: list; a log line is one JSON object"),
        ("a.jsonl", '{"epoch": 1, "a"\n', "a.jsonl:1: not valid JSON"),
        ("a.jsonl", "\0\0\0\n", "a.jsonl:1: holds NUL bytes"),
        ("a.csv", "epoch,loss\n", "no epoch and no event"),
        ("a.csv", "epoch,loss\n1\n", "a.csv:2: 1 cells under a header of 2"),
        ("a.csv", "epoch,loss\n1,0.5\n2,high\n", "a.csv:3: 'high' in column 'loss'"),
        ("a.csv", "epoch,loss\nx,1\n", "a.csv:2: 'x' in column 'epoch'"),
        ("a.csv", "epoch,loss,loss\n1,2,3\n", "two columns are called 'loss'"),
        ("a.csv", "epoch,,x\n1,2,3\n", "a column without a name"),
        ("a.csv", "1,2\n3,4\n", "give a header"),
        ("a.csv", 'a,b\n1,"2\n', "not valid CSV"),
        ("a.log", "hello\n", "needs a pattern file"),
    ],
)
def test_damaged_logs(write, name, text, message):
    with pytest.raises(DataError, match=message):
        read_log(write(name, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1", "'a' is no text"),
        ("a = '('", "no regular expression"),
        ("a = 'x'", "no named group"),
        ("", "no pattern"),
        ("a =", "not valid TOML"),
    ],
)
def test_damaged_patterns(write, text, message):
    with pytest.raises(ConfigError, match=message):
        read_patterns(write("p.toml", text))


def test_patterns_that_match_nothing(write):
    patterns = read_patterns(write("p.toml", r"a = 'loss (?P<loss>\d+)'"))
    with pytest.raises(DataError, match="none of the 1 patterns"):
        read_log(write("a.log", "hello\n"), patterns)


def test_which_file_is_the_log(tmp_path, write):
    with pytest.raises(DataError, match="no such run directory"):
        find_log(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no log"):
        find_log(tmp_path)
    write("b.csv", "a\n1\n")
    assert find_log(tmp_path).name == "b.csv"
    write("c.log", "")
    with pytest.raises(DataError, match="several files could be the log"):
        find_log(tmp_path)
    write("train_log.jsonl", "")
    assert find_log(tmp_path).name == "train_log.jsonl"


def test_a_line_without_end_is_refused(write, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    with pytest.raises(DataError, match="line of more than 1000 bytes"):
        read_log(write("a.jsonl", '{"x": "' + "y" * 2000))


def test_too_many_traces_are_refused(write):
    rows = "\n".join(f"{epoch},0.5" for epoch in range(MOST_TRACES + 1, 0, -1))
    with pytest.raises(DataError, match="more than 1000 traces"):
        read_log(write("a.csv", f"epoch,loss\n{rows}\n"))


def test_too_many_numbers_are_refused(write, monkeypatch):
    monkeypatch.setattr("training.inspector.log.MOST_VALUES", 10)
    rows = "\n".join(f"{epoch},0.5" for epoch in range(12))
    with pytest.raises(DataError, match="more than 10 numbers"):
        read_log(write("a.csv", f"epoch,loss\n{rows}\n"))


@given(cut=st.integers(0, 400), data=st.data())
def test_a_log_cut_anywhere_is_read_or_refused_in_one_line(tmp_path_factory, cut, data):
    whole = "".join(
        json.dumps({"epoch": i, "train_loss": 1 / (i + 1), "val": {"auroc": 0.6}}) + "\n"
        for i in range(6)
    ).encode()
    damaged = bytearray(whole[:cut])
    if damaged and data.draw(st.booleans()):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    path.write_bytes(bytes(damaged))
    message = ""
    try:
        assert read_log(path).num_epochs <= 6
    except DataError as error:
        message = str(error)
    assert "\n" not in message
