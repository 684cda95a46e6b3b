"""``train_log.jsonl`` mirrored to TensorBoard, where the user asks for it.

The log stays the record; the event file is a copy that is written anew from the log whenever a run
begins or resumes, so that it never holds more or less than the log does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

FOLDER = "tensorboard"


class Mirror(Protocol):
    """Takes the records of the log one by one."""

    def add(self, record: Mapping[str, Any]) -> None:
        """One record, as it stands in the log."""
        ...

    def close(self) -> None:
        """Write what is still held back."""
        ...


class NoMirror:
    """Nothing is mirrored."""

    def add(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class TensorBoard:
    """An event file; its writer has a thread of its own, so that training does not wait for it.

    Steps are epochs counted through all stages; numbers keep the names that they have in the log.

    Args:
        folder: where the event file is to be; what is there is removed.
        records: what the log holds already.
    """

    def __init__(self, folder: Path, records: Iterable[Mapping[str, Any]]) -> None:
        writer = _writer_type()
        shutil.rmtree(folder, ignore_errors=True)
        self.writer, self.step = writer(folder), 0
        for record in records:
            self.add(record)

    def add(self, record: Mapping[str, Any]) -> None:
        """Numbers as scalars, messages as text; the start is step 0, its epoch's figures follow."""
        for name, value in numbers(record):
            self.writer.add_scalar(name, value, self.step)
        for message in record.get("messages", ()):
            self.writer.add_text("messages", message, self.step)
        if record.get("event") == "epoch":
            self.step += 1
        self.writer.flush()

    def close(self) -> None:
        """Write what is still held back."""
        self.writer.close()


def check_logger(logger: str | None) -> None:
    """Fail early where the package that a logger needs is missing.

    Raises:
        ModuleNotFoundError: it is.
    """
    if logger is not None:
        _writer_type()


def open_mirror(logger: str | None, run: Path, records: Iterable[Mapping[str, Any]]) -> Mirror:
    """The mirror of a run directory that the configuration names.

    Args:
        logger: ``tensorboard`` or None.
        run: the run directory.
        records: what its log holds already.
    """
    return NoMirror() if logger is None else TensorBoard(run / FOLDER, records)


def numbers(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a record under its path, ``val/per_class/V/f1``; flags and texts left out."""
    for name, value in record.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from numbers(value, f"{path}/")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from numbers({str(i): item for i, item in enumerate(value)}, f"{path}/")
        elif isinstance(value, Real) and not isinstance(value, bool):
            yield path, float(value)


def _writer_type() -> type[Any]:
    from torch.utils.tensorboard import SummaryWriter  # takes a second to import

    return SummaryWriter
