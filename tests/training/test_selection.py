from __future__ import annotations

import numpy as np
import pytest

from photonic.decision import Decision, softmax
from photonic.errors import DataError
from training.evaluate import cross_entropy, figures, report
from training.metrics import binary_metrics, confusion_matrix, multiclass_metrics
from training.metrics_multilabel import multilabel_metrics
from training.options import SelectionOptions
from training.selection import (
    binary_score,
    four_class_score,
    kd_checkpoint_score,
    rare_term,
    selection_score,
)

NAMES = ("N", "S", "V", "O")
BINARY = binary_metrics([0.9, 0.2, 0.8, 0.1, 0.3], [1, 1, 0, 0, 0], 0.5)
FOUR = multiclass_metrics([[90, 5, 3, 2], [4, 6, 0, 0], [1, 0, 9, 0], [2, 0, 0, 2]], NAMES)


def test_binary_score_by_hand():
    # One of two found, one of three false: F1 = 1/2, sensitivity 1/2, FPR 1/3.
    assert binary_score(BINARY) == pytest.approx(0.5 + 0.5 - 0.5 / 3)
    assert kd_checkpoint_score(BINARY) == pytest.approx(0.5 + 0.35 / 3)


def test_four_class_score_by_hand():
    f1 = [2 * 90 / (100 + 97), 2 * 6 / (10 + 11), 2 * 9 / (10 + 12), 2 * 2 / (4 + 4)]
    expected = 0.2 * np.mean(f1) + 0.3 * np.mean(f1[1:]) + 0.5 * np.mean(f1[1:3])
    assert four_class_score(FOUR) == pytest.approx(expected)


def test_a_dead_rare_class_zeroes_the_rare_term_but_an_absent_one_does_not():
    dead = multiclass_metrics([[90, 0, 0, 0], [10, 0, 0, 0], [1, 0, 9, 0], [0, 0, 0, 4]], NAMES)
    assert (dead.rare_f1 or 0.0) > 0.4
    assert rare_term(dead) == 0.0
    absent = multiclass_metrics([[90, 0, 0, 0], [0, 0, 0, 0], [1, 0, 9, 0], [0, 0, 0, 4]], NAMES)
    assert rare_term(absent) == absent.per_class[2].f1


@pytest.mark.parametrize("metric", ["macro_f1", "macro_recall", "roc_auc"])
def test_a_multilabel_figure_chosen_by_name(metric):
    rng = np.random.default_rng(0)
    labels = (rng.random((200, 3)) < 0.3).astype(int)
    figures = multilabel_metrics(
        np.clip(0.3 * labels + 0.6 * rng.random((200, 3)), 0.0, 1.0), labels, 0.4, ("a", "b", "c")
    )
    options = SelectionOptions(early_stop_metric=metric)
    assert selection_score(figures, options) == getattr(figures, metric)
    plain = SelectionOptions()
    assert selection_score(figures, plain) == figures.macro_f1


@pytest.mark.parametrize("metric", ["score", "macro_f1", "macro_recall", "roc_auc", "loss"])
@pytest.mark.parametrize("classes", [("normal", "abnormal"), NAMES])
def test_every_metric_chooses_in_every_single_label_task(metric, classes):
    rng = np.random.default_rng(1)
    label = np.arange(400) % len(classes)
    good = 3.0 * np.eye(len(classes))[label] + rng.standard_normal((400, len(classes)))
    kind, threshold = ("threshold", 0.5) if len(classes) == 2 else ("argmax", None)
    decision = Decision(kind=kind, classes=classes, threshold=threshold)
    options = SelectionOptions(early_stop_metric=metric)
    better, worse = (
        selection_score(figures(decision, x, label), options, loss=cross_entropy(x, label)[0])
        for x in (good, 0.1 * good + rng.standard_normal(good.shape))
    )
    assert better > worse
    if metric == "macro_f1":
        assert better == pytest.approx(report(decision, softmax(good), label)["macro_f1"])
    if metric == "macro_recall":
        matrix = confusion_matrix(label, decision(good), len(classes))
        assert better == pytest.approx(np.mean(np.diag(matrix) / matrix.sum(1)))


def test_a_blend_takes_the_loss_of_each_side():
    options = SelectionOptions(
        early_stop_metric="loss",
        use_generalization_score=True,
        generalization_score_weight=0.25,
    )
    score = selection_score(FOUR, options, loss=0.4, unseen=FOUR, unseen_loss=2.0)
    assert score == pytest.approx(-(0.75 * 0.4 + 0.25 * 2.0))


def test_a_lower_loss_scores_higher():
    options = SelectionOptions(early_stop_metric="loss")
    low, high = (selection_score(FOUR, options, loss=loss) for loss in (0.3, 0.4))
    assert low > high


def test_unseen_records_are_blended_only_on_request():
    better = binary_metrics([0.9, 0.1], [1, 0], 0.5)
    assert selection_score(BINARY, SelectionOptions(), unseen=better) == binary_score(BINARY)
    options = SelectionOptions(use_generalization_score=True)
    expected = 0.65 * binary_score(BINARY) + 0.35 * binary_score(better)
    assert selection_score(BINARY, options, unseen=better) == pytest.approx(expected)
    with pytest.raises(DataError, match="no unseen records"):
        selection_score(BINARY, options)


def test_a_score_without_both_classes_is_refused():
    alone = binary_metrics([0.9, 0.1], [0, 0], 0.5)
    with pytest.raises(DataError, match="0 abnormal and 2 normal"):
        binary_score(alone)
    with pytest.raises(DataError, match="needs both classes"):
        kd_checkpoint_score(alone)
    with pytest.raises(DataError, match="no abnormal sample"):
        four_class_score(multiclass_metrics(np.diag([5, 0, 0, 0]), NAMES))
    with pytest.raises(DataError, match="early_stop_metric roc_auc is not defined"):
        selection_score(FOUR, SelectionOptions(early_stop_metric="roc_auc"))
    with pytest.raises(DataError, match="early_stop_metric loss is not defined"):
        selection_score(FOUR, SelectionOptions(early_stop_metric="loss"))
