from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.decision import Decision
from photonic.errors import DataError
from training.metrics import confusion_matrix, multiclass_metrics
from training.offsets import GRID, _confusions, fit_logit_offsets

NAMES = ("N", "S", "V", "O")


def samples(seed: int, num: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities of a model that prefers the common class, and the true classes."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, num, p=[0.8, 0.08, 0.08, 0.04])
    logits = rng.normal(0.0, 1.0, (num, 4)) + 1.5 * np.eye(4)[labels] + [2.0, 0.0, 0.5, -1.0]
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), labels


@given(st.integers(0, 200), st.integers(0, 3))
def test_all_shifts_at_once_equal_one_after_the_other(seed, index):
    probabilities, labels = samples(seed, 30)
    # Round numbers make ties between classes, which argmax gives to the lower index.
    logits = np.round(np.log(probabilities))
    shifts = np.arange(-3.0, 3.5, 0.5)
    together = _confusions(logits, labels, index, shifts)
    for matrix, shift in zip(together, shifts, strict=True):
        moved = logits + shift * np.eye(4)[index]
        np.testing.assert_array_equal(matrix, confusion_matrix(labels, moved.argmax(axis=1), 4))


@given(st.integers(0, 50), st.sampled_from(["macro_f1", "selection"]))
def test_offsets_never_lower_the_score_they_are_fitted_to(seed, objective):
    probabilities, labels = samples(seed)
    offsets = fit_logit_offsets(probabilities, labels, objective=objective)
    assert offsets[0] == 0.0

    def score(decision: Decision) -> float:
        called = decision.from_probabilities(probabilities)
        figures = multiclass_metrics(confusion_matrix(labels, called, 4), NAMES)
        if objective == "macro_f1":
            return figures.macro_f1
        return (
            0.2 * figures.macro_f1
            + 0.3 * (figures.abnormal_f1 or 0.0)
            + 0.5 * (figures.rare_f1 or 0.0)
        )

    plain = Decision(kind="argmax", classes=NAMES)
    shifted = Decision(kind="argmax", classes=NAMES, offsets=tuple(offsets.tolist()))
    assert score(shifted) >= score(plain) - 1e-12


def test_a_held_back_class_is_lifted():
    probabilities, labels = samples(7, 4_000)
    offsets = fit_logit_offsets(probabilities, labels)
    assert offsets[1] > 0.0
    assert np.isin(offsets[1:], GRID).all()


def test_bad_input_is_one_clear_line():
    with pytest.raises(DataError, match="expected"):
        fit_logit_offsets(np.ones((0, 4)), [])
    with pytest.raises(DataError, match="not finite"):
        fit_logit_offsets([[np.nan, 1.0]], [0])
