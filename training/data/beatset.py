"""The labelled beats of many records as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonic.beats import Template
from photonic.errors import DataError
from photonic.fiducial import Centre
from training.data.cache import cached_record_beats
from training.data.labels import DROPPED, PACED_SYMBOL, LabelMap
from training.data.record_beats import RecordBeats, read_record_beats
from training.data.records import (
    Header,
    LeadChoice,
    check_rate,
    list_records,
    read_annotations,
    read_header,
)

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSummary:
    """Where a record's beats come from and what was left out.

    Attributes:
        name: record name.
        lead: name of the lead that was read.
        fs_hz: sampling rate of the files; beats are at 360 Hz whatever it is.
        duration_s: length.
        num_outside: beats dropped because their window leaves the record.
        num_gaps: beats dropped because their window misses samples.
        num_flutter: beats dropped because they lie in ventricular flutter.
        num_unmapped: beats dropped because the label map has no class for them.
        companion: the lead is the record's other one, beside an entry for the chosen lead.
    """

    name: str
    lead: str
    fs_hz: float
    duration_s: float
    num_outside: int
    num_gaps: int
    num_flutter: int
    num_unmapped: int
    companion: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatSet:
    """Labelled beats, record after record, in time order within each.

    Where a record was read in both leads it is listed twice, and the beats of all companion leads
    stand at the end: each lead of a beat is an example of its own.

    Attributes:
        beats: (n, 360) float32 in [-1, 1], channel 1 of a student.
        residual: (n, 360) float32 in [-1, 1], difference from the record's beats so far, channel 2;
            None where it was not asked for.
        amplitude: (n,) float32, largest magnitude of the beat in the unit of the record.
        rhythm: (n, 2, 4) float32 rhythm tokens with one beat of delay;
            :func:`photonic.rhythm.causal_tokens` takes the delay out.
        label: (n,) class index.
        symbol: (n,) WFDB symbol.
        record: (n,) index into ``records``.
        sample: (n,) sample number of the R peak at 360 Hz.
        records: one summary per record and lead.
        excluded: records left out because they are paced.
        labels: the label map.
    """

    beats: NDArray[np.float32]
    residual: NDArray[np.float32] | None
    amplitude: NDArray[np.float32]
    rhythm: NDArray[np.float32]
    label: NDArray[np.int64]
    symbol: NDArray[np.str_]
    record: NDArray[np.int32]
    sample: NDArray[np.int64]
    records: tuple[RecordSummary, ...]
    excluded: tuple[str, ...]
    labels: LabelMap

    def __len__(self) -> int:
        return len(self.label)

    @property
    def record_names(self) -> tuple[str, ...]:
        """Names of ``records``."""
        return tuple(summary.name for summary in self.records)

    def of_records(self, names: Sequence[str], *, companion: bool = False) -> Indices:
        """Ascending indices of the beats of these records, in the chosen or the companion lead."""
        wanted = [
            i
            for i, summary in enumerate(self.records)
            if summary.name in set(names) and summary.companion == companion
        ]
        return np.flatnonzero(np.isin(self.record, wanted))

    def class_counts(self, index: Indices | None = None) -> dict[str, int]:
        """Beats per class name, of all beats or of those in ``index``."""
        label = self.label if index is None else self.label[index]
        counts = np.bincount(label, minlength=len(self.labels.classes))
        return dict(zip(self.labels.classes, counts.tolist(), strict=True))

    def select(self, index: Indices) -> BeatSet:
        """The beats in ``index``, in its order; all records stay listed."""
        return replace(
            self,
            beats=self.beats[index],
            residual=None if self.residual is None else self.residual[index],
            amplitude=self.amplitude[index],
            rhythm=self.rhythm[index],
            label=self.label[index],
            symbol=self.symbol[index],
            record=self.record[index],
            sample=self.sample[index],
        )


def load_beats(
    directory: Path,
    labels: LabelMap,
    *,
    records: Sequence[str] | None = None,
    lead: LeadChoice | None = None,
    both_leads: Sequence[str] = (),
    resample: bool = False,
    annotator: str = "atr",
    keep_paced: bool = False,
    residual: bool = False,
    centre: Centre = "r-peak",
    template: Template = "mean",
    jitter: int = 0,
    cache: Path | None = None,
    on_record: Callable[[str], None] | None = None,
) -> BeatSet:
    """Read the labelled beats of a folder of WFDB records, from the cache where possible.

    Args:
        directory: the folder.
        labels: label map; beats it has no class for are dropped and counted.
        records: names to read, in this order; all of the folder, sorted, if left out.
        lead: which lead; MLII if left out.
        both_leads: records whose other lead is read as well; one without another adds nothing.
        resample: accept records at another rate than 360 Hz and resample them.
        annotator: suffix of the annotation files.
        keep_paced: keep records with paced beats where the label map leaves them out.
        residual: also load the residuals (channel 2).
        centre: what windows and intervals are taken from.
        template: what beats are compared with.
        jitter: move every R peak at random by up to so many samples; such beats are not cached.
        cache: folder of the cache, the user's if left out.
        on_record: called with the name of each record that is done.

    Raises:
        DataError: a record is missing, damaged, at another rate or without the lead; an unknown
            symbol; no beat is left.
    """
    choice = lead or LeadChoice()
    other = replace(choice, companion=not choice.companion)
    names = records if records is not None else list_records(directory)
    excludes_paced = labels.excludes_paced and not keep_paced
    parts: list[RecordBeats] = []
    summaries: list[RecordSummary] = []
    kept_labels: list[NDArray[np.int64]] = []
    excluded: list[str] = []
    for name, wanted in [(n, choice) for n in names] + [(n, other) for n in both_leads]:
        header = read_header(directory, name)
        check_rate(header, resample=resample)
        found = wanted.find(name, header.leads)
        if wanted is other and (found is None or name in excluded):
            continue
        # A paced record that is left out anyway need not have the lead.
        if (
            excludes_paced
            and found is None
            and _is_paced(read_annotations(directory, header, annotator).symbols)
        ):
            excluded.append(name)
            continue
        channel = wanted.channel(name, header.leads)
        if jitter:
            part = read_record_beats(
                directory,
                header,
                channel,
                annotator,
                centre=centre,
                template=template,
                jitter=jitter,
            )
            part = part if residual else replace(part, residual=None)
        else:
            part = cached_record_beats(
                directory,
                header,
                channel,
                annotator=annotator,
                centre=centre,
                template=template,
                cache=cache,
                residual=residual,
            )
        if on_record is not None and wanted is choice:
            on_record(name)
        if excludes_paced and _is_paced(part.symbol):
            excluded.append(name)
            continue
        label = labels.encode(part.symbol)
        flutter = part.flutter & labels.excludes_flutter
        summary = _summary(header, channel, part, label, flutter)
        summaries.append(replace(summary, companion=wanted is other))
        keep = (label != DROPPED) & ~flutter
        parts.append(part if keep.all() else _kept(part, keep))
        kept_labels.append(label[keep])
    if not sum(map(len, kept_labels)):
        raise DataError(
            f"{directory}: no beat is left in {len(summaries)} records under label map "
            f"{labels.name} ({labels.note}); {len(excluded)} paced records were left out: choose "
            "other records or another label map"
        )
    return BeatSet(
        beats=np.concatenate([part.beats for part in parts]),
        residual=_joined([part.residual for part in parts]),
        amplitude=np.concatenate([part.amplitude for part in parts]),
        rhythm=np.concatenate([part.rhythm for part in parts]),
        label=np.concatenate(kept_labels),
        symbol=np.concatenate([part.symbol for part in parts]),
        record=np.repeat(
            np.arange(len(parts), dtype=np.int32), [len(part.sample) for part in parts]
        ),
        sample=np.concatenate([part.sample for part in parts]),
        records=tuple(summaries),
        excluded=tuple(excluded),
        labels=labels,
    )


def _is_paced(symbols: NDArray[np.str_]) -> bool:
    return bool((symbols == PACED_SYMBOL).any())


def _summary(
    header: Header,
    channel: int,
    part: RecordBeats,
    label: NDArray[np.int64],
    flutter: NDArray[np.bool_],
) -> RecordSummary:
    return RecordSummary(
        name=header.name,
        lead=header.leads[channel],
        fs_hz=header.fs_hz,
        duration_s=header.num_samples / header.fs_hz,
        num_outside=part.num_outside,
        num_gaps=part.num_gaps,
        num_flutter=int(flutter.sum()),
        num_unmapped=int(((label == DROPPED) & ~flutter).sum()),
    )


def _kept(part: RecordBeats, keep: NDArray[np.bool_]) -> RecordBeats:
    return replace(
        part,
        beats=part.beats[keep],
        residual=None if part.residual is None else part.residual[keep],
        amplitude=part.amplitude[keep],
        rhythm=part.rhythm[keep],
        symbol=part.symbol[keep],
        sample=part.sample[keep],
        flutter=part.flutter[keep],
    )


def _joined(arrays: list[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None
