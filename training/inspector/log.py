"""A log in normal form: traces of epochs, facts that hold for the whole run, non-finite values.

Every value keeps the line it came from. Columns are sparse arrays of numbers, so that a log of
100 MB takes less memory than it takes disk; a log over the budget is refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from photonic.errors import DataError
from training.inspector.finding import Source

MOST_VALUES = 16_000_000
"""Numbers that a log may hold; 16 bytes each."""
MOST_TRACES = 1_000
MOST_WORDS = 64
"""Different texts that are kept per column; further ones are dropped."""
MOST_NONFINITE = 20


@dataclass(frozen=True, slots=True)
class Curve:
    """One column of one trace, its finite values only.

    Attributes:
        name: canonical name of the column.
        file: the log.
        epochs: the log's own epoch numbers ``(n,)``.
        values: ``(n,)``.
        lines: line of each value ``(n,)``.
    """

    name: str
    file: str
    epochs: NDArray[np.float64]
    values: NDArray[np.float64]
    lines: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.values)

    def source(self, index: SupportsIndex) -> Source:
        """Where value ``index`` stands."""
        return Source(self.file, int(self.lines[index]))

    def sources(self, *indices: SupportsIndex) -> tuple[Source, ...]:
        """Where some values stand, without repeats."""
        return tuple(dict.fromkeys(self.source(index) for index in indices))

    def epoch(self, index: SupportsIndex) -> str:
        """Epoch number of value ``index`` as text."""
        return f"{self.epochs[index]:g}"

    def at(self, chosen: NDArray[np.bool_]) -> Curve:
        """The chosen values alone."""
        kept = (self.epochs[chosen], self.values[chosen], self.lines[chosen])
        return Curve(self.name, self.file, *kept)


@dataclass(frozen=True, slots=True)
class Nonfinite:
    """A NaN or an infinity in the log."""

    name: str
    value: float
    where: str
    source: Source


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds for the whole run: a number, a text or a list of texts."""

    value: float | str | tuple[str, ...]
    source: Source


class _Column:
    """Values of one column as they come: row of each, value, line."""

    __slots__ = ("lines", "rows", "values")

    def __init__(self) -> None:
        self.rows, self.values, self.lines = array("i"), array("d"), array("i")

    def put(self, row: int, value: float, line: int) -> int:
        """Keep a value, or replace the one of the same row; returns how many were added."""
        if self.rows and self.rows[-1] == row:
            self.values[-1], self.lines[-1] = value, line
            return 0
        self.rows.append(row)
        self.values.append(value)
        self.lines.append(line)
        return 1


@dataclass(frozen=True, slots=True)
class Trace:
    """A series of epochs: the whole log, a fold, a stage.

    Attributes:
        name: what tells it from the other traces, e.g. ``fold 2``; empty where there is one.
        file: the log.
        words: texts by column, each with the line of its first appearance.
    """

    name: str
    file: str
    words: dict[str, dict[str, int]] = field(default_factory=dict)
    _epochs: array[float] = field(default_factory=lambda: array("d"))
    _columns: dict[str, _Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns with at least one finite value."""
        return tuple(self._columns)

    def curve(self, name: str) -> Curve | None:
        """A column, or None where nothing finite was logged under that name."""
        column = self._columns.get(name)
        if column is None:
            return None
        # Views: a long log need not be in memory twice.
        epochs = np.frombuffer(self._epochs, dtype=np.float64)
        return Curve(
            name=name,
            file=self.file,
            epochs=epochs[np.frombuffer(column.rows, dtype=np.int32)],
            values=np.frombuffer(column.values, dtype=np.float64),
            lines=np.frombuffer(column.lines, dtype=np.int32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Everything that a log says, in normal form."""

    file: str
    traces: tuple[Trace, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    nonfinite: tuple[Nonfinite, ...] = ()
    notes: tuple[str, ...] = ()
    num_lines: int = 0

    @property
    def num_epochs(self) -> int:
        """Epochs of all traces together."""
        return sum(len(trace) for trace in self.traces)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of any trace, in order of appearance."""
        return tuple(dict.fromkeys(name for trace in self.traces for name in trace.names))

    def curves(self, name: str) -> Iterator[tuple[Trace, Curve]]:
        """The traces that have a column, with it."""
        for trace in self.traces:
            curve = trace.curve(name)
            if curve is not None:
                yield trace, curve

    def number(self, name: str) -> tuple[float, Source] | None:
        """A fact that is a number."""
        fact = self.facts.get(name)
        return (fact.value, fact.source) if fact and isinstance(fact.value, float) else None


class LogBuilder:
    """Takes what an adapter reads, in the order of the file.

    Args:
        file: name of the log, for evidence and messages.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.notes: list[str] = []
        self.num_lines = 0
        self._facts: dict[str, Fact] = {}
        self._traces: dict[str, Trace] = {}
        self._parts: dict[str, int] = {}
        self._nonfinite: list[Nonfinite] = []
        self._num_values = 0

    def fact(self, name: str, value: float | str | tuple[str, ...], line: int) -> None:
        """Keep a fact; the first mention counts."""
        self._facts.setdefault(name, Fact(value, Source(self.file, line)))

    def nonfinite(self, name: str, value: float, where: str, line: int) -> None:
        """Keep a NaN or an infinity; the first of each column and the first few in all."""
        known = any(found.name == name and found.where == where for found in self._nonfinite)
        if not known and len(self._nonfinite) < MOST_NONFINITE:
            self._nonfinite.append(Nonfinite(name, value, where, Source(self.file, line)))

    def epoch(
        self,
        key: str,
        number: float | None,
        numbers: Mapping[str, float],
        line: int,
        words: Mapping[str, str] | None = None,
    ) -> None:
        """Keep values of one epoch of one trace.

        A second call with the same number adds to the same epoch. A number below the last one
        begins a new part of the trace: a fold that is not named, or a run that was resumed.

        Args:
            key: name of the trace.
            number: epoch number, or None where each call is an epoch of its own.
            numbers: values by canonical name; non-finite ones are set apart.
            line: where they stand.
            words: texts by canonical name.

        Raises:
            DataError: the log is over the budget of values or traces.
        """
        trace = self._trace(key, number, line)
        epochs = trace._epochs
        if number is None:
            number = len(epochs) + 1.0
        if not epochs or epochs[-1] != number:
            epochs.append(number)
        row = len(epochs) - 1
        for name, value in numbers.items():
            if value - value != 0.0:  # NaN or infinite
                where = f"{trace.name}, epoch {number:g}" if trace.name else f"epoch {number:g}"
                self.nonfinite(name, value, where, line)
                continue
            column = trace._columns.get(name)
            if column is None:
                column = trace._columns.setdefault(name, _Column())
            self._num_values += column.put(row, value, line)
        for name, word in (words or {}).items():
            known = trace.words.setdefault(name, {})
            if len(known) < MOST_WORDS:
                known.setdefault(word, line)
        if self._num_values > MOST_VALUES:
            raise DataError(
                f"{self.file}:{line}: more than {MOST_VALUES} numbers; "
                "give a log with one line per epoch"
            )

    def build(self) -> Log:
        """The log in normal form."""
        return Log(
            file=self.file,
            traces=tuple(self._traces.values()),
            facts=self._facts,
            nonfinite=tuple(self._nonfinite),
            notes=tuple(self.notes),
            num_lines=self.num_lines,
        )

    def _trace(self, key: str, number: float | None, line: int) -> Trace:
        part = self._parts.setdefault(key, 1)
        trace = self._traces.get(_part_name(key, part))
        if trace is not None and number is not None and trace._epochs[-1] > number:
            part = self._parts[key] = part + 1
            trace = None
        if trace is None:
            if len(self._traces) >= MOST_TRACES:
                raise DataError(
                    f"{self.file}:{line}: more than {MOST_TRACES} traces; "
                    "is the epoch number really the epoch?"
                )
            name = _part_name(key, part)
            trace = self._traces[name] = Trace(name, self.file)
        return trace


def _part_name(key: str, part: int) -> str:
    if part == 1:
        return key
    return f"{key}, part {part}" if key else f"part {part}"
