from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from photonic.cli.output import print_json, print_table, progress, to_jsonable, track


@dataclass
class Verdict:
    passed: bool
    worst: float


class Point(BaseModel):
    value: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        (math.nan, None),
        (-math.inf, None),
        (np.float64("inf"), None),
        (Path("runs") / "a", "runs/a"),
        ({1: (2, None)}, {"1": [2, None]}),
        (Verdict(True, math.nan), {"passed": True, "worst": None}),
        (Point(value=2.0), {"value": 2.0}),
    ],
)
def test_values_become_plain_json(value, expected):
    result = to_jsonable(value)
    assert result == expected
    assert type(result) is type(expected)


def test_a_value_without_a_json_form_is_an_error():
    with pytest.raises(TypeError, match="no JSON form for object"):
        to_jsonable({"a": object()})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(json_values)
def test_what_is_json_already_stays_as_it_is(value):
    assert json.loads(json.dumps(to_jsonable(value), allow_nan=False)) == value


def test_json_is_printed_as_one_document(capsys):
    print_json({"f1": math.nan, "name": "é"})
    assert json.loads(capsys.readouterr().out) == {"f1": None, "name": "é"}


def test_a_table_without_a_terminal_keeps_long_rows_on_one_line(capsys):
    print_table(
        ["record", "f1", "beats"],
        [["a" * 120, np.float32(0.123456), np.int64(7)], ["[b]", None, 12]],
        title="per record",
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "per record"
    (row,) = [line for line in lines if "a" * 120 in line]
    assert row.split()[1:] == ["0.1235", "7"]
    assert any(line.split() == ["[b]", "–", "12"] for line in lines)


def test_progress_is_silent_without_a_terminal(capsys):
    with progress("beats", total=2) as advance:
        advance(1)
    assert list(track(iter("ab"), "letters")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_progress_shows_on_a_terminal_and_only_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert list(track([1, 2], "letters")) == [1, 2]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "letters" in printed.err
