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
