"""One code path: what a stream computes is what training learned from, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from export.stream.features import BeatFeatures
from photonic.beats import BEAT_SYMBOLS, WINDOW
from photonic.fiducial import qrs_centres
from photonic.program import Input
from training.data.records import read_annotations, read_header, read_signal
from training.data.synthetic import write_records
from training.workloads import workload

INPUTS = (Input(name="beat", tokens=360, channels=2), Input(name="rhythm", tokens=2, channels=4))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "records"
    write_records(folder, num_records=3, minutes=0.75, seed=4)
    return folder


@pytest.mark.parametrize("centre", ["r-peak", "qrs"])
@pytest.mark.parametrize(("causal", "template"), [(False, "mean"), (True, "mean"), (True, "huber")])
def test_streamed_inputs_are_those_of_training(records, causal, centre, template):
    spec = workload("ecg")
    given = {"data": records, "student": "patch", "causal": causal, "centre": centre}
    given |= {"template": template, "labels": "aami-binary", "split": "by-record"}
    data = spec.load(spec.resolve(given), lambda source: None)
    for name in np.unique(data.record):
        header = read_header(records, str(name))
        signal = read_signal(records, header, header.leads.index("MLII"))
        annotations = read_annotations(records, header, "atr")
        peaks = annotations.samples[np.isin(annotations.symbols, sorted(BEAT_SYMBOLS))]
        buffers = {i.name: np.zeros((1, i.tokens, i.channels), np.float32) for i in INPUTS}
        features = BeatFeatures(INPUTS, buffers, causal=causal, template=template)
        chosen = data.record == name
        trained = dict(zip(data.sample[chosen], np.flatnonzero(chosen), strict=True))
        centres = qrs_centres(signal, peaks) if centre == "qrs" else peaks
        for peak, middle, following in zip(peaks, centres, [*centres[1:], None], strict=True):
            start = middle - WINDOW // 2
            if start < 0 or start + WINDOW > len(signal):
                features.skip(middle)
                continue
            later = following if features.needs_next_peak else None
            features.fill(signal[start : start + WINDOW], middle, later)
            index = trained.pop(peak)
            for key, buffer in buffers.items():
                assert np.array_equal(buffer[0], data.inputs[key][index]), (name, peak, key)
        assert not trained  # every beat was compared
