"""A stream gives the beats of one pass over the whole signal, bit for bit, in any chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.runtime import open_session
from export.stream.beat import Fault
from export.stream.detector import RPeakDetector
from export.stream.features import BeatFeatures
from export.stream.peaks import AnnotatedPeaks
from export.stream.pipeline import BeatStream, in_chunks
from photonic.beats import FS_HZ, normalise, template_residuals, window
from photonic.errors import BundleError, DataError
from photonic.program import Input
from photonic.rhythm import RhythmState, causal_tokens, rhythm_tokens

TIMES = ("preprocess_us", "inference_us", "total_us", "floor_us")


def beats_of(stream, chunks):
    """Every beat of a stream, without its times."""
    beats = [beat for chunk in chunks for beat in stream.push(chunk)] + stream.finish()
    return [{k: v for k, v in beat._asdict().items() if k not in TIMES} for beat in beats]


def bulk_logits(graph, signal, peaks, causal):
    """Logits of the beats with a window, from the functions that training calls."""
    windows = window(signal, peaks)
    beats, amplitude = normalise(windows.values)
    residual, ratio = template_residuals(beats, amplitude)
    ratios = np.ones(len(peaks), dtype=np.float32)
    ratios[windows.kept] = ratio
    tokens = rhythm_tokens(peaks, ratios)[windows.kept]
    inputs = {
        "beat": np.stack([beats, residual], axis=-1),
        "rhythm": causal_tokens(tokens) if causal else tokens,
    }
    session = open_session(graph)
    rows = [
        session.run(None, {name: x[i : i + 1] for name, x in inputs.items()})[0][0]
        for i in range(len(beats))
    ]
    return np.array(rows), windows.kept


@pytest.mark.parametrize("causal", [False, True])
def test_the_stream_equals_training_bit_for_bit(graph, new_classifier, ecg, causal):
    signal, peaks, _ = ecg
    signal = signal.copy()
    signal[peaks[20] + 50 : peaks[20] + 60] = np.nan
    peaks = np.concatenate([[60], peaks])  # its window starts before the stream
    expected, kept = bulk_logits(graph, signal, peaks, causal)
    beats = beats_of(
        BeatStream(new_classifier(causal=causal), AnnotatedPeaks(peaks)), in_chunks(signal, 360)
    )
    assert [beat["sample"] for beat in beats] == peaks.tolist()
    assert [beat["fault"] is None for beat in beats] == kept.tolist()
    streamed = np.array([beat["logits"] for beat in beats if beat["fault"] is None])
    assert np.array_equal(streamed, expected)
    assert {beat["fault"] for beat in beats} == {None, Fault.CUT, Fault.GAP}


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2000), max_size=20), st.booleans(), st.booleans())
def test_chunks_change_nothing(new_classifier, ecg, sizes, causal, detect):
    signal, peaks, _ = ecg
    classifier = new_classifier(causal=causal)

    def run(chunks):
        source = RPeakDetector() if detect else AnnotatedPeaks(peaks)
        return beats_of(BeatStream(classifier, source), chunks)

    starts = np.minimum(np.cumsum(sizes, dtype=int), len(signal))
    assert run(np.split(signal, starts)) == run([signal])


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 360])
def test_chunks_change_nothing_on_a_real_record(mitdb_dir, new_classifier, chunk):
    import wfdb

    signal = wfdb.rdrecord(str(mitdb_dir / "208"), channels=[0], sampto=120_000).p_signal[:, 0]
    whole, cut = (
        beats_of(BeatStream(new_classifier(), RPeakDetector()), in_chunks(signal, size))
        for size in (65_536, chunk)
    )
    assert len(whole) > 400
    assert cut == whole


def test_a_causal_beat_waits_for_its_window_only(new_classifier, ecg):
    signal, peaks, _ = ecg
    beats = beats_of(
        BeatStream(new_classifier(causal=True), AnnotatedPeaks(peaks)), in_chunks(signal, 1000)
    )
    assert all(beat["decided_at"] == beat["sample"] + 180 for beat in beats)


def test_a_delayed_beat_waits_for_the_next_one(classifier, ecg):
    signal, peaks, _ = ecg
    beats = beats_of(BeatStream(classifier, AnnotatedPeaks(peaks)), in_chunks(signal, 1000))
    expected = [max(p + 180, q + 1) for p, q in pairwise(peaks)]
    assert [beat["decided_at"] for beat in beats[:-1]] == expected


@pytest.mark.parametrize("chunk", [100, 100_000])
def test_a_beat_waits_three_seconds_at_most(classifier, ecg, chunk):
    signal, peaks, _ = ecg
    peaks = peaks[:5]
    pause = np.concatenate([signal[: peaks[4] + 200], np.full(20 * FS_HZ, signal[peaks[4] + 199])])
    beats = beats_of(BeatStream(classifier, AnnotatedPeaks(peaks)), in_chunks(pause, chunk))
    assert beats[4]["decided_at"] == peaks[4] + 3 * FS_HZ + AnnotatedPeaks.max_delay
    assert beats[4]["label"] is not None


def test_after_three_seconds_the_next_beat_changes_no_token():
    state = RhythmState()
    for peak in (0, 300, 640):
        state.push(peak)
    assert np.array_equal(state.with_post(640 + 3 * FS_HZ), state.with_post(640 + 100 * FS_HZ))


def test_a_beat_at_the_end_without_its_window_has_no_class(classifier, ecg):
    signal, peaks, _ = ecg
    beats = beats_of(BeatStream(classifier, AnnotatedPeaks(peaks)), [signal[: peaks[10] + 179]])
    assert [beat["fault"] for beat in beats] == [None] * 10 + [Fault.CUT]
    assert beats[-1]["logits"] == ()


def test_a_new_stream_knows_nothing_of_the_last_one(classifier, ecg):
    signal, peaks, _ = ecg
    first = beats_of(BeatStream(classifier, AnnotatedPeaks(peaks)), [signal])
    assert beats_of(BeatStream(classifier, AnnotatedPeaks(peaks)), [signal]) == first


def test_memory_stays_bounded(classifier, ecg):
    stream = BeatStream(classifier, RPeakDetector())
    for _ in range(30):
        for chunk in in_chunks(ecg[0], 500):
            stream.push(chunk)
    assert stream._samples.end - stream._samples.start < 10 * FS_HZ
    assert len(stream._pending) < 10


def test_two_leads_at_once_are_refused(classifier):
    with pytest.raises(DataError, match=r"shape \(100, 2\)"):
        BeatStream(classifier, RPeakDetector()).push(np.zeros((100, 2)))


def test_an_input_that_is_no_feature_of_a_beat_is_refused():
    with pytest.raises(BundleError, match="'table' of shape"):
        BeatFeatures((Input(name="table", tokens=1, channels=40),), {})


def test_a_student_of_the_beat_alone_waits_for_no_other(ecg):
    buffers = {"beat": np.zeros((1, 360, 1), dtype=np.float32)}
    features = BeatFeatures((Input(name="beat", tokens=360, channels=1),), buffers)
    assert not features.needs_next_peak
    signal, peaks, _ = ecg
    features.fill(signal[peaks[0] - 180 : peaks[0] + 180], int(peaks[0]))
    assert np.array_equal(
        buffers["beat"][0, :, 0], normalise(window(signal, peaks[:1]).values)[0][0]
    )
