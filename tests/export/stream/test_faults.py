"""What a device can do to a signal: nothing crashes, no incomplete window gets a class."""

from __future__ import annotations

import numpy as np
import pytest

from export.stream.annotated import annotated_beats, match
from export.stream.beat import Fault
from export.stream.detector import RPeakDetector
from export.stream.monitor import SignalMonitor
from export.stream.pipeline import BeatStream, in_chunks
from export.stream.quality import SignalRange
from export.stream.resample import Resampler
from export.stream.run import StreamLog, run_session
from export.stream.summary import summarise
from photonic.beats import FS_HZ

CLASSES = ("N", "S", "V")
RAILS = SignalRange(low=-2.0, high=2.0)


@pytest.fixture
def streamed(new_classifier):
    """``streamed(signal, fs_hz)``: summary and beats of a signal with detected beats."""

    def run(signal, fs_hz=FS_HZ):
        monitor, log = SignalMonitor(RAILS), StreamLog()
        stream = BeatStream(
            new_classifier(signal_range=RAILS),
            RPeakDetector(),
            resampler=None if fs_hz == FS_HZ else Resampler(fs_hz),
            monitor=monitor,
        )
        run_session(stream, in_chunks(signal, 100), log)
        return summarise(log, CLASSES, deadline_us=1e6) | {"with": monitor.faults}, log.beats

    return run


def touched(beats, start, stop):
    """Beats whose window overlaps the samples ``[start, stop)``."""
    return [beat for beat in beats if beat.sample - 180 < stop and beat.sample + 180 > start]


def test_a_clean_stream_has_a_class_for_every_beat(streamed, ecg):
    signal, peaks, _ = ecg
    summary, beats = streamed(signal)
    assert summary["num_beats"] == summary["num_classified"] == len(beats) == len(peaks)
    assert summary["unclassified"] == {}
    assert not any(summary["with"].values())


@pytest.mark.parametrize("length", [1, 30, 3 * FS_HZ])
def test_missing_samples(streamed, ecg, length):
    signal = ecg[0].copy()
    start = ecg[1][20] + 40
    signal[start : start + length] = np.nan
    summary, beats = streamed(signal)
    assert {beat.fault for beat in touched(beats, start, start + length)} == {Fault.GAP}
    assert summary["unclassified"]["gap"] >= 1
    assert 1 <= summary["with"]["gap"] <= 2 + length // FS_HZ


def test_a_flat_line(streamed, ecg):
    signal, peaks, _ = ecg[0].copy(), *ecg[1:]
    start, stop = peaks[20] + 60, peaks[26] - 60
    signal[start:stop] = signal[start]
    summary, beats = streamed(signal)
    assert {beat.fault for beat in touched(beats, start, stop)} == {Fault.FLAT}
    assert summary["unclassified"] == {"flat": 2}
    assert summary["with"]["flat"] >= 3


def test_saturation(streamed, ecg):
    signal, peaks, _ = ecg
    signal = signal.copy()
    signal[peaks[30] - 20 : peaks[30] + 20] *= 10
    signal[peaks[40] - 20 : peaks[40] + 20] -= 20
    summary, beats = streamed(np.clip(signal, -2.0, 2.0))
    for peak in peaks[[30, 40]]:
        assert {beat.fault for beat in touched(beats, peak - 5, peak + 5)} == {Fault.SATURATED}
    assert summary["with"]["saturated"] == 2


def test_hum_costs_no_beat_and_is_counted(streamed, ecg):
    signal, peaks, _ = ecg
    hum = 0.5 * np.sin(2 * np.pi * 50 * np.arange(len(signal)) / FS_HZ)
    summary, _ = streamed(signal + hum)
    assert summary["num_classified"] == len(peaks)
    assert summary["with"]["hum"] > 0.9 * len(signal) / FS_HZ


def test_an_offset_changes_no_class_and_is_counted(new_classifier, ecg):
    signal, peaks, _ = ecg
    labels = []
    for offset in (0.0, 12.0):
        monitor, log = SignalMonitor(), StreamLog()
        stream = BeatStream(new_classifier(), RPeakDetector(), monitor=monitor)
        run_session(stream, in_chunks(signal + offset, 100), log)
        labels.append([(beat.sample, beat.label) for beat in log.beats])
    assert labels[0] == labels[1]
    assert len(labels[0]) == len(peaks)
    assert monitor.faults["offset"] == len(signal) // FS_HZ


def test_a_lead_that_comes_off_and_on_again(streamed, ecg):
    signal, peaks, _ = ecg[0].copy(), *ecg[1:]
    off, on = peaks[20] + 100, peaks[30] + 100
    signal[off:on] = 2.0
    signal[on:] += 0.3
    summary, beats = streamed(signal)
    assert all(beat.fault is not None for beat in touched(beats, off, on))
    assert {Fault.FLAT, Fault.SATURATED} >= {beat.fault for beat in touched(beats, off, on)}
    late = peaks[peaks > on + 5 * FS_HZ]
    classified = np.array([beat.sample for beat in beats if beat.label is not None])
    assert all(np.abs(classified - peak).min() <= 10 for peak in late)
    assert summary["with"]["flat"] >= 5


@pytest.mark.parametrize("fs_hz", [128.0, 250.0, 257.0, 1000.0])
def test_other_sampling_rates(streamed, ecg, fs_hz):
    signal, peaks, symbols = ecg
    time = np.arange(0, len(signal) / FS_HZ, 1 / fs_hz)
    summary, beats = streamed(np.interp(time, np.arange(len(signal)) / FS_HZ, signal), fs_hz)
    pairs = match(annotated_beats(peaks, symbols), [beat.sample for beat in beats])
    assert pairs.score().sensitivity == pairs.score().ppv == 1.0
    assert summary["num_classified"] >= len(peaks) - 1
    found = np.array([beat.sample for beat in beats])[pairs.of_reference]
    assert np.abs(found - peaks).max() <= 10


def test_a_stream_cut_in_the_middle_of_a_beat(streamed, ecg):
    signal, peaks, _ = ecg
    summary, beats = streamed(signal[: peaks[30] + 60])
    assert beats[-1].fault is Fault.CUT
    assert summary["unclassified"] == {"cut": 1}
    assert summary["num_classified"] == 30


def test_a_source_that_fails_leaves_its_beats_in_the_log(classifier, ecg):
    signal, peaks, _ = ecg

    def chunks():
        yield signal[: peaks[10] + 60]
        raise OSError("unplugged")

    log = StreamLog()
    with pytest.raises(OSError, match="unplugged"):
        run_session(BeatStream(classifier, RPeakDetector()), chunks(), log)
    assert [beat.fault for beat in log.beats] == [None] * 10 + [Fault.CUT]
    assert log.num_samples == peaks[10] + 60


def test_everything_at_once_crashes_nothing(streamed):
    generator = np.random.default_rng(3)
    signal = np.cumsum(generator.standard_normal(40_000)) * 0.2
    signal[generator.random(40_000) < 0.001] = np.nan
    signal[generator.random(40_000) < 0.0005] = np.inf
    signal[5000:9000] = 1e30
    signal[9000:9500] = -1e30
    _, beats = streamed(signal)
    for beat in beats:
        window = signal[max(beat.sample - 180, 0) : beat.sample + 180]
        if len(window) < 360 or not np.isfinite(window).all():
            assert beat.label is None
