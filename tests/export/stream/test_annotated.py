"""Matching and confusion, against cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from export.stream.annotated import annotated_beats, confusion, match, scoring_from
from export.stream.beat import Fault, StreamedBeat

SYMBOLS = {"N": 0, "V": 1}
CLASSES = ("normal", "ventricular")


def beats(*labels):
    return [
        StreamedBeat(
            sample=0, known_at=0, decided_at=0, label=x, fault=Fault.GAP if x is None else None
        )
        for x in labels
    ]


@pytest.fixture
def annotated():
    """N 1000, V 1300, a rhythm change, N 1600, paced 1900, flutter 2500..3000, N 4000."""
    samples = np.array([1000, 1300, 1400, 1600, 1900, 2500, 2600, 3000, 4000])
    return annotated_beats(samples, np.array(list("NV+N/[N]N")))


def test_only_beats_are_kept_and_flutter_is_not_scored(annotated):
    assert annotated.samples.tolist() == [1000, 1300, 1600, 1900, 2600, 4000]
    assert annotated.excluded.tolist() == [[2500, 3000]]


def test_flutter_that_is_never_closed_lasts_to_the_end():
    left = annotated_beats(np.array([100, 200, 900]), np.array(list("N[N")))
    assert match(left, [100]).score().num_missed == 0


def test_counts(annotated):
    # 1000 found 20 late, 1300 missed, 1450 extra, 1600 and 1900 found, 2700 in flutter, 4000 found
    # 60 late: too late.
    score = match(annotated, [1020, 1450, 1600, 1899, 2700, 4060]).score()
    assert (score.num_matched, score.num_missed, score.num_extra) == (3, 2, 2)
    assert score.sensitivity == pytest.approx(3 / 5)
    assert score.ppv == pytest.approx(3 / 5)


def test_one_detected_beat_matches_one_annotation():
    two = annotated_beats(np.array([1000, 1050]), np.array(["N", "N"]))
    score = match(two, [1040]).score()
    assert (score.num_matched, score.num_missed, score.num_extra) == (1, 1, 0)


def test_shares_without_beats():
    empty = annotated_beats(np.array([], dtype=int), np.array([], dtype=str))
    score = match(empty, []).score()
    assert score.sensitivity is None
    assert score.ppv is None


def test_confusion_counts_missed_extra_and_unclassified(annotated):
    detected = [1000, 1450, 1600, 1900, 2700, 4000]
    table = confusion(
        annotated, match(annotated, detected), beats(1, 0, 0, 1, 0, None), CLASSES, SYMBOLS
    )
    assert table == {
        "normal": {"normal": 1, "ventricular": 1, "unclassified": 1, "missed": 0},
        "ventricular": {"normal": 0, "ventricular": 0, "unclassified": 0, "missed": 1},
        "extra": {"normal": 1, "ventricular": 0, "unclassified": 0},
    }


def test_the_learning_period_is_left_out(annotated):
    later = scoring_from(annotated, 1500 / 360)
    score = match(later, [1000, 1200, 1600, 1900, 4000]).score()
    assert (score.num_matched, score.num_missed, score.num_extra) == (3, 0, 0)
