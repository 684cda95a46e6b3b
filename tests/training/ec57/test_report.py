from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from tests.training.ec57.hand import matrix
from training.ec57 import FIGURES, Ec57Report

MANY = matrix(Nn=900, Vv=90, Vn=10, Ss=4, Sn=4)
FEW = matrix(Nn=90, Vv=1, Vo=1, Ov=1)
NONE = matrix(Nn=50, On=2)
AAMI = {"N": "N", "S": "S", "V": "V", "O": "Q"}


def report(*counts: np.ndarray, events: tuple[str, ...] = tuple(FIGURES)) -> Ec57Report:
    names = tuple(str(100 + number) for number in range(len(counts)))
    return Ec57Report(
        records=names,
        counts=np.stack(counts),
        events=events,
        called=AAMI,
        excluded=("102",),
        notes=("a note",),
    )


def test_gross_counts_beats_and_average_counts_records():
    made = report(MANY, FEW, NONE)
    assert made.gross["veb"]["sensitivity"] == pytest.approx(91 / 102)
    assert made.average["veb"]["sensitivity"] == pytest.approx((0.9 + 0.5) / 2)
    assert made.gross["veb"]["ppv"] == pytest.approx(91 / 92)
    assert made.average["veb"]["ppv"] == pytest.approx((1.0 + 0.5) / 2)
    # One record holds S: the average says over how many it is.
    assert made.average["sveb"]["sensitivity"] == made.gross["sveb"]["sensitivity"] == 0.5
    assert made.to_dict()["average"]["num_records"]["sveb"]["sensitivity"] == 1
    assert made.to_dict()["average"]["num_records"]["qrs"]["ppv"] == 3


def test_a_class_that_no_record_holds_is_absent_not_zero():
    made = report(FEW, NONE)
    assert made.gross["sveb"]["sensitivity"] is None
    assert made.average["sveb"]["sensitivity"] is None
    assert made.intervals["sveb"]["sensitivity"] is None
    assert made.per_record[1]["veb"]["sensitivity"] is None


def test_json_holds_everything_and_is_plain():
    document = json.loads(json.dumps(report(MANY, FEW).to_dict(), allow_nan=False))
    assert document["scored_from_s"] == 300
    assert document["match_window_s"] == 0.15
    assert document["called"] == AAMI
    assert document["excluded_paced"] == ["102"]
    assert document["per_record"][0]["counts"]["Vn"] == 10
    assert document["gross"]["counts"]["Nn"] == 990
    assert document["gross"]["called_abnormal"]["V"] == pytest.approx(91 / 102)
    assert document["notes"] == ["a note"]
    low, high = document["gross"]["intervals"]["veb"]["sensitivity"]
    assert low <= document["gross"]["veb"]["sensitivity"] <= high


def test_csv_has_a_line_per_record_then_gross_then_average():
    rows = list(csv.DictReader(io.StringIO(report(MANY, FEW).to_csv())))
    assert [row["record"] for row in rows] == ["100", "101", "gross", "average"]
    assert float(rows[0]["veb_sensitivity"]) == 0.9
    assert rows[1]["sveb_sensitivity"] == ""
    assert (rows[2]["Nn"], rows[3]["Nn"]) == ("990", "")
    assert len(rows[0]) == 1 + sum(map(len, FIGURES.values())) + 45


def test_the_table_is_in_percent_with_missed_and_extra_beats():
    headings, rows = report(MANY, FEW).table()
    assert headings[:5] == ["record", "beats", "missed", "extra", "QRS Se %"]
    assert rows[1][:4] == ["101", 92, 1, 1]
    assert rows[-2][:4] == ["gross", 1100, 1, 1]
    assert rows[-1][:4] == ["average", None, None, None]
    assert rows[0][headings.index("V Se %")] == pytest.approx(90.0)


def test_events_that_the_classes_cannot_tell_are_left_out():
    made = report(MANY, FEW, events=("qrs", "abnormal"))
    assert set(made.gross) == {"qrs", "abnormal"}
    assert "veb_sensitivity" not in made.to_csv()
    assert not any("V" in heading for heading in made.table()[0])


def test_one_record_has_no_interval():
    made = report(MANY)
    assert made.intervals["qrs"]["sensitivity"] is None
    assert made.average["veb"] == made.gross["veb"]


def test_intervals_are_those_of_the_seed():
    many = [MANY, FEW, NONE, FEW + MANY, MANY + matrix(Vn=30)]
    one, same = report(*many), report(*many)
    assert one.intervals == same.intervals
    low, high = one.intervals["veb"]["sensitivity"] or (0, 0)
    assert 0 < low < high < 1
