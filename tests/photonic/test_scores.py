"""Scores from counts are the figures of scikit-learn and of plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from photonic.decision import Decision
from photonic.errors import ConfigError
from photonic.scores import accuracy, class_f1, default_score, macro_f1, score, scores_of_tally
from photonic.tallies import confusion_counts, margin_counts, tally


def test_confusion_counts_per_chip_equal_one_sample_at_a_time():
    rng = np.random.default_rng(0)
    labels, decided = rng.integers(0, 3, 50), rng.integers(0, 3, (4, 50))
    counts = confusion_counts(labels, decided, 3)
    for chip in range(4):
        for true in range(3):
            for guess in range(3):
                expected = np.sum((labels == true) & (decided[chip] == guess))
                assert counts[chip, true, guess] == expected


def test_an_absent_class_is_stated_and_left_out_of_the_mean():
    counts = confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert np.isnan(class_f1(counts)[2])
    assert macro_f1(counts) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert accuracy(counts) == pytest.approx(2 / 3)
    nothing = confusion_counts(np.array([], dtype=int), np.array([], dtype=int), 3)
    assert np.isnan(macro_f1(nothing))
    assert np.isnan(accuracy(nothing))


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_two_class_scores_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels, decided = rng.integers(0, 2, 40), rng.integers(0, 2, 40)
    labels[:2], decided[:2] = (0, 1), (0, 1)
    counts = confusion_counts(labels, decided, 2)
    expected = {
        "f1": metrics.f1_score(labels, decided),
        "sensitivity": metrics.recall_score(labels, decided),
        "ppv": metrics.precision_score(labels, decided),
        "specificity": metrics.recall_score(1 - labels, 1 - decided),
        "accuracy": metrics.accuracy_score(labels, decided),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, decided),
        "macro_f1": metrics.f1_score(labels, decided, average="macro"),
    }
    for name, value in expected.items():
        assert score(name, ("N", "A")).of(counts) == pytest.approx(value), name


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_ranking_scores_are_those_of_scikit_learn_where_margins_are_codes(seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, 60)])
    logits = rng.integers(-60, 60, (3, 62, 2)) / 32
    logits[..., 1] += labels
    counts = margin_counts(labels, logits)
    margins = logits[..., 1] - logits[..., 0]
    for chip in range(3):
        ranked = metrics.roc_auc_score(labels, margins[chip])
        assert score("auroc", ("N", "A")).of(counts)[chip] == pytest.approx(ranked)
        precise = metrics.average_precision_score(labels, margins[chip])
        assert score("auprc", ("N", "A")).of(counts)[chip] == pytest.approx(precise)


def test_a_margin_that_is_no_number_ranks_lowest_and_large_ones_at_the_ends():
    labels = np.array([0, 0, 0])
    logits = np.array([[0.0, np.nan], [0.0, 1e9], [0.0, -1e9]])
    counts = margin_counts(labels, logits)
    assert counts[0, 0] == 2
    assert counts[0, -1] == 1


@given(st.integers(0, 1000), st.sampled_from(["confusion", "margins"]))
@settings(max_examples=25)
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(seed, name):
    rng = np.random.default_rng(seed)
    labels, logits = rng.integers(0, 2, 30), rng.standard_normal((2, 30, 2))
    decision = Decision(kind="threshold", classes=("N", "A"), threshold=0.4)
    counting = tally(name, 2)
    cut = int(rng.integers(0, 31))
    parts = [
        counting.count(labels[part], logits[:, part], decision)
        for part in (slice(cut), slice(cut, None))
    ]
    assert np.array_equal(parts[0] + parts[1], counting.count(labels, logits, decision))


def test_each_class_has_its_scores():
    classes = ("N", "S", "V")
    counts = confusion_counts(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 3)
    assert score("sensitivity:S", classes).of(counts) == 0.5
    assert score("ppv:V", classes).of(counts) == 0.5
    assert score("f1:N", classes).of(counts) == 1.0
    names = [s.name for s in scores_of_tally("confusion", classes)]
    assert "rare_f1" in names
    assert "auroc" not in names


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("f2", ("N", "A"), "known are f1, sensitivity, .*auroc"),
        ("f1", ("N", "S", "V"), "known are macro_f1, .*f1:N"),
        ("miss", ("N", "A"), "use 'sensitivity'"),
        ("fpr", ("N", "A"), "use 'specificity'"),
        ("auroc", ("N", "S", "V"), "known are macro_f1"),
    ],
)
def test_unknown_scores_are_refused(name, classes, message):
    with pytest.raises(ConfigError, match=message):
        score(name, classes)


def test_margins_need_two_classes():
    with pytest.raises(ConfigError, match="rank two classes; this model has 3"):
        tally("margins", 3)


def test_the_default_score_fits_the_number_of_classes():
    assert default_score(2) == "f1"
    assert default_score(4) == "macro_f1"
