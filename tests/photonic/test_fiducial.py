"""The centre of a QRS complex is a property of the signal, not of who marked the R peak."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.fiducial import MAX_SHIFT, REACH, centre_shift, centre_shifts, qrs_centres


def ecg(peaks, length, *, width=6.0):
    """R waves of a Gauss curve at each peak, and a T wave after it."""
    time = np.arange(length)[:, None]
    r_wave = np.exp(-0.5 * ((time - peaks) / width) ** 2)
    t_wave = 0.3 * np.exp(-0.5 * ((time - peaks - 90) / 20.0) ** 2)
    return (r_wave + t_wave).sum(axis=1)


PEAKS = np.array([200, 480, 790, 1060])


@given(st.lists(st.integers(-10, 10), min_size=4, max_size=4))
def test_marks_nearby_give_the_same_centre(moves):
    signal = ecg(PEAKS, 1400)
    assert np.array_equal(qrs_centres(signal, PEAKS + moves), qrs_centres(signal, PEAKS))


@given(st.floats(0.01, 100.0), st.floats(-1e3, 1e3), st.sampled_from([-1.0, 1.0]))
def test_gain_offset_and_polarity_change_nothing(gain, offset, sign):
    signal = ecg(PEAKS, 1400)
    changed = sign * gain * signal + offset
    assert np.array_equal(qrs_centres(changed, PEAKS + 4), qrs_centres(signal, PEAKS + 4))


def test_the_centre_of_a_symmetric_wave_is_its_peak():
    assert np.abs(qrs_centres(ecg(PEAKS, 1400), PEAKS + 7) - PEAKS).max() <= 1


@given(st.integers(0, 2**32 - 1))
def test_one_beat_at_a_time_gives_the_same_and_no_shift_is_too_long(seed):
    generator = np.random.default_rng(seed)
    segments = generator.standard_normal((5, 2 * REACH + 1)).cumsum(axis=1)
    segments[1:][generator.random(segments[1:].shape) < 0.02] = np.nan
    segments[-1] = 0.0
    shifts = centre_shifts(segments)
    assert np.abs(shifts).max() <= MAX_SHIFT
    assert [centre_shift(row) for row in segments] == shifts.tolist()
    assert [int(centre_shifts(row[None])[0]) for row in segments] == shifts.tolist()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_without_a_slope_the_mark_stays(value):
    assert qrs_centres(np.full(500, value), [0, 250, 499]).tolist() == [0, 250, 499]


def test_centres_ascend():
    signal = ecg(PEAKS, 1400)
    centres = qrs_centres(signal, [195, 205, 210, 480])
    assert (np.diff(centres) >= 0).all()
