"""Chips are draws that depend on their number and on nothing else."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.chips import (
    READ_NOISE,
    STATIC_ERRORS,
    chip_generator,
    read_noise_seed,
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


def test_a_chip_is_the_same_in_another_process():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(static_normals, 5, [17], SHAPE).result()
    assert np.array_equal(there, static_normals(5, range(30), SHAPE)[17:18])


def test_chips_seeds_purposes_and_parts_differ():
    draws = [
        chip_generator(*key).standard_normal(4).tolist()
        for key in [
            (0, 0, STATIC_ERRORS), (1, 0, STATIC_ERRORS), (0, 1, STATIC_ERRORS),
            (0, 0, READ_NOISE), (0, 0, READ_NOISE, 1),
        ]
    ]  # fmt: skip
    assert len({tuple(d) for d in draws}) == len(draws)
    assert read_noise_seed(0, 0) != read_noise_seed(0, 0, 1)


def test_draws_are_standard_normal_and_independent_between_chips():
    draws = static_normals(0, range(400), (250,)).astype(np.float64)
    assert draws.mean() == pytest.approx(0.0, abs=4 / np.sqrt(draws.size))
    assert draws.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / draws.size))
    between = np.corrcoef(draws)[np.triu_indices(400, 1)]
    assert np.abs(between).max() < 6 / np.sqrt(250)


def test_chip_17_of_seed_0_has_not_changed():
    """A golden value: a changed stream would silently change every published sweep."""
    expected = [0.16551709, 1.37944973, -1.85208917]
    assert static_normals(0, [17], (3,))[0].tolist() == pytest.approx(expected, abs=1e-6)
