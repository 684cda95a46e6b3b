"""Sweeps: a perfect chip keeps the score, noise costs it, and chunks change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photonic.decision import Decision
from photonic.errors import ConfigError, ProfileError
from photonic.execute import run_float
from photonic.profile import load_profile
from photonic.scores import accuracy, class_f1, confusion_counts, macro_f1
from photonic.students import SegmentConfig, segment_student
from photonic.sweep import SweepData, chips_per_chunk, grid_points, reference_score, sweep

SIGMA = "weight.programming_sigma"


@pytest.fixture(scope="module")
def model():
    """A student and beats that it labels itself: its float decisions are the truth."""
    student = segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(0))
    program = student.program()
    rng = np.random.default_rng(0)
    beats = np.cumsum(rng.standard_normal((600, 360, 1)), axis=1)
    beats = (beats / np.abs(beats).max(axis=1, keepdims=True)).astype(np.float32)
    logits = run_float(program, {"beat": beats}, np.float32)
    margin = np.median(logits[:, 1] - logits[:, 0])
    decision = Decision(
        kind="threshold", classes=("N", "A"), threshold=float(1 / (1 + np.exp(-margin)))
    )
    data = SweepData(
        inputs={"beat": beats}, labels=decision(logits), decision=decision, metric="f1"
    )
    return program, data


def test_the_ideal_profile_keeps_the_reference_score(model):
    program, data = model
    assert reference_score(program, data) == 1.0
    (point,) = sweep(program, load_profile("ideal"), data, vary={}, num_chips=3)
    assert point.params == {}
    assert (point.scores > 0.99).all()  # float32 summed in another order may flip a tie


def test_more_noise_costs_more_and_yield_counts_chips(model):
    program, data = model
    points = sweep(
        program, load_profile("ideal"), data, vary={SIGMA: [0.0, 0.05, 0.4]}, num_chips=12
    )
    means = [p.scores.mean() for p in points]
    assert means[0] > means[1] > means[2]
    summary = points[1].summary(reference=1.0, keep=0.9)
    assert summary["yield"] == np.mean(points[1].scores >= 0.9)
    assert summary["metric_p05"] <= summary["metric_p50"] <= summary["metric_p95"]


def test_a_chip_scores_the_same_in_any_chunk(model):
    program, data = model
    profile = load_profile("lab_ecg_5bit")
    one_chip_mb = 1.01 * 512.0 / chips_per_chunk(program, 512, 512.0)
    whole = sweep(program, profile, data, vary={}, num_chips=5, seed=3)
    chunks = sweep(program, profile, data, vary={}, num_chips=5, seed=3, memory_mb=one_chip_mb)
    assert np.array_equal(whole[0].scores, chunks[0].scores)


def test_grid_is_every_combination():
    assert grid_points({"a": [1, 2], "b": [3, 4]}) == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_chips": 0}, ConfigError, "chips 0: at least 1"),
        ({"vary": {SIGMA: []}}, ConfigError, "no values given"),
        (
            {"vary": {"weight.sigma": [1.0]}},
            ProfileError,
            "did you mean .*weight.programming_sigma",
        ),
        ({"vary": {SIGMA: [-1.0]}}, ProfileError, "greater than or equal to 0"),
        ({"memory_mb": 0.1}, ConfigError, "one chip needs"),
    ],
)
def test_impossible_sweeps_are_refused(model, options, error, message):
    program, data = model
    with pytest.raises(error, match=message):
        sweep(program, load_profile("ideal"), data, **{"vary": {}, "num_chips": 2, **options})


def test_confusion_counts_per_chip_equal_one_chip_at_a_time():
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
