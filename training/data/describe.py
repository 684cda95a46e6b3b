"""What a folder of WFDB records holds, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb

from photonic.beats import FS_HZ, WINDOW
from photonic.errors import DataError
from training.data.labels import DROPPED, PACED_SYMBOL, LabelMap, in_flutter, is_beat
from training.data.records import Header, LeadChoice, read_annotations, read_header, read_signal


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReport:
    """One record as it is, before any choice of split.

    Attributes:
        name: record name.
        leads: names of its leads.
        fs_hz: sampling rate, None where the header cannot be read.
        duration_s: length, None where the header cannot be read.
        num_beats: annotated beats.
        classes: beats per class of the label map, of those with a whole window.
        num_outside: beats whose window leaves the record.
        num_unmapped: beats without a class, or in ventricular flutter where the map excludes it.
        symbols: annotations per symbol, beats and others.
        paced: it holds paced beats; the AAMI maps leave such records out.
        faults: what makes it unreadable, one line each.
        remarks: what a user should know, one line each.
    """

    name: str
    leads: tuple[str, ...]
    fs_hz: float | None
    duration_s: float | None
    num_beats: int
    classes: dict[str, int]
    num_outside: int
    num_unmapped: int
    symbols: dict[str, int]
    paced: bool
    faults: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over records.

    Attributes:
        num_records: how many.
        num_faulty: records with faults.
        duration_s: length of all.
        num_beats: annotated beats.
        classes: beats per class.
        num_outside: beats whose window leaves its record.
        num_unmapped: beats without a class.
        paced: names of paced records.
    """

    num_records: int
    num_faulty: int
    duration_s: float
    num_beats: int
    classes: dict[str, int]
    num_outside: int
    num_unmapped: int
    paced: tuple[str, ...]


def describe_record(
    directory: Path, name: str, labels: LabelMap, lead: LeadChoice, annotator: str = "atr"
) -> RecordReport:
    """Read everything of a record and report it; faults are collected, not raised."""
    try:
        header = read_header(directory, name)
    except DataError as error:
        return _report(name, labels, faults=(str(error),))
    faults: list[str] = []
    remarks: list[str] = []
    try:
        remarks += _signal_remarks(directory, header)
    except DataError as error:
        faults.append(str(error))
    if header.fs_hz != FS_HZ:
        remarks.append(f"sampled at {header.fs_hz:g} Hz: needs --resample {FS_HZ}")
    if lead.find(name, header.leads) is None:
        remarks.append(f"no lead {lead.lead}")
    try:
        return _with_annotations(directory, header, labels, annotator, faults, remarks)
    except DataError as error:
        return _report(name, labels, header, faults=(*faults, str(error)), remarks=tuple(remarks))


def sum_up(reports: Iterable[RecordReport], labels: LabelMap) -> Totals:
    """Totals of the reports of records."""
    rows = list(reports)
    return Totals(
        num_records=len(rows),
        num_faulty=sum(bool(row.faults) for row in rows),
        duration_s=sum(row.duration_s or 0.0 for row in rows),
        num_beats=sum(row.num_beats for row in rows),
        classes={name: sum(row.classes[name] for row in rows) for name in labels.classes},
        num_outside=sum(row.num_outside for row in rows),
        num_unmapped=sum(row.num_unmapped for row in rows),
        paced=tuple(row.name for row in rows if row.paced),
    )


def _with_annotations(
    directory: Path,
    header: Header,
    labels: LabelMap,
    annotator: str,
    faults: list[str],
    remarks: list[str],
) -> RecordReport:
    annotations = read_annotations(directory, header, annotator)
    beat = is_beat(annotations.symbols, annotations.samples, header.name)
    r_peaks, symbols = annotations.samples[beat], annotations.symbols[beat]
    num_samples = int(np.ceil(header.num_samples * FS_HZ / header.fs_hz))
    inside = (r_peaks >= WINDOW // 2) & (r_peaks + WINDOW // 2 <= num_samples)
    label = labels.encode(symbols)
    if labels.excludes_flutter:
        flutter = in_flutter(annotations.symbols, annotations.samples, r_peaks)
        label[flutter] = DROPPED
    if not len(symbols):
        remarks.append("no beat is annotated")
    paced = bool((symbols == PACED_SYMBOL).any())
    if paced:
        excluded = "left out" if labels.excludes_paced else "kept"
        remarks.append(f"paced: {excluded} by label map {labels.name}")
    return _report(
        header.name,
        labels,
        header,
        num_beats=len(symbols),
        classes={
            name: int((label[inside] == index).sum()) for index, name in enumerate(labels.classes)
        },
        num_outside=int((~inside).sum()),
        num_unmapped=int((label[inside] == DROPPED).sum()),
        symbols=dict(Counter(annotations.symbols.tolist())),
        paced=paced,
        faults=tuple(faults),
        remarks=tuple(remarks),
    )


def _signal_remarks(directory: Path, header: Header) -> list[str]:
    remarks = []
    for channel, lead in enumerate(header.leads):
        signal = read_signal(directory, header, channel)
        num_missing = int(np.isnan(signal).sum())
        if num_missing:
            remarks.append(f"{num_missing} samples of lead {lead} are missing")
    if _is_altered(directory, header):
        remarks.append("the signal does not match the header's checksums: it was altered")
    return remarks


def _is_altered(directory: Path, header: Header) -> bool:
    """Whether the ADC codes of a signal do not sum to what the header says (modulo 2^16)."""
    record = wfdb.rdrecord(str(directory / header.name), physical=False)
    if not isinstance(record, wfdb.Record) or set(record.samps_per_frame or ()) != {1}:
        return False  # the reader averages several samples per frame: nothing to compare
    promised = [sum_of_codes for sum_of_codes in record.checksum or () if sum_of_codes is not None]
    found = np.asarray(record.d_signal, dtype=np.int64).sum(axis=0)
    return len(promised) == len(found) and bool(((found - promised) % 2**16).any())


def _report(
    name: str,
    labels: LabelMap,
    header: Header | None = None,
    *,
    num_beats: int = 0,
    classes: dict[str, int] | None = None,
    num_outside: int = 0,
    num_unmapped: int = 0,
    symbols: dict[str, int] | None = None,
    paced: bool = False,
    faults: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
) -> RecordReport:
    return RecordReport(
        name=name,
        leads=header.leads if header else (),
        fs_hz=header.fs_hz if header else None,
        duration_s=header.num_samples / header.fs_hz if header else None,
        num_beats=num_beats,
        classes=classes or dict.fromkeys(labels.classes, 0),
        num_outside=num_outside,
        num_unmapped=num_unmapped,
        symbols=symbols or {},
        paced=paced,
        faults=faults,
        remarks=remarks,
    )
