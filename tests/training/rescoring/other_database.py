"""Small WFDB records as other databases have them: another rate, other leads, other symbols."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import wfdb


def write_other(
    folder: Path,
    name: str,
    symbols: str = "NNNNVNNNSN",
    *,
    leads: Sequence[str] = ("ECG1", "ECG2"),
    fs_hz: int = 250,
    minutes: float = 6.0,
    gap_s: tuple[float, float] | None = None,
    annotator: str | None = "atr",
) -> Path:
    """Write a record whose beats carry the symbols again and again; returns its folder.

    Args:
        folder: made if need be.
        name: of the record.
        symbols: of the beats in turn; V beats are early, wide and tall.
        leads: names of the signals; a record may have none, then of empty text.
        fs_hz: sampling rate.
        minutes: length.
        gap_s: first and last second in which samples are missing.
        annotator: suffix of the annotation file; none is written if None.
    """
    folder.mkdir(exist_ok=True)
    num_beats = round(minutes * 60 / 0.8) - 2
    labels = np.resize(np.array(list(symbols)), num_beats)
    early = np.where(np.isin(labels, ["V", "S", "A"]), -0.2, 0.0)
    r_peaks = np.rint((1.0 + 0.8 * np.arange(num_beats) + early) * fs_hz).astype(int)
    signal = np.zeros((round(minutes * 60 * fs_hz), len(leads)))
    time_s = np.arange(-0.4, 0.4, 1 / fs_hz)
    for peak, label in zip(r_peaks, labels, strict=True):
        width_s, height = (0.05, 2.0) if label == "V" else (0.02, 1.0)
        start = peak + round(-0.4 * fs_hz)
        pulse = height * np.exp(-0.5 * (time_s / width_s) ** 2)
        kept = pulse[: len(signal) - start]
        signal[start : start + len(kept)] += kept[:, None] * (1 + np.arange(len(leads)))
    signal += 0.01 * np.random.default_rng(0).normal(size=signal.shape)
    if gap_s is not None:
        signal[round(gap_s[0] * fs_hz) : round(gap_s[1] * fs_hz)] = np.nan
    wfdb.wrsamp(
        name,
        fs=fs_hz,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        p_signal=signal,
        fmt=["16"] * len(leads),
        adc_gain=[1000.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )
    if annotator is not None:
        wfdb.wrann(
            name, annotator, r_peaks, symbol=labels.tolist(), fs=fs_hz, write_dir=str(folder)
        )
    return folder
