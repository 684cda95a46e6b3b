"""Small WFDB records: written by hand for one fault each, or synthetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb

from training.data.synthetic import write_records


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A beat cache of the test's own, so that the user's stays untouched."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PHOTONIC_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def synthetic_dir(tmp_path_factory) -> Path:
    """Six synthetic records of one and a half minutes."""
    folder = tmp_path_factory.mktemp("synthetic") / "records"
    write_records(folder, num_records=6, minutes=1.5, seed=3)
    return folder


@pytest.fixture
def write_record(tmp_path) -> Callable[..., Path]:
    """``write_record("a", symbols="NVN")``: a record in ``tmp_path``, whose folder is returned."""

    def write(
        name: str,
        *,
        symbols: str = "NNVNN",
        leads: Sequence[str] = ("MLII", "V5"),
        fs_hz: int = 360,
        rr_s: float = 0.8,
        gap: slice | None = None,
        offset_mv: float = 0.0,
    ) -> Path:
        r_peaks = np.rint((1.0 + rr_s * np.arange(len(symbols))) * fs_hz).astype(int)
        time_s = np.arange(r_peaks[-1] + fs_hz) / fs_hz
        pulses = np.exp(-0.5 * ((time_s[:, None] - r_peaks / fs_hz) / 0.02) ** 2).sum(axis=1)
        signal = np.stack([(lead + 1) * pulses + offset_mv for lead in range(len(leads))], axis=1)
        if gap is not None:
            signal[gap] = np.nan
        wfdb.wrsamp(
            name,
            fs=fs_hz,
            units=["mV"] * len(leads),
            sig_name=list(leads),
            p_signal=signal,
            fmt=["16"] * len(leads),
            adc_gain=[1000.0] * len(leads),
            baseline=[0] * len(leads),
            write_dir=str(tmp_path),
        )
        wfdb.wrann(name, "atr", r_peaks, symbol=list(symbols), fs=fs_hz, write_dir=str(tmp_path))
        return tmp_path

    return write
