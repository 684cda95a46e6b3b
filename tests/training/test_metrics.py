from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from photonic.errors import DataError
from training.metrics import (
    auprc,
    auroc,
    binary_metrics,
    class_f1,
    confusion_matrix,
    multiclass_metrics,
)
from training.metrics_multilabel import (
    brier_score,
    expected_calibration_error,
    multilabel_metrics,
)

# Few distinct scores, so that ties are the rule.
SCORED = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)
CLASSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)
NAMES = ("N", "S", "V", "O")


def split(pairs: list) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = zip(*pairs, strict=True)
    return np.array(scores) / 8.0, np.array(labels, dtype=int)


@settings(max_examples=40)
@given(SCORED, st.floats(0.0, 1.0))
def test_binary_figures_are_those_of_scikit_learn(pairs, threshold):
    scores, labels = split(pairs)
    ours = binary_metrics(scores, labels, threshold)
    called = scores >= threshold
    assert ours.f1 == pytest.approx(reference.f1_score(labels, called, zero_division=0.0))
    assert ours.sensitivity == pytest.approx(reference.recall_score(labels, called))
    assert ours.accuracy == pytest.approx(reference.accuracy_score(labels, called))
    assert ours.auroc == pytest.approx(reference.roc_auc_score(labels, scores))
    assert ours.auprc == pytest.approx(reference.average_precision_score(labels, scores))
    tn, fp, fn, tp = reference.confusion_matrix(labels, called).ravel()
    assert ours.miss == pytest.approx(fn / (fn + tp))
    assert ours.fpr == pytest.approx(fp / (fp + tn))
    assert (ours.ppv is None) == (tp + fp == 0)


def test_the_decision_is_at_or_above_the_threshold():
    figures = binary_metrics([0.5, 0.5], [1, 0], 0.5)
    assert (figures.miss, figures.fpr) == (0.0, 1.0)


def test_what_one_class_alone_cannot_tell_is_none():
    only_normal = binary_metrics([0.1, 0.9], [0, 0])
    assert only_normal.fpr == 0.5
    for name in ("f1", "miss", "sensitivity", "auroc", "auprc"):
        assert getattr(only_normal, name) is None
    only_abnormal = binary_metrics([0.1, 0.9], [1, 1])
    assert only_abnormal.miss == 0.5
    assert only_abnormal.fpr is None
    assert only_abnormal.auroc is None
    json.dumps(asdict(only_normal), allow_nan=False)


@settings(max_examples=40)
@given(CLASSES)
def test_confusion_and_macro_figures_are_those_of_scikit_learn(pairs):
    labels, called = (np.array(column) for column in zip(*pairs, strict=True))
    matrix = confusion_matrix(labels, called, 4)
    np.testing.assert_array_equal(
        matrix, reference.confusion_matrix(labels, called, labels=range(4))
    )
    ours = multiclass_metrics(matrix, NAMES)
    present = np.unique(labels)
    theirs = reference.f1_score(labels, called, labels=present, average="macro", zero_division=0)
    assert ours.macro_f1 == pytest.approx(theirs)
    for index, figures in enumerate(ours.per_class):
        assert figures.support == (labels == index).sum()
        assert (figures.f1 is None) == (index not in present)
        assert (figures.sensitivity is None) == (index not in present)
    means = ((ours.rare_f1, (1, 2)), (ours.abnormal_f1, (1, 2, 3)))
    for mean, members in means:
        known = [ours.per_class[i].f1 for i in members if i in present]
        assert mean == (pytest.approx(np.mean(known)) if known else None)
    json.dumps(asdict(ours), allow_nan=False)


def test_an_absent_class_that_is_predicted_is_still_unknown():
    figures = multiclass_metrics([[5, 3, 0], [0, 0, 0], [0, 0, 2]], NAMES[:3])
    absent = figures.per_class[1]
    assert (absent.f1, absent.ppv, absent.support, absent.predicted) == (None, None, 0, 3)
    assert figures.rare_f1 == 1.0


def test_a_population_of_predictions_is_counted_at_once():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    called = rng.integers(0, 4, (2, 3, 200))
    together = confusion_matrix(labels, called, 4)
    assert together.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(together[1, 2], confusion_matrix(labels, called[1, 2], 4))
    assert class_f1(together).shape == (2, 3, 4)


@pytest.mark.parametrize("function", [binary_metrics, auroc, auprc])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([], [], "same length ≥ 1"),
        ([0.5], [0, 1], "same length ≥ 1"),
        ([[0.5]], [[1]], "same length ≥ 1"),
        ([0.5, np.nan, np.nan], [0, 1, 1], "2 of 3 probabilities are not finite .first at index 1"),
        ([0.5, 0.5], [0, 2], "other than 0 and 1"),
    ],
)
def test_bad_binary_input_is_one_clear_line(function, scores, labels, message):
    with pytest.raises(DataError, match=message):
        function(scores, labels)


@pytest.mark.parametrize(
    ("labels", "called", "message"),
    [
        ([], [], "at least one sample"),
        ([0, 1], [0], "expected"),
        ([0, 4], [0, 1], "labels reach from 0 to 4"),
        ([0, 1], [-1, 1], "predictions reach from -1 to 1"),
    ],
)
def test_bad_class_input_is_one_clear_line(labels, called, message):
    with pytest.raises(DataError, match=message):
        confusion_matrix(labels, called, 4)
    with pytest.raises(DataError, match=r"for 4 classes: expected \(4, 4\)"):
        multiclass_metrics(np.zeros((3, 3)), NAMES)
    with pytest.raises(DataError, match="at least one sample"):
        multiclass_metrics(np.zeros((4, 4)), NAMES)


def calibrated(num: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    scores = rng.beta(1.0, 8.0, (num, 2))
    return scores, (rng.random((num, 2)) < scores).astype(int)


def test_multilabel_figures_are_those_of_scikit_learn():
    scores, labels = calibrated(2_000)
    cuts = np.array([0.2, 0.3])
    ours = multilabel_metrics(scores, labels, cuts, ("a", "b"))
    called = scores >= cuts
    assert ours.macro_f1 == pytest.approx(reference.f1_score(labels, called, average="macro"))
    assert ours.macro_recall == pytest.approx(
        reference.recall_score(labels, called, average="macro")
    )
    assert ours.roc_auc == pytest.approx(reference.roc_auc_score(labels, scores))
    expected = [reference.brier_score_loss(labels[:, i], scores[:, i]) for i in range(2)]
    assert ours.brier == pytest.approx(np.mean(expected))
    assert ours.per_label[1].predicted == called[:, 1].sum()
    json.dumps(asdict(ours), allow_nan=False)


def test_calibration_error_by_hand():
    scores = np.array([[0.05], [0.05], [0.95], [0.95]])
    labels = np.array([[0], [1], [1], [1]])
    # Bin 0: confidence .05, half positive; last bin: .95, all positive.
    expected = 0.5 * abs(0.05 - 0.5) + 0.5 * abs(0.95 - 1.0)
    np.testing.assert_allclose(expected_calibration_error(scores, labels), [expected])
    np.testing.assert_allclose(brier_score(scores, labels), [(0.05**2 * 3 + 0.95**2) / 4])


def test_calibration_error_sees_miscalibration_and_accepts_certainty():
    scores, labels = calibrated()
    assert expected_calibration_error(scores, labels).max() < 0.01
    inflated = np.minimum(1.0, 3.0 * scores)
    assert expected_calibration_error(inflated, labels).min() > 0.1
    certain = labels.astype(float)
    np.testing.assert_array_equal(expected_calibration_error(certain, labels), [0.0, 0.0])


def test_a_label_without_positives_is_left_out_of_the_macro_figures():
    scores, labels = calibrated(500)
    labels[:, 1] = 0
    ours = multilabel_metrics(scores, labels, 0.5, ("a", "b"))
    empty = ours.per_label[1]
    assert (empty.f1, empty.recall, empty.auroc, empty.support) == (None, None, None, 0)
    assert ours.macro_f1 == ours.per_label[0].f1


def test_bad_multilabel_input_is_one_clear_line():
    with pytest.raises(DataError, match="one name per label"):
        multilabel_metrics(np.ones((3, 2)), np.ones((3, 2)), 0.5, ("a",))
    with pytest.raises(DataError, match="expected"):
        multilabel_metrics(np.ones((3, 1)), np.ones((3, 2)), 0.5, ("a", "b"))
    scores = np.full((3, 2), 0.5)
    scores[2, 1] = np.inf
    with pytest.raises(DataError, match="first at index 2, 1"):
        multilabel_metrics(scores, np.ones((3, 2)), 0.5, ("a", "b"))
