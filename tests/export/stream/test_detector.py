"""The online detector: laws that hold for any signal, hard cases, and the real records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from export.stream.annotated import annotated_beats, match
from export.stream.detector import USUAL_DELAY, RPeakDetector
from export.stream.envelope import QrsEnvelope
from photonic.beats import FS_HZ


def detect(signal, chunk=65_536):
    """Peaks of a whole signal, fed in chunks of one size."""
    detector = RPeakDetector()
    peaks = []
    for start in range(0, len(signal), chunk):
        peaks += detector.push(signal[start : start + chunk])
    return peaks + detector.finish()


def samples(peaks):
    return np.array([peak.sample for peak in peaks])


@pytest.mark.parametrize("chunk", [pytest.param(1, marks=pytest.mark.slow), 7, 360])
def test_chunks_change_nothing(ecg, chunk):
    signal = ecg[0].copy()
    signal[4000:4100] = np.nan
    assert detect(signal, chunk) == detect(signal)


@settings(max_examples=12)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=30), st.integers(0, 2**31))
def test_chunks_change_nothing_in_noise(sizes, seed):
    generator = np.random.default_rng(seed)
    signal = generator.standard_normal(4000)
    signal[generator.integers(0, 4000, 20)] = np.nan
    detector, peaks, start = RPeakDetector(), [], 0
    for size in [*sizes, len(signal)]:
        peaks += detector.push(signal[start : start + size])
        start += size
    assert peaks + detector.finish() == detect(signal)


@pytest.mark.parametrize("size", [1, 7, 72, 360])
def test_the_envelope_is_the_same_bit_for_bit_whatever_the_chunks(size):
    signal = np.random.default_rng(5).standard_normal(3000)
    envelope = QrsEnvelope()
    parts = [envelope.push(signal[start : start + size]) for start in range(0, 3000, size)]
    np.testing.assert_array_equal(np.concatenate(parts), QrsEnvelope().push(signal))


def test_a_peak_is_known_when_it_says(ecg):
    signal = ecg[0]
    for peak in detect(signal)[:40:3]:
        before, after = RPeakDetector(), RPeakDetector()
        assert peak not in before.push(signal[: peak.known_at - 1])
        assert peak in after.push(signal[: peak.known_at])


def test_no_peak_is_later_than_the_longest_delay(ecg):
    signal = np.concatenate([ecg[0], np.zeros(4000), 0.2 * ecg[0], ecg[0]])
    delays = [peak.known_at - peak.sample for peak in detect(signal)]
    assert max(delays) <= RPeakDetector.max_delay
    assert abs(np.median(delays) - USUAL_DELAY) <= 10


def test_peaks_ascend_and_keep_their_distance(ecg):
    found = samples(detect(ecg[0]))
    assert np.diff(found).min() > 0.2 * FS_HZ / 2


@pytest.mark.parametrize("change", [
    lambda x: x,
    lambda x: -x,
    lambda x: 1e-3 * x,
    lambda x: 200 * x + 1024,
    lambda x: x + 12.0,
    lambda x: x + 0.5 * np.sin(2 * np.pi * 0.3 * np.arange(len(x)) / FS_HZ),
    lambda x: x + 0.5 * np.sin(2 * np.pi * 50 * np.arange(len(x)) / FS_HZ),
], ids=["as it is", "upside down", "volts", "converter", "offset", "wander", "hum"])  # fmt: skip
def test_every_beat_is_found_at_its_peak(ecg, change):
    signal, peaks, _ = ecg
    found = samples(detect(change(signal)))
    assert len(found) == len(peaks)
    assert np.abs(found - peaks).max() <= 10


def test_the_first_beats_are_found_after_the_levels_were_learned(ecg):
    signal, peaks, _ = ecg
    first = detect(signal)[0]
    assert abs(first.sample - peaks[0]) <= 10
    assert first.known_at > 2 * FS_HZ


def test_a_stream_shorter_than_the_learning_time_still_has_its_beat(make_ecg):
    signal, peaks, _ = make_ecg(1)
    assert np.abs(samples(detect(signal[: 2 * FS_HZ])) - peaks).max() <= 10


def test_a_tall_t_wave_is_no_beat(make_ecg):
    signal, peaks, symbols = make_ecg(40)
    time = np.arange(len(signal)) / FS_HZ
    for peak in peaks[symbols == "N"]:
        signal += 0.9 * np.exp(-0.5 * ((time - peak / FS_HZ - 0.26) / 0.035) ** 2)
    assert len(detect(signal)) == len(peaks)


def test_search_back_finds_a_small_beat_and_says_how_late(make_ecg):
    signal, peaks, _ = make_ecg(30)
    small = slice(peaks[17] - 100, peaks[17] + 120)
    signal[small] *= 0.22
    late = {p.sample: p.known_at for p in detect(signal)}
    nearest = min(late, key=lambda sample: abs(sample - peaks[17]))
    assert abs(nearest - peaks[17]) <= 10
    assert late[nearest] > peaks[17] + USUAL_DELAY + 50


def test_detection_recovers_where_the_signal_becomes_small(make_ecg):
    signal, peaks, _ = make_ecg(80, noise_mv=0.002)
    signal[peaks[40] + 150 :] *= 0.1
    found = samples(detect(signal))
    late = peaks[peaks > peaks[40] + 6 * FS_HZ]
    assert all(np.abs(found - peak).min() <= 10 for peak in late)


def test_a_gap_is_no_beat(make_ecg):
    signal, peaks, _ = make_ecg(40)
    signal[peaks[10] + 60 : peaks[12] - 60] = np.nan
    signal[peaks[12] - 60 :] += 12.0  # the lead comes back with another offset
    found = samples(detect(signal))
    expected = np.delete(peaks, 11)
    assert len(found) == len(expected)
    assert np.abs(found - expected).max() <= 10


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_nothing_beats_where_nothing_happens(value):
    assert detect(np.full(60 * FS_HZ, value), 360) == []


@pytest.mark.parametrize("length", [1, 5, 40, 200])
def test_an_impulse_at_the_very_start_or_end_is_inside_the_stream(length):
    signal = np.zeros(length)
    signal[[0, -1]] = 1.0
    assert all(0 <= peak.sample < length for peak in detect(signal))


def test_an_empty_stream_has_no_peaks():
    assert RPeakDetector().finish() == []


def read(folder: Path, name: str):
    """Lead MLII, else V5, in mV, and the annotated beats."""
    header = wfdb.rdheader(str(folder / name))
    lead = "MLII" if "MLII" in header.sig_name else "V5"
    record = wfdb.rdrecord(str(folder / name), channels=[header.sig_name.index(lead)])
    annotations = wfdb.rdann(str(folder / name), "atr")
    beats = annotated_beats(annotations.sample, np.array(annotations.symbol))
    return record.p_signal[:, 0], beats


# Tall T waves, ventricular couplets, a paced rhythm on V5, baseline jumps.
@pytest.mark.parametrize(
    ("name", "errors"), [("113", 2), ("119", 12), ("104", 20), ("233", 8), ("100", 0)]
)
def test_hard_records(mitdb_dir, name, errors):
    signal, beats = read(mitdb_dir, name)
    score = match(beats, samples(detect(signal))).score()
    assert score.num_missed + score.num_extra <= errors


def test_a_detector_that_is_blind_for_a_minute_scores_worse(mitdb_dir):
    signal, beats = read(mitdb_dir, "100")
    signal[100_000:121_600] = np.nan
    assert match(beats, samples(detect(signal))).score().num_missed > 50


@pytest.mark.slow
def test_all_records(mitdb_dir):
    scores = []
    for header in sorted(mitdb_dir.glob("*.hea")):
        signal, beats = read(mitdb_dir, header.stem)
        scores.append(match(beats, samples(detect(signal))).score())
    matched, missed, extra = (
        sum(getattr(s, n) for s in scores) for n in ("num_matched", "num_missed", "num_extra")
    )
    assert matched / (matched + missed) >= 0.998
    assert matched / (matched + extra) >= 0.998
