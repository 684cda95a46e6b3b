"""Matching by hand, and the laws of it; times are samples at 360 Hz, the window is 54."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.ec57.hand import START, compared, marks
from training.data.labels import label_map
from training.data.records import Annotations
from training.ec57 import BeatMarks, beat_marks, match

EC57 = label_map("aami-5")


@pytest.mark.parametrize(
    ("reference", "test", "expected"),
    [
        ("N1000 N1300 V1500", "N1000 V1300 V1500", {"Nn": 1, "Nv": 1, "Vv": 1}),
        ("N1000", "N1054", {"Nn": 1}),
        ("N1000", "N1055", {"No": 1, "On": 1}),
        ("V1054", "N1000", {"Vn": 1}),
        ("V1055", "N1000", {"Vo": 1, "On": 1}),
        # Of two candidates the nearer one, whichever comes first.
        ("N1000", "S990 V1030", {"Ns": 1, "Ov": 1}),
        ("N1000", "S970 V1010", {"Nv": 1, "Os": 1}),
        ("N1000 V1040", "F1030", {"No": 1, "Vf": 1}),
        ("N1000 V1040", "F1010", {"Nf": 1, "Vo": 1}),
        # Two beats within a window each: bxb's example for its rule of 24 November 2002.
        ("N1096 V1160", "N1128 V1185", {"Nn": 1, "Vv": 1}),
        ("N1128 V1185", "N1096 V1160", {"Nn": 1, "Vv": 1}),
        ("N1000 N1300", "", {"No": 2}),
        ("", "V1000 V1300", {"Ov": 2}),
        ("", "", {}),
    ],
)
def test_beats_match_within_150_ms_of_the_best_partner(reference, test, expected):
    assert compared(marks(reference), marks(test)) == expected


def test_the_first_five_minutes_are_not_scored():
    assert compared(marks("N-400 V1000"), marks("V-400 V1000")) == {"Vv": 1}


def test_beats_at_the_end_of_the_learning_period_belong_to_one_side_of_it():
    # The last test beat before it is the first reference beat after it.
    assert compared(marks("V20 N1000"), marks("V-10 N1000")) == {"Vv": 1, "Nn": 1}
    # The first test beat after it is a reference beat before it: neither right nor extra.
    assert compared(marks("N-5 N400"), marks("N10 N400")) == {"Nn": 1}
    # Not so when it is too far from the end to belong there.
    assert compared(marks("N-5 N400"), marks("N60 N400")) == {"Nn": 1, "On": 1}


def test_nothing_after_the_end_of_the_record_is_scored():
    late = marks("N1000 V2000")
    assert compared(late, marks("N1000"), num_samples=1500) == {"Nn": 1}


def test_test_beats_in_flutter_are_not_counted():
    flutter = ((1200, 3000),)
    reference = marks("N1000 N3200", flutter=flutter)
    assert compared(reference, marks("N1000 V1500 V2500 N3200")) == {"Nn": 2}
    assert compared(marks("N1000 N3200"), marks("N1000 V1500 N3200")) == {"Nn": 2, "Ov": 1}


def test_shutdowns_have_a_row_and_a_column_of_their_own():
    stretch = ((1200, 3000),)
    beats, sparse = marks("N1000 V2000 N3200"), marks("N1000 N3200")
    assert compared(beats, marks("N1000 N3200", shutdown=stretch)) == {"Nn": 2, "Vx": 1}
    assert compared(marks("N1000 N3200", shutdown=stretch), beats) == {"Nn": 2, "Xv": 1}
    assert compared(beats, sparse) == {"Nn": 2, "Vo": 1}


def annotated(*marked: tuple[int, str, int]) -> Annotations:
    samples, symbols, subtypes = zip(*marked, strict=True)
    return Annotations(
        samples=np.array(samples), symbols=np.array(symbols), subtypes=np.array(subtypes)
    )


def test_classes_flutter_and_shutdown_are_read_from_annotations():
    found = beat_marks(
        annotated(
            (10, "+", 0),
            (100, "L", 0),
            (200, "A", 0),
            (300, "[", 0),
            (350, "V", 0),
            (360, "!", 0),
            (370, "~", 0x33),
            (400, "]", 0),
            (500, "E", 0),
            (600, "~", 0x33),
            (700, "~", 0x01),
            (800, "/", 0),
            (900, "~", -1),
        ),
        EC57,
        "a",
    )
    assert found.samples.tolist() == [100, 200, 500, 800]
    assert found.classes.tolist() == [0, 1, 2, 4]
    assert found.flutter.tolist() == [[300, 400]]
    assert found.shutdown[0].tolist() == [600, 700]
    assert found.shutdown[1, 0] == 900
    assert found.shutdown[1, 1] > 10**15  # it never ends
    assert len(found.shutdown) == 2  # the one inside the flutter does not count


def test_a_single_mark_of_the_aha_database_is_a_shutdown_up_to_its_neighbours():
    found = beat_marks(
        annotated(
            (1000, "N", 0), (1500, "~", 0x30), (2000, "N", 0), (2020, "~", 0x30), (2060, "N", 0)
        ),
        EC57,
        "a",
    )
    assert found.shutdown.tolist() == [[1054, 1946], [2006, 2006]]


def test_flutter_that_never_ends_lasts_to_the_end():
    found = beat_marks(annotated((100, "N", 0), (200, "[", 0), (300, "V", 0)), EC57, "a")
    assert found.samples.tolist() == [100]
    assert found.flutter[0, 1] > 10**15


def random_beats(times: list[int], letters: list[int]) -> BeatMarks:
    samples = START + 200 + np.cumsum(np.array([0, *times[1:]], dtype=np.int64))
    classes = np.resize(np.array(letters, dtype=np.int64), len(samples))
    return BeatMarks.of_beats(samples[: len(times)], classes[: len(times)])


BEATS = st.builds(
    random_beats,
    st.lists(st.integers(1, 150), max_size=30),
    st.lists(st.integers(0, 4), min_size=1),
)


@given(BEATS, BEATS)
def test_every_beat_is_counted_once_and_the_roles_are_interchangeable(one, other):
    counts = match(one, other, num_samples=10**6)
    beats = [np.bincount(m.classes, minlength=5) for m in (one, other)]
    assert np.array_equal(counts[:5].sum(axis=1), beats[0])
    assert np.array_equal(counts[:, :5].sum(axis=0), beats[1])
    assert np.array_equal(counts.T, match(other, one, num_samples=10**6))


@given(BEATS)
def test_annotations_match_themselves(one):
    counts = match(one, one, num_samples=10**6)
    assert np.array_equal(np.diag(counts)[:5], np.bincount(one.classes, minlength=5))
    assert counts.sum() == len(one.samples)


def test_beats_may_be_given_in_any_order():
    beats = BeatMarks.of_beats(np.array([30, 10, 20]), np.array([2, 0, 1]))
    assert (beats.samples.tolist(), beats.classes.tolist()) == ([10, 20, 30], [0, 1, 2])
