"""Centred R peaks of a stream are those of one pass over the whole signal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.stream.centred import CentredPeaks, as_trained
from export.stream.detector import RPeakDetector
from export.stream.peaks import AnnotatedPeaks
from export.stream.pipeline import BeatStream, in_chunks
from photonic.fiducial import qrs_centres
from tests.export.stream.test_pipeline import beats_of, bulk_logits


def centres_of(source, chunks):
    peaks = [peak for chunk in chunks for peak in source.push(chunk)] + source.finish()
    return peaks, [peak.centre for peak in peaks]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 2000), max_size=20), seed=st.integers(0, 99))
def test_any_chunks_give_the_centres_of_the_whole(ecg, sizes, seed):
    signal, peaks, _ = ecg
    generator = np.random.default_rng(seed)
    marks = np.sort(peaks + generator.integers(-15, 16, len(peaks)))
    marks = np.concatenate([[3, 9], marks, [len(signal) - 2]])
    chunks = np.split(signal, np.minimum(np.cumsum(sizes, dtype=int), len(signal)))
    found, centres = centres_of(CentredPeaks(AnnotatedPeaks(marks)), chunks)
    assert centres == qrs_centres(signal, marks).tolist()
    assert [peak.sample for peak in found] == marks.tolist()


@pytest.mark.parametrize("detect", [False, True], ids=["annotations", "detector"])
def test_no_peak_comes_later_than_it_says(ecg, detect):
    signal, peaks, _ = ecg
    source = CentredPeaks(RPeakDetector() if detect else AnnotatedPeaks(peaks))
    for seen, sample in enumerate(signal[: peaks[25]], 1):
        for peak in source.push(np.array([sample])):
            assert peak.known_at == seen
            assert seen <= peak.centre + source.max_delay


@pytest.mark.parametrize("causal", [False, True])
def test_the_stream_equals_training_bit_for_bit(graph, new_classifier, ecg, causal):
    signal, peaks, _ = ecg
    signal = signal.copy()
    signal[peaks[20] + 50 : peaks[20] + 60] = np.nan
    marks = np.concatenate([[60], peaks + np.tile([8, -6, 3], len(peaks))[: len(peaks)]])
    expected, kept = bulk_logits(graph, signal, qrs_centres(signal, marks), causal)
    source = as_trained(AnnotatedPeaks(marks), {"centre": "qrs"})
    beats = beats_of(BeatStream(new_classifier(causal=causal), source), in_chunks(signal, 7))
    assert [beat["sample"] for beat in beats] == marks.tolist()
    assert [beat["fault"] is None for beat in beats] == kept.tolist()
    streamed = np.array([beat["logits"] for beat in beats if beat["fault"] is None])
    assert np.array_equal(streamed, expected)


def test_a_student_of_marked_peaks_is_fed_those():
    source = AnnotatedPeaks([1])
    assert as_trained(source, {"centre": "r-peak"}) is source
    assert as_trained(source, {}) is source
