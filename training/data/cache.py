"""Cache of the beats of records: one NPZ file per record and lead.

A file's name is a hash of everything its content follows from: the bytes of the record's files,
the lead, and the source of the functions that cut beats. Hashing contents (0.1 s for 100 MB) rather
than times means that an edited record is never mistaken for the old one, whatever its date, and
that a copy of a database elsewhere finds the same cache. ZIP's checksums tell a damaged file.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import zipfile
import zlib
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

import photonic.beats
import photonic.fiducial
import photonic.rhythm
import training.data.labels
import training.data.record_beats
import training.data.records
from photonic.beats import WINDOW, Template
from photonic.fiducial import Centre
from photonic.files import atomic_write
from training.data.record_beats import RecordBeats, read_record_beats
from training.data.records import Header

_MAKERS = (
    photonic.beats,
    photonic.fiducial,
    photonic.rhythm,
    training.data.labels,
    training.data.records,
    training.data.record_beats,
)
# What has a row per beat and is small is one array: opening a member of a ZIP costs 0.2 ms.
_COLUMNS = ("amplitude", "rhythm", "symbol", "sample", "flutter")
_COUNTS = ("num_outside", "num_gaps")
# What reading an NPZ file raises when it is cut short, altered or of another layout.
_DAMAGE = (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def cache_directory() -> Path:
    """``$PHOTONIC_CACHE``, else the user's cache folder of the platform."""
    named = os.environ.get("PHOTONIC_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("photonic"))


def cached_record_beats(
    directory: Path,
    header: Header,
    channel: int,
    *,
    annotator: str = "atr",
    centre: Centre = "r-peak",
    template: Template = "mean",
    cache: Path | None = None,
    residual: bool = True,
) -> RecordBeats:
    """Beats of a record from the cache; read and stored where they are not there or damaged.

    Args:
        directory: folder of the record.
        header: its header.
        channel: index of the lead.
        annotator: suffix of the annotation file.
        centre: what windows and intervals are taken from.
        template: what beats are compared with.
        cache: folder of the cache; :func:`cache_directory` if left out. It may be deleted at any
            time, and where it cannot be written nothing is stored.
        residual: whether the residuals are wanted; they are half of the bytes.

    Raises:
        DataError: a file of the record is missing or damaged, or a symbol is unknown.
    """
    key = _key(directory, header, f"{channel} {annotator} {centre} {template}", annotator)
    path = (cache or cache_directory()) / f"{header.name}-{key}.npz"
    found = _load(path, residual)
    if found is None:
        found = read_record_beats(
            directory, header, channel, annotator, centre=centre, template=template
        )
        with suppress(OSError), atomic_write(path) as temporary:
            np.savez(temporary, **_packed(found))  # type: ignore[arg-type]
    return found if residual else replace(found, residual=None)


def _key(directory: Path, header: Header, options: str, annotator: str) -> str:
    digest = hashlib.sha256(f"{header.name} {options}".encode())
    digest.update(_makers())
    for name in (f"{header.name}.hea", f"{header.name}.{annotator}", *header.signal_files):
        path = directory / name
        if path.is_file():  # a missing file is reported by the reader
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


@lru_cache
def _makers() -> bytes:
    """Digest of the source that beats follow from, and of how they are stored."""
    sources = [Path(inspect.getfile(module)).read_bytes() for module in _MAKERS]
    return hashlib.sha256(b"".join([*sources, repr((_COLUMNS, _COUNTS)).encode()])).digest()


def _packed(found: RecordBeats) -> dict[str, np.ndarray]:
    columns = {name: getattr(found, name) for name in _COLUMNS}
    layout = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    rows = np.empty(len(found.sample), dtype=layout)
    for name, values in columns.items():
        rows[name] = values
    assert found.residual is not None
    counts = np.array([getattr(found, name) for name in _COUNTS])
    return {"beats": found.beats, "residual": found.residual, "rows": rows, "counts": counts}


def _load(path: Path, residual: bool) -> RecordBeats | None:
    try:
        # Opened here, because np.load leaves a file that is no archive open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            rows, counts = file["rows"], file["counts"].tolist()
            values: dict[str, Any] = {
                "beats": file["beats"],
                "residual": file["residual"] if residual else None,
                **{name: rows[name] for name in _COLUMNS},
                **dict(zip(_COUNTS, counts, strict=True)),
            }
        found = RecordBeats(**values)
    except _DAMAGE:
        return None
    return found if found.beats.shape == (len(found.sample), WINDOW) else None
