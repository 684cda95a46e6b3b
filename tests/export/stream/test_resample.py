"""Resampling as it streams: the polyphase filter, whatever the chunks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from export.stream.resample import Resampler
from photonic.errors import ConfigError

RATES = [128.0, 250.0, 257.0, 1000.0]


def resampled(signal, fs_hz, sizes):
    resampler = Resampler(fs_hz)
    outputs, start = [], 0
    for size in [*sizes, len(signal)]:
        outputs.append(resampler.push(signal[start : start + size]))
        start += size
    return np.concatenate([*outputs, resampler.finish()])


def smooth(num, seed=0):
    return np.convolve(np.random.default_rng(seed).standard_normal(num), np.ones(9) / 9, "same")


@settings(max_examples=25)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 700), max_size=8))
def test_chunks_change_nothing(fs_hz, sizes):
    signal = smooth(2000)
    assert np.array_equal(resampled(signal, fs_hz, sizes), resampled(signal, fs_hz, []))


@pytest.mark.parametrize("fs_hz", RATES)
def test_inside_it_is_scipys_polyphase_filter(fs_hz):
    signal = smooth(3000)
    ratio = 360 / Fraction(fs_hz)
    expected = resample_poly(signal, ratio.numerator, ratio.denominator)
    ours = resampled(signal, fs_hz, [])
    assert len(ours) == len(expected)
    assert np.abs(ours - expected)[60:-60].max() < 2e-3 * np.abs(signal).max()


@pytest.mark.parametrize("fs_hz", RATES)
def test_an_offset_passes_as_it_is(fs_hz):
    assert resampled(np.full(1000, 12.0), fs_hz, [1, 2]) == pytest.approx(12.0, abs=1e-12)


@pytest.mark.parametrize("fs_hz", RATES)
def test_a_slow_sine_keeps_its_time(fs_hz):
    signal = np.sin(2 * np.pi * 5.0 * np.arange(int(4 * fs_hz)) / fs_hz)
    ours = resampled(signal, fs_hz, [])
    expected = np.sin(2 * np.pi * 5.0 * np.arange(len(ours)) / 360)
    assert np.abs(ours - expected)[60:-60].max() < 2e-3


def test_a_missing_sample_marks_what_it_touches_and_no_more():
    signal = smooth(2000)
    signal[1000] = np.nan
    missing = np.flatnonzero(np.isnan(resampled(signal, 250.0, [])))
    assert missing[0] < 1440 < missing[-1]
    assert len(missing) <= 2 * 12 * 360 / 250 + 2


def test_a_stream_without_samples_has_no_output():
    assert len(Resampler(250.0).finish()) == 0


@pytest.mark.parametrize("fs_hz", [3.0, 1e6, float("nan")])
def test_a_rate_without_a_qrs_complex_is_refused(fs_hz):
    with pytest.raises(ConfigError, match="50 to 20000 Hz can be brought to 360 Hz"):
        Resampler(fs_hz)


def test_360_hz_needs_no_resampler():
    with pytest.raises(ConfigError, match="need no resampling"):
        Resampler(360.0)
