"""Sliding maxima and candidates beside scipy's filter over the whole envelope."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter1d

from export.stream.candidates import REFRACTORY, MaximumPicker, sliding_maximum


@given(st.integers(1, 200), st.integers(0, 300), st.integers(0, 2**16))
def test_the_sliding_maximum_is_that_of_every_window(width, more, seed):
    values = np.random.default_rng(seed).integers(0, 50, width + more).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    assert np.array_equal(sliding_maximum(values, width), windows.max(axis=1))


@pytest.mark.parametrize("size", [1, 50, 161, 4000])
def test_candidates_are_the_maxima_of_the_whole_envelope(size):
    envelope = np.random.default_rng(1).random(4000)
    envelope[[0, 1500, 1520, 3999]] = 2.0  # at both ends, and two that are equal
    picker, found = MaximumPicker(), []
    for start in range(0, 4000, size):
        found += picker.push(envelope[start : start + size])
    found += picker.finish()
    highest = maximum_filter1d(envelope, 2 * REFRACTORY + 1, mode="constant")
    expected = np.flatnonzero(envelope == highest)
    assert [c.position for c in found] == expected[expected != 1520].tolist()
    assert [c.height for c in found] == envelope[[c.position for c in found]].tolist()


def test_silence_has_no_candidates():
    picker = MaximumPicker()
    assert picker.push(np.zeros(500)) + picker.finish() == []
