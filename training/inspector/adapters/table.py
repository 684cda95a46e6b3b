"""Logs that are tables: CSV with a row per epoch, and the sparse CSV of Lightning's logger.

Lightning writes a row per call of ``log``: training steps, epoch means and validation each in rows
of their own with the other cells empty. Rows of one epoch are merged here, column by column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonic.errors import DataError
from training.inspector.adapters.values import to_number
from training.inspector.lines import Advance, Line, ignore, read_lines
from training.inspector.log import Log, LogBuilder
from training.inspector.names import TRACE_KEYS, put


def read_table(path: Path, advance: Advance = ignore) -> Log:
    """Read a CSV log with a header; rows are numbered by the column ``epoch``, else by place.

    Raises:
        DataError: no header, a header without a name or with one twice, a row of another length
            (a torn last one excepted), or text in a column of numbers.
    """
    builder = LogBuilder(path.name)
    rows = _rows(path, advance)
    header = next(rows, None)
    if header is None:
        return builder.build()
    columns = _Columns(path, header[1])
    for line, cells in rows:
        builder.num_lines = line.number
        if len(cells) != len(columns.names):
            if not line.whole:
                builder.notes.append(f"{path.name}:{line.number}: torn last row, left out")
                continue
            raise DataError(
                f"{path}:{line.number}: {len(cells)} cells under a header of {len(columns.names)}"
            )
        columns.read(builder, cells, line)
    return builder.build()


def read_columns(path: Path) -> dict[str, NDArray[np.str_]]:
    """The columns of a CSV table as texts, by name: what identifies the samples of a split.

    Raises:
        DataError: no rows, or a row of another length than the header.
    """
    rows = _rows(path)
    header = next(rows, None)
    columns: list[list[str]] = [[] for _ in header[1]] if header else []
    for line, cells in rows:
        if len(cells) != len(columns):
            raise DataError(
                f"{path}:{line.number}: {len(cells)} cells under a header of {len(columns)}"
            )
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell.strip())
    if header is None or not columns[0]:
        raise DataError(f"{path}: no rows; expected a header and one row per sample")
    return {name.strip(): np.array(c) for name, c in zip(header[1], columns, strict=True)}


def _rows(path: Path, advance: Advance = ignore) -> Iterator[tuple[Line, list[str]]]:
    """Each row on a line of its own; a quoted line break is no part of a log."""
    for line in read_lines(path, advance):
        if '"' not in line.text:
            yield line, line.text.split(",")
            continue
        try:
            yield line, next(csv.reader([line.text], strict=True))
        except csv.Error as error:
            if line.whole:
                raise DataError(f"{path}:{line.number}: not valid CSV: {error}") from None
            yield line, []


class _Columns:
    """What each column of the table is for."""

    def __init__(self, path: Path, header: list[str]) -> None:
        self.path = path
        self.names = [name.strip() for name in header]
        if not all(self.names):
            raise DataError(f"{path}:1: a column without a name; the first line is the header")
        if any(to_number(name) is not None for name in self.names):
            raise DataError(f"{path}:1: a number where a column's name should be; give a header")
        lowered = [name.lower() for name in self.names]
        self.epoch = lowered.index("epoch") if "epoch" in lowered else None
        self.traces = [i for i, name in enumerate(lowered) if name in TRACE_KEYS]
        # A mean over the epoch says more than the last step, where a table has both.
        superseded = {f"{name.removesuffix('_epoch')}_step" for name in lowered}
        doubled = [name for name in lowered if lowered.count(name) > 1]
        if doubled:
            raise DataError(f"{path}:1: two columns are called {doubled[0]!r}; rename one")
        places: dict[str, float] = {}
        for index, name in enumerate(lowered):
            if index != self.epoch and index not in self.traces and name not in superseded:
                put(places, name.removesuffix("_step") or name, index)
        self.canonical = {int(index): name for name, index in places.items()}
        self.numeric: set[int] = set()

    def read(self, builder: LogBuilder, cells: list[str], line: Line) -> None:
        number = None
        if self.epoch is not None and cells[self.epoch].strip():
            number = to_number(cells[self.epoch])
            if number is None or number - number != 0.0:
                self._refuse(cells[self.epoch], self.epoch, line)
        numbers: dict[str, float] = {}
        words: dict[str, str] = {}
        for index, name in self.canonical.items():
            text = cells[index].strip()
            if not text:
                continue
            value = to_number(text)
            if value is not None:
                numbers[name] = value
                self.numeric.add(index)
            elif index in self.numeric:
                if line.whole:
                    self._refuse(text, index, line)
            else:
                words[name] = text
        if numbers or words:
            trace = ", ".join(f"{self.names[i].lower()} {cells[i].strip()}" for i in self.traces)
            builder.epoch(trace, number, numbers, line.number, words)

    def _refuse(self, text: str, index: int, line: Line) -> None:
        raise DataError(
            f"{self.path}:{line.number}: {text!r} in column {self.names[index]!r}, "
            "which holds numbers"
        )
