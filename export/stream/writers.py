"""Streamed beats as JSON lines and as WFDB annotations."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from export.stream.beat import StreamedBeat
from export.stream.run import OnBeat
from photonic.beats import FS_HZ
from photonic.errors import ConfigError
from photonic.files import atomic_write

# Classes that have a WFDB symbol of their own; any other is a Q, its name in the note.
_SYMBOLS = {"N": "N", "S": "S", "V": "V", "F": "F", "Q": "Q", "normal": "N"}
_OTHER_CLASS, _NO_CLASS = "Q", "?"
# What wfdb takes for a record and for an annotator.
_RECORD_NAME, _ANNOTATOR = re.compile(r"[-\w]+"), re.compile(r"[a-zA-Z]+")


def beat_to_dict(beat: StreamedBeat, classes: Sequence[str]) -> dict[str, Any]:
    """JSON form of a beat: position, class or reason without one, logits, delays and times."""
    return {
        "sample": beat.sample,
        "time_s": round(beat.sample / FS_HZ, 4),
        "class": None if beat.label is None else classes[beat.label],
        "fault": None if beat.fault is None else beat.fault.value,
        "logits": list(beat.logits),
        "known_at": beat.known_at,
        "decided_at": beat.decided_at,
        "preprocess_us": round(beat.preprocess_us, 2),
        "inference_us": round(beat.inference_us, 2),
        "total_us": round(beat.total_us, 2),
        "floor_us": round(beat.floor_us, 2),
    }


@contextmanager
def beat_writer(path: Path, classes: Sequence[str], *, live: bool) -> Iterator[OnBeat]:
    """Yield what writes a beat as one JSON line; ``session`` counts connections from 0 on.

    Args:
        path: file to write.
        classes: class names.
        live: write every line as soon as it is there, for streams that have no end; else the file
            appears when all is written.
    """
    with path.open("w", encoding="utf-8") if live else _whole(path) as file:

        def write(session: int, beat: StreamedBeat) -> None:
            line = json.dumps({"session": session, **beat_to_dict(beat, classes)}, allow_nan=False)
            file.write(line + "\n")
            if live:
                file.flush()

        yield write


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def write_annotations(
    path: Path, beats: Sequence[StreamedBeat], classes: Sequence[str], fs_hz: float
) -> None:
    """Write beats as a WFDB annotation file ``RECORD.EXTENSION``, whole or not at all.

    Classes N, S, V, F, Q and "normal" keep their WFDB symbol, any other class is ``Q`` and a beat
    without a class ``?``; the note of each annotation holds the name of the class or the fault.

    Args:
        path: file to write; its stem is the record's name, its suffix the annotator's.
        beats: streamed beats.
        classes: class names.
        fs_hz: sampling rate of the record, in whose samples the annotations count.

    Raises:
        ConfigError: the file name is none that WFDB takes.
    """
    record, annotator = path.stem, path.suffix.removeprefix(".")
    if not _RECORD_NAME.fullmatch(record) or not _ANNOTATOR.fullmatch(annotator):
        raise ConfigError(
            f"{path.name!r} names no WFDB annotations: RECORD.ANNOTATOR is needed, a record of "
            "letters, digits, - and _, an annotator of letters, e.g. 100.pho"
        )
    import wfdb

    notes = [_note(beat, classes) for beat in beats]
    samples = np.rint([beat.sample * fs_hz / FS_HZ for beat in beats]).astype(np.int64)
    if not beats:
        raise ConfigError(f"no beat was found: {path} would be empty, which WFDB does not allow")
    with tempfile.TemporaryDirectory() as folder, atomic_write(path) as target:
        wfdb.wrann(
            record,
            annotator,
            samples,
            symbol=[_symbol(beat, classes) for beat in beats],
            aux_note=notes,
            fs=fs_hz,
            write_dir=folder,
        )
        shutil.copyfile(Path(folder, path.name), target)


def _symbol(beat: StreamedBeat, classes: Sequence[str]) -> str:
    if beat.label is None:
        return _NO_CLASS
    return _SYMBOLS.get(classes[beat.label], _OTHER_CLASS)


def _note(beat: StreamedBeat, classes: Sequence[str]) -> str:
    if beat.label is not None:
        return classes[beat.label]
    return beat.fault.value if beat.fault is not None else ""
