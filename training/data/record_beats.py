"""Every beat of one record, before labels: what is cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonic.beats import Template, normalise, template_residuals, window
from photonic.fiducial import Centre, qrs_centres
from photonic.rhythm import rhythm_tokens
from training.data.labels import in_flutter, is_beat
from training.data.records import Header, read_annotations, read_signal, to_beat_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBeats:
    """All beats of one lead of one record whose window could be cut, whatever their class.

    Attributes:
        beats: (n, 360) float32 in [-1, 1].
        residual: (n, 360) float32, difference from the record's beats so far; None if left out.
        amplitude: (n,) float32, unit of the signal.
        rhythm: (n, 2, 4) float32 rhythm tokens with one beat of delay.
        symbol: (n,) WFDB beat symbol.
        sample: (n,) int64 sample number of the R peak at 360 Hz.
        flutter: (n,) bool, inside ventricular flutter.
        num_outside: beats without a window because it leaves the record.
        num_gaps: beats without a window because samples are missing.
    """

    beats: NDArray[np.float32]
    residual: NDArray[np.float32] | None
    amplitude: NDArray[np.float32]
    rhythm: NDArray[np.float32]
    symbol: NDArray[np.str_]
    sample: NDArray[np.int64]
    flutter: NDArray[np.bool_]
    num_outside: int
    num_gaps: int


def read_record_beats(
    directory: Path,
    header: Header,
    channel: int,
    annotator: str = "atr",
    *,
    centre: Centre = "r-peak",
    template: Template = "mean",
    jitter: int = 0,
) -> RecordBeats:
    """Read one lead of a record and cut its beats.

    Intervals are taken between all beats, so that a beat without a window or a class still is a
    neighbour; the template is that of the beats with a window.

    Args:
        directory: folder of the record.
        header: its header.
        channel: index of the lead.
        annotator: suffix of the annotation file.
        centre: what windows and intervals are taken from.
        template: what beats are compared with.
        jitter: windows and intervals are those of R peaks up to so many samples away, drawn anew
            for each beat from the record's name, before they are centred; ``sample`` stays the
            annotated one.

    Raises:
        DataError: a file is missing or damaged, or a symbol is unknown.
    """
    annotations = read_annotations(directory, header, annotator)
    beat = is_beat(annotations.symbols, annotations.samples, header.name)
    r_peaks, symbols = annotations.samples[beat], annotations.symbols[beat]
    signal = to_beat_rate(read_signal(directory, header, channel), header.fs_hz)
    found = r_peaks
    if jitter:
        generator = np.random.default_rng([jitter, *header.name.encode()])
        moved = r_peaks + generator.integers(-jitter, jitter + 1, len(r_peaks))
        found = np.maximum.accumulate(moved)  # peaks closer than the jitter stay in order
    if centre == "qrs":
        found = qrs_centres(signal, found)
    windows = window(signal, found)
    kept = windows.kept
    beats, amplitude = normalise(windows.values)
    residual, ratio = template_residuals(beats, amplitude, template)
    amplitude_ratio = np.ones(len(r_peaks), dtype=np.float32)
    amplitude_ratio[kept] = ratio
    return RecordBeats(
        beats=beats,
        residual=residual,
        amplitude=amplitude,
        rhythm=rhythm_tokens(found, amplitude_ratio)[kept],
        symbol=symbols[kept],
        sample=r_peaks[kept],
        flutter=in_flutter(annotations.symbols, annotations.samples, r_peaks[kept]),
        num_outside=windows.num_outside,
        num_gaps=windows.num_gaps,
    )
