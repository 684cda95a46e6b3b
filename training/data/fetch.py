"""Get a database from PhysioNet, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import wfdb

from photonic.errors import ConfigError, DataError
from photonic.files import atomic_directory
from training.data.records import list_records, read_annotations, read_header, read_signal


def fetch_database(name: str, directory: Path, *, annotator: str = "atr") -> tuple[str, ...]:
    """Download the records and reference annotations of an open PhysioNet database.

    The folder appears when every record was downloaded and could be read.

    Args:
        name: short name of the database, such as ``mitdb``.
        directory: folder to make.
        annotator: suffix of the annotation files that every record must have.

    Returns:
        Names of the records.

    Raises:
        ConfigError: the name is no database name, or the folder is not empty.
        DataError: PhysioNet cannot be reached, has no such database, or what came is not whole.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ConfigError(
            f"{name!r} is not a PhysioNet database: small letters, digits and - are allowed, as in "
            "mitdb"
        )
    with atomic_directory(directory) as folder:
        _download(name, folder)
        names = list_records(folder)
        for record in names:
            header = read_header(folder, record)
            read_signal(folder, header, 0)
            read_annotations(folder, header, annotator)
    return names


def _download(name: str, folder: Path) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # wfdb prints a line per record
            wfdb.dl_database(name, str(folder), keep_subdirs=False)
    except FileNotFoundError as error:
        raise DataError(
            f"physionet.org has no open database {name!r}: see physionet.org/about/database"
        ) from error
    except (OSError, ValueError) as error:  # the network's errors are OSErrors here
        raise DataError(
            f"{name} could not be downloaded from physionet.org ({type(error).__name__}): check "
            "the network and try again, or work without it on `photonic data synth`"
        ) from error
