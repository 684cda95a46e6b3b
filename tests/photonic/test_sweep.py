"""Sweeps: a perfect chip keeps the score, noise costs it, and chunks change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from photonic.errors import ConfigError, ProfileError, ProgramError
from photonic.profile import load_profile
from photonic.sweep import Resources, SweepData, grid_points, reference_score, sweep
from photonic.sweep.budget import chips_in_memory, chips_per_task, missing_chips

SIGMA = "weight.programming_sigma"
IDEAL = load_profile("ideal")


def test_the_ideal_profile_keeps_the_reference_score(sweep_model):
    program, data = sweep_model
    assert reference_score(program, data) == 1.0
    (point,) = sweep(program, IDEAL, data, vary={}, num_chips=3)
    assert point.params == {}
    assert (point.scores > 0.99).all()  # float32 summed in another order may flip a tie


def test_more_noise_costs_more_and_yield_counts_chips(sweep_model):
    program, data = sweep_model
    points = sweep(program, IDEAL, data, vary={SIGMA: [0.0, 0.05, 0.4]}, num_chips=12)
    means = [p.scores.mean() for p in points]
    assert means[0] > means[1] > means[2]
    summary = points[1].summary(reference=1.0, keep=0.9)
    assert summary["yield"] == np.mean(points[1].scores >= 0.9)
    assert summary["metric_p05"] <= summary["metric_p50"] <= summary["metric_p95"]


@pytest.mark.parametrize("profile", ["ideal", "lab_ecg_5bit"])
def test_a_chip_counts_the_same_in_any_chunk(sweep_model, profile):
    program, data = sweep_model
    vary = {SIGMA: [0.03]}
    one_chip_mb = smallest_budget_mb(program, len(data.labels))
    (whole,) = sweep(program, load_profile(profile), data, vary=vary, num_chips=7, seed=3)
    for size in (1, 3, 7):
        (part,) = sweep(program, load_profile(profile), data, vary=vary, num_chips=size, seed=3)
        assert np.array_equal(part.counts, whole.counts[:size])
    small = Resources(memory_mb=one_chip_mb)
    (cut,) = sweep(
        program, load_profile(profile), data, vary=vary, num_chips=7, seed=3, resources=small
    )
    assert np.array_equal(cut.counts, whole.counts)


def smallest_budget_mb(program, num_beats) -> float:
    low, high = 0.0, 512.0
    while high - low > 0.01:
        middle = (low + high) / 2
        try:
            chips_in_memory(program, num_beats, middle)
        except ConfigError:
            low = middle
        else:
            high = middle
    return high


def test_memory_grows_with_chips_and_the_refusal_says_what_is_needed(sweep_model):
    program, _ = sweep_model
    needed_mb = smallest_budget_mb(program, 5000)
    assert chips_in_memory(program, 5000, needed_mb) == 1
    assert chips_in_memory(program, 5000, 4 * needed_mb) > 4
    with pytest.raises(ConfigError, match=rf"one chip needs {np.ceil(needed_mb - 0.01):.0f} MB"):
        chips_in_memory(program, 5000, 0.5 * needed_mb)


def test_tasks_are_small_enough_for_all_workers_and_for_memory():
    assert chips_per_task(1000, 100, num_workers=2, most=500) == 64
    assert chips_per_task(16, 100, num_workers=2, most=500) == 2
    assert chips_per_task(1000, 100, num_workers=2, most=5) == 5
    assert chips_per_task(1000, 10_000_000, num_workers=2, most=500) == 1


def test_missing_chips_are_covered_once():
    done = np.array([True, False, False, True, False, False, False])
    assert list(missing_chips(done, 2)) == [range(1, 3), range(4, 6), range(6, 7)]
    assert list(missing_chips(np.ones(3, dtype=bool), 2)) == []


def test_grid_is_every_combination():
    points = grid_points(IDEAL, {"weight.bits": [4, 5], "seed": [3, 4]})
    assert [p.params for p in points] == [
        {"weight.bits": 4, "seed": 3},
        {"weight.bits": 4, "seed": 4},
        {"weight.bits": 5, "seed": 3},
        {"weight.bits": 5, "seed": 4},
    ]
    assert [p.seed for p in points] == [3, 4, 3, 4]
    assert [p.profile.weight.bits for p in points] == [4, 4, 5, 5]


def test_values_depart_from_the_profile_of_the_point_in_any_order_of_keys():
    vary = {"weight.bits": [7], "profile": ["ideal", "lab_ecg_5bit"]}
    points = grid_points(load_profile("generic_8bit"), vary)
    assert [(p.profile.name, p.profile.weight.bits) for p in points] == [
        ("ideal", 7),
        ("lab_ecg_5bit", 7),
    ]
    assert points[1].profile.input.bits == 5


def test_a_swept_seed_draws_other_chips(sweep_model):
    program, data = sweep_model
    profile = IDEAL.with_value(SIGMA, 0.05)
    first, second = sweep(program, profile, data, vary={"seed": [0, 1]}, num_chips=4)
    (alone,) = sweep(program, profile, data, vary={}, num_chips=4, seed=1)
    assert np.array_equal(second.counts, alone.counts)
    assert not np.array_equal(first.counts, second.counts)


def test_ranking_metrics_are_swept_too(sweep_model):
    program, data = sweep_model
    ranked = SweepData(
        inputs=data.inputs, labels=data.labels, decision=data.decision, metric="auroc"
    )
    assert reference_score(program, ranked) > 0.999  # ties of 1/128 count half
    quiet, loud = sweep(program, IDEAL, ranked, vary={SIGMA: [0.0, 0.4]}, num_chips=3)
    assert quiet.scores.min() > loud.scores.mean()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_chips": 0}, ConfigError, "chips 0: at least 1"),
        ({"vary": {SIGMA: []}}, ConfigError, "no values given"),
        ({"vary": {SIGMA: [0.1, 0.1]}}, ConfigError, "0.1 is given twice"),
        ({"vary": {"seed": [0.5]}}, ConfigError, "no whole number"),
        ({"vary": {"profile": ["idea"]}}, ProfileError, "shipped are"),
        ({"vary": {"weight.sigma": [1.0]}}, ProfileError, "did you mean .*programming_sigma"),
        ({"vary": {SIGMA: [-1.0]}}, ProfileError, "greater than or equal to 0"),
        ({"resources": Resources(memory_mb=0.1)}, ConfigError, "one chip needs"),
    ],
)
def test_impossible_sweeps_are_refused(sweep_model, options, error, message):
    program, data = sweep_model
    with pytest.raises(error, match=message):
        sweep(program, IDEAL, data, **{"vary": {}, "num_chips": 2, **options})


def test_inputs_that_do_not_fit_are_refused_before_any_work(sweep_model):
    program, data = sweep_model
    short = {"beat": data.inputs["beat"][:, :100]}
    wrong = SweepData(inputs=short, labels=data.labels, decision=data.decision, metric="f1")
    with pytest.raises(ProgramError, match="input 'beat' has shape"):
        sweep(program, IDEAL, wrong, vary={}, num_chips=2)


def test_a_metric_that_the_data_cannot_have_is_refused(sweep_model):
    program, data = sweep_model
    normal = SweepData(
        inputs=data.inputs,
        labels=np.zeros_like(data.labels),
        decision=data.decision,
        metric="sensitivity",
    )
    with pytest.raises(ConfigError, match="a class it needs has no sample"):
        reference_score(program, normal)
