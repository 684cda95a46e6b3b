"""Chips are draws that depend on their number and on nothing else."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.chips import (
    BLOCK_ERRORS,
    CORE_ERRORS,
    READ_NOISE,
    random_words,
    read_noise_seeds,
    static_normals,
)

SHAPE = (3, 4, 4)


@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 10_000), min_size=1, max_size=8),
    st.data(),
)
@settings(max_examples=30)
def test_a_chip_is_the_same_in_any_batch(seed, chips, data):
    chosen = data.draw(st.sampled_from(range(len(chips))))
    batch = static_normals(seed, chips, SHAPE)
    alone = static_normals(seed, [chips[chosen]], SHAPE)
    assert np.array_equal(batch[chosen], alone[0])


@given(st.integers(0, 100), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30)
def test_a_range_of_chips_is_its_chips_one_by_one(first, count, numbers):
    together = random_words(3, range(first, first + count), BLOCK_ERRORS, numbers)
    backwards = random_words(3, range(first, first + count)[::-1], BLOCK_ERRORS, numbers)
    assert np.array_equal(together, backwards[::-1])


def test_a_chip_is_the_same_in_another_process():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(static_normals, 5, [17], SHAPE).result()
    assert np.array_equal(there, static_normals(5, range(30), SHAPE)[17:18])


def test_more_numbers_begin_with_the_same_ones():
    few, many = static_normals(0, [3], (5,)), static_normals(0, [3], (48,))
    assert np.array_equal(few, many[:, :5])


def test_chips_seeds_purposes_and_parts_differ():
    draws = [
        random_words(seed, [chip], purpose, 4, part).tolist()[0]
        for seed, chip, purpose, part in [
            (0, 0, BLOCK_ERRORS, 0), (1, 0, BLOCK_ERRORS, 0), (0, 1, BLOCK_ERRORS, 0),
            (0, 0, CORE_ERRORS, 0), (0, 0, READ_NOISE, 0), (0, 0, READ_NOISE, 1),
        ]
    ]  # fmt: skip
    words = [word for draw in draws for word in draw]
    assert len(set(words)) == len(words)
    assert read_noise_seeds(0, [0]) != read_noise_seeds(0, [0], part=1)


def test_draws_are_standard_normal_and_independent_between_chips():
    draws = static_normals(0, range(400), (250,)).astype(np.float64)
    assert draws.mean() == pytest.approx(0.0, abs=4 / np.sqrt(draws.size))
    assert draws.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / draws.size))
    assert (draws**4).mean() == pytest.approx(3.0, abs=4 * np.sqrt(96 / draws.size))
    between = np.corrcoef(draws)[np.triu_indices(400, 1)]
    assert np.abs(between).max() < 6 / np.sqrt(250)
    within = np.corrcoef(draws.T)[np.triu_indices(250, 1)]
    assert np.abs(within).max() < 6 / np.sqrt(400)


def test_chip_17_of_seed_0_has_not_changed():
    """A golden value: a changed stream would silently change every published sweep."""
    expected = [0.07415854, 0.72700799, 0.51281506]
    assert static_normals(0, [17], (3,))[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_words_are_those_of_numpy_at_the_stated_counter():
    bits = np.random.Philox(key=[7, BLOCK_ERRORS], counter=[17, 1, 2, 0])
    assert random_words(7, [17], BLOCK_ERRORS, 8, part=2)[0, 4:].tolist() == [
        int(w) for w in bits.random_raw(4)
    ]
