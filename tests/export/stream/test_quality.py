"""Faults of a window, and of the seconds of a signal."""

from __future__ import annotations

import numpy as np
import pytest

from export.stream.beat import Fault
from export.stream.monitor import SignalMonitor
from export.stream.quality import SignalRange, window_fault
from photonic.beats import FS_HZ
from photonic.errors import ConfigError

RAILS = SignalRange(low=-5.12, high=5.115)
TIME = np.arange(FS_HZ) / FS_HZ


def beat():
    return np.random.default_rng(0).normal(0, 0.3, 360)


def test_a_good_window_has_no_fault():
    assert window_fault(beat(), RAILS) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_missing_sample_is_a_gap(value):
    window = beat()
    window[359] = value
    assert window_fault(window, None) is Fault.GAP


@pytest.mark.parametrize(("num", "fault"), [(107, None), (108, Fault.FLAT), (360, Fault.FLAT)])
def test_standing_still_for_a_third_of_a_second_is_flat(num, fault):
    window = beat()
    window[360 - num :] = 0.7
    assert window_fault(window, None) is fault


def test_rounding_around_an_offset_is_still_flat():
    window = 12.0 + 1e-15 * np.random.default_rng(0).standard_normal(360)
    assert window_fault(window, None) is Fault.FLAT


@pytest.mark.parametrize("level", [-5.12, 5.115])
@pytest.mark.parametrize(("num", "fault"), [(4, None), (5, Fault.SATURATED)])
def test_five_samples_at_the_limit_are_saturation(level, num, fault):
    window = beat()
    window[100 : 100 + num] = level
    assert window_fault(window, RAILS) is fault


def test_without_a_known_range_nothing_is_saturated():
    window = beat()
    window[100:150] = 5.115
    assert window_fault(window, None) is None


def test_an_empty_range_is_refused():
    with pytest.raises(ConfigError, match="low must lie below high"):
        SignalRange(low=1.0, high=1.0)


def seconds():
    """Ten seconds; in 2 a gap, in 3 flat, in 4 hum, in 5 an offset, in 6 saturation."""
    signal = np.random.default_rng(0).normal(0, 0.3, (10, FS_HZ))
    signal[2, 5] = np.nan
    signal[3] = 0.1
    signal[4] += 0.5 * np.sin(2 * np.pi * 50 * TIME + 1.0)
    signal[5] += 12.0
    signal[6, 7] = -5.12
    return signal.ravel()


@pytest.mark.parametrize("chunk", [1, 7, 400, 100_000])
def test_each_faulty_second_is_counted_once(chunk):
    monitor = SignalMonitor(SignalRange(low=-5.12, high=20.0))
    signal = np.concatenate([seconds(), np.zeros(100)])
    for start in range(0, len(signal), chunk):
        monitor.push(signal[start : start + chunk])
    assert monitor.num_seconds == 10
    assert monitor.faults == {"gap": 1, "flat": 1, "saturated": 1, "hum": 1, "offset": 1}


@pytest.mark.parametrize(("mains_hz", "counted"), [(50, 1), (60, 1), (30, 0)])
def test_hum_is_at_the_frequency_of_the_mains(mains_hz, counted):
    monitor = SignalMonitor()
    monitor.push(np.sin(2 * np.pi * mains_hz * TIME))
    assert monitor.faults["hum"] == counted


def test_the_real_records_are_clean_but_where_116_saturates(mitdb_dir):
    import wfdb

    signal = wfdb.rdrecord(str(mitdb_dir / "116"), channels=[0]).p_signal[:, 0]
    monitor = SignalMonitor(RAILS)
    monitor.push(signal)
    assert 0 < monitor.faults.pop("saturated") < 20
    assert sum(monitor.faults.values()) <= 3
