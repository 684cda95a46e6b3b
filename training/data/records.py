"""WFDB records as one lead at 360 Hz with its annotations, or one clear error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from photonic.beats import FS_HZ
from photonic.errors import DataError

# What wfdb raises on files that are missing, cut short or not what their name says.
_WFDB_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError)
_END_OF_ANNOTATIONS = b"\0\0"
# A QRS complex has no shape below, and no recorder samples above.
_SLOWEST_HZ, _FASTEST_HZ = 50, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadChoice:
    """Which lead of a record to read.

    Attributes:
        lead: name as in the header, or channel index.
        stand_ins: record name -> lead name to use where that record lacks ``lead``.
        companion: take the first lead that is *not* the chosen one instead.
    """

    lead: str | int = "MLII"
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    companion: bool = False

    @classmethod
    def parse(
        cls, text: str, *, stand_ins: Mapping[str, str] | None = None, companion: bool = False
    ) -> LeadChoice:
        """From an option's text: digits are a channel index, anything else a name."""
        lead = int(text) if text.isdecimal() else text
        return cls(lead=lead, stand_ins=stand_ins or {}, companion=companion)

    def find(self, record: str, leads: Sequence[str]) -> int | None:
        """Index of the chosen lead among the record's ``leads``, None where it has no such lead."""
        if isinstance(self.lead, int):
            chosen = self.lead if 0 <= self.lead < len(leads) else None
        else:
            names = (self.lead, self.stand_ins.get(record))
            chosen = next((leads.index(name) for name in names if name in leads), None)
        if chosen is None or not self.companion:
            return chosen
        return next((index for index in range(len(leads)) if index != chosen), None)

    def channel(self, record: str, leads: Sequence[str]) -> int:
        """Index of the chosen lead among the record's ``leads``.

        Raises:
            DataError: the record has no such lead and no stand-in is named for it.
        """
        channel = self.find(record, leads)
        if channel is None:
            wanted = f"index {self.lead}" if isinstance(self.lead, int) else self.lead
            available = ", ".join(f"{index} {lead}" for index, lead in enumerate(leads))
            raise DataError(
                f"record {record} has no lead {wanted}{' and second lead' * self.companion}; it "
                f"has {available}: choose a lead by name or index, name a stand-in for this "
                "record, or leave the record out"
            )
        return channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a record's header says.

    Attributes:
        name: record name.
        leads: names of its signals.
        fs_hz: sampling rate.
        num_samples: samples per signal.
        signal_files: names of the files that hold them.
    """

    name: str
    leads: tuple[str, ...]
    fs_hz: float
    num_samples: int
    signal_files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """Annotations of a record, ascending in time.

    Attributes:
        samples: (n,) sample numbers at 360 Hz.
        symbols: (n,) WFDB symbols.
        subtypes: (n,) their subtypes; of a noise annotation the leads that cannot be read.
    """

    samples: NDArray[np.int64]
    symbols: NDArray[np.str_]
    subtypes: NDArray[np.int64]


def list_records(directory: Path) -> tuple[str, ...]:
    """Names of the records (``*.hea``) in a folder, sorted.

    Raises:
        DataError: the folder does not exist or holds no record.
    """
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder: give the folder that holds the WFDB records")
    names = tuple(sorted(path.stem for path in directory.glob("*.hea")))
    if not names:
        raise DataError(
            f"{directory} holds no WFDB record (*.hea): give a folder with records, or make one "
            "with `photonic data synth` or `photonic data fetch mitdb`"
        )
    return names


def read_header(directory: Path, name: str) -> Header:
    """Header of a record.

    Raises:
        DataError: it is missing, unreadable, without signals, or of a multi-segment record.
    """
    path = directory / f"{name}.hea"
    if not path.is_file():
        raise DataError(f"{path} does not exist: record {name} has no header; get the file again")
    try:
        header = wfdb.rdheader(str(directory / name))
    except _WFDB_ERRORS as error:
        raise DataError(
            f"{path} is not a readable WFDB header ({_line(error)}): get it again"
        ) from error
    if isinstance(header, wfdb.MultiRecord):
        raise DataError(f"{path} is a multi-segment record: write it as one segment first")
    if not header.n_sig or not header.sig_len or not header.fs:
        raise DataError(
            f"{path} names {header.n_sig or 0} signals of {header.sig_len or 0} samples at "
            f"{header.fs or 0} Hz: a record needs at least one signal with samples"
        )
    names = header.sig_name or [None] * header.n_sig
    return Header(
        name=name,
        leads=tuple(label or "unnamed" for label in names),
        fs_hz=float(header.fs),
        num_samples=int(header.sig_len),
        signal_files=tuple(dict.fromkeys(header.file_name or ())),
    )


def check_rate(header: Header, *, resample: bool) -> None:
    """Check that beats at 360 Hz can be cut from the record.

    Raises:
        DataError: the record has another rate and may not be resampled, or is too slow or too fast
            to resample.
    """
    if header.fs_hz != FS_HZ and not resample:
        raise DataError(
            f"record {header.name} is sampled at {header.fs_hz:g} Hz; beats are cut at {FS_HZ} Hz: "
            f"give --resample {FS_HZ}"
        )
    if not _SLOWEST_HZ <= header.fs_hz <= _FASTEST_HZ:
        raise DataError(
            f"record {header.name} is sampled at {header.fs_hz:g} Hz; {_SLOWEST_HZ} to "
            f"{_FASTEST_HZ} Hz can be resampled to {FS_HZ} Hz: correct the header or leave it out"
        )


def read_signal(directory: Path, header: Header, channel: int) -> NDArray[np.float64]:
    """One lead (samples,) in physical units at the record's rate; NaN where samples are missing.

    Raises:
        DataError: a signal file is missing, cut short or damaged.
    """
    for file_name in header.signal_files:
        path = directory / file_name
        if not path.is_file():
            raise DataError(
                f"{path} does not exist: the signal of record {header.name}; get the file again"
            )
    try:
        signals, _ = wfdb.rdsamp(str(directory / header.name), channels=[channel])
    except _WFDB_ERRORS as error:
        path = directory / header.signal_files[0]
        raise DataError(
            f"{path} ({path.stat().st_size} bytes) is not the {header.num_samples} samples x "
            f"{len(header.leads)} leads that its header promises: cut short or damaged; "
            "get the file again"
        ) from error
    return np.asarray(signals, dtype=np.float64)[:, 0]


def read_annotations(directory: Path, header: Header, annotator: str = "atr") -> Annotations:
    """Annotations of a record, their times converted to samples at 360 Hz.

    Raises:
        DataError: the annotation file is missing, cut short or damaged.
    """
    path = directory / f"{header.name}.{annotator}"
    if not path.is_file():
        raise DataError(
            f"{path} does not exist: record {header.name} has no annotations, so its beats are "
            "unknown; get the file again or leave the record out"
        )
    if not path.read_bytes().endswith(_END_OF_ANNOTATIONS):
        raise DataError(f"{path} has no end mark: it is cut short or damaged; get the file again")
    try:
        annotation = wfdb.rdann(str(directory / header.name), annotator)
    except _WFDB_ERRORS as error:
        raise DataError(
            f"{path} is not a readable WFDB annotation file ({_line(error)}): get it again"
        ) from error
    ticks = np.asarray(annotation.sample, dtype=np.int64)
    # A code without a symbol comes back as NaN.
    symbols = np.array([s if isinstance(s, str) else "undefined" for s in annotation.symbol or ()])
    order = np.argsort(ticks, kind="stable")
    rate = Fraction(annotation.fs or header.fs_hz).limit_denominator(1000)
    samples = ticks[order]
    if rate != FS_HZ:
        samples = np.rint(samples * float(FS_HZ / rate)).astype(np.int64)
    return Annotations(
        samples=samples,
        symbols=symbols[order].astype(str),
        subtypes=np.asarray(annotation.subtype, dtype=np.int64)[order],
    )


def to_beat_rate(signal: NDArray[np.float64], fs_hz: float) -> NDArray[np.float64]:
    """Resample (samples,) to 360 Hz with a polyphase filter; missing samples stay missing."""
    if fs_hz == FS_HZ:
        return signal
    from scipy.signal import resample_poly  # 0.1 s to import, and most records are at 360 Hz

    ratio = (FS_HZ / Fraction(fs_hz).limit_denominator(1000)).limit_denominator(1000)
    finite = np.isfinite(signal)
    # The filter starts from zero at both ends: without its offset the signal does not jump there.
    offset = np.median(signal[finite]) if finite.any() else 0.0
    return resample_poly(signal - offset, ratio.numerator, ratio.denominator) + offset


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
