"""One decision rule: from logits and from saved probabilities alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from photonic.decision import Decision, softmax
from photonic.errors import ConfigError

LOGITS = arrays(np.float64, (7, 3), elements=st.floats(-20, 20))


@given(LOGITS)
def test_softmax_is_a_distribution_and_ignores_a_shift(logits):
    assert np.allclose(softmax(logits).sum(-1), 1.0)
    assert np.allclose(softmax(logits + 1000.0), softmax(logits))


@given(LOGITS, st.floats(0, 1))
def test_threshold_decides_alike_from_logits_and_probabilities(logits, threshold):
    rule = Decision(kind="threshold", classes=("N", "A"), threshold=threshold)
    pair = logits[:, :2]
    expected = softmax(pair)[:, 1] >= threshold
    assert np.array_equal(rule(pair), expected)
    assert np.array_equal(rule.from_probabilities(softmax(pair)), expected)


SCORES = st.floats(-20, 20, width=32)
NOT_FINITE = st.sampled_from([1.0, np.inf, -np.inf, np.nan])


@given(st.lists(SCORES, min_size=2, max_size=2), st.floats(0, 1))
def test_one_sample_against_a_threshold_is_decided_as_in_a_batch(logits, threshold):
    rule = Decision(kind="threshold", classes=("N", "A"), threshold=threshold)
    assert rule.of_one(logits) == rule(np.array([logits]))[0]
    # At its own probability a sample is just over the threshold, and a little above it is not.
    at = Decision(kind="threshold", classes=("N", "A"), threshold=float(softmax(logits)[1]))
    assert at.of_one(logits) == at(np.array([logits]))[0] == 1


@given(
    st.lists(SCORES, min_size=4, max_size=4),
    st.one_of(st.just(()), st.tuples(*[st.floats(-2, 2)] * 4)),
)
def test_one_sample_by_argmax_is_decided_as_in_a_batch(logits, offsets):
    rule = Decision(kind="argmax", classes=("N", "S", "V", "O"), offsets=offsets)
    assert rule.of_one(logits) == rule(np.array([logits]))[0]


@given(st.lists(NOT_FINITE, min_size=2, max_size=2))
def test_what_is_not_finite_is_decided_as_in_a_batch(logits):
    for rule in (
        Decision(kind="threshold", classes=("N", "A"), threshold=0.3),
        Decision(kind="argmax", classes=("N", "A"), offsets=(0.1, 0.0)),
    ):
        with np.errstate(invalid="ignore"):
            assert rule.of_one(logits) == rule(np.array([logits]))[0]


def test_offsets_move_the_decision():
    logits = np.array([[1.0, 0.8, 0.0]])
    assert Decision(kind="argmax", classes=("N", "S", "V"))(logits) == 0
    moved = Decision(kind="argmax", classes=("N", "S", "V"), offsets=(0.0, 0.5, 0.0))
    assert moved(logits) == 1
    assert moved.from_probabilities(softmax(logits)) == 1


@pytest.mark.parametrize(
    "rule",
    [
        Decision(kind="threshold", classes=("N", "A"), threshold=0.8),
        Decision(kind="argmax", classes=("N", "S", "V"), offsets=(0.0, 1.0, -0.5)),
    ],
)
def test_round_trip(rule):
    assert Decision.from_dict(rule.to_dict()) == rule


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "threshold", "classes": ["N", "A"], "threshold": 1.5}, r"must lie in \[0, 1\]"),
        ({"kind": "threshold", "classes": ["N", "S", "V"], "threshold": 0.5}, "2 classes"),
        ({"kind": "argmax", "classes": ["N", "S"], "offsets": [1.0]}, "1 offsets for 2"),
        ({"kind": "vote", "classes": ["N", "S"]}, "threshold or argmax"),
        ({"kind": "argmax"}, "classes"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        Decision.from_dict(data)
