from __future__ import annotations

import numpy as np
import pytest

from training.bootstrap import auroc_draws, draw_weights, interval, summed
from training.metrics import auroc


def test_every_draw_takes_as_many_records_as_there_are():
    weights = draw_weights(22, draws=500, seed=1)
    assert weights.shape == (500, 22)
    assert (weights.sum(axis=1) == 22).all()
    assert np.array_equal(weights, draw_weights(22, draws=500, seed=1))
    assert not np.array_equal(weights, draw_weights(22, draws=500, seed=2))
    # A record is missing from (1 - 1/22)^22 = 36 % of the draws.
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 22) ** 22, abs=0.02)


def test_sums_are_those_of_the_repeated_records():
    rng = np.random.default_rng(0)
    per_record = rng.integers(0, 50, size=(6, 7, 7))
    weights = draw_weights(6, draws=20)
    sums = summed(weights, per_record)
    for draw, taken in enumerate(weights):
        assert np.array_equal(sums[draw], np.repeat(per_record, taken, axis=0).sum(axis=0))


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(3).normal(size=400)
    low, high = interval(summed(draw_weights(400), values) / 400) or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.06)


def test_a_figure_that_few_records_define_has_no_interval():
    values = np.arange(1000.0)
    assert interval(values) == pytest.approx((24.975, 974.025))
    values[:40] = np.nan
    assert interval(values) is not None
    values[:60] = np.nan
    assert interval(values) is None


def test_the_area_of_a_draw_is_that_of_its_beats():
    rng = np.random.default_rng(5)
    record = rng.integers(0, 5, size=300)
    positive = rng.random(300) < 0.3
    scores = np.round(rng.normal(size=300) + positive, 1)  # with ties
    weights = draw_weights(5, draws=15)
    areas = auroc_draws(weights, scores, positive, record)
    for area, taken in zip(areas, weights, strict=True):
        beats = np.concatenate([np.flatnonzero(record == r) for r in np.repeat(range(5), taken)])
        shifted = 1 / (1 + np.exp(-scores[beats]))
        assert area == pytest.approx(auroc(shifted, positive[beats]))


def test_a_draw_of_one_class_has_no_area():
    areas = auroc_draws(np.array([[2, 0], [1, 1]]), [0.1, 0.9], [False, True], [0, 1])
    assert np.isnan(areas[0])
    assert areas[1] == 1.0
