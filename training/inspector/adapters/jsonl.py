"""Logs of JSON lines: our own ``train_log.jsonl`` and any other with one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from photonic.errors import DataError
from training.inspector.adapters.values import to_number
from training.inspector.lines import Advance, Line, ignore, read_lines
from training.inspector.log import Log, LogBuilder
from training.inspector.names import TRACE_KEYS, canonical, put

LONGEST_LIST = 64
"""Longer lists are data, not figures: they are only searched for NaN and infinity."""
DEEPEST = 8


def read_jsonl(path: Path, advance: Advance = ignore) -> Log:
    """Read a log of one JSON object per line.

    An object with an ``event`` other than ``epoch`` gives facts; any other is an epoch, numbered
    by its key ``epoch`` or else by its place. Nested objects become names with ``/``.

    Raises:
        DataError: a line that is no JSON object, the last one without a line break excepted,
            which is noted as torn.
    """
    builder = LogBuilder(path.name)
    for line in read_lines(path, advance):
        builder.num_lines = line.number
        entry = _parsed(path, line)
        if entry is None:
            builder.notes.append(f"{path.name}:{line.number}: torn last line, left out")
        elif entry.get("event", "epoch") == "epoch":
            _epoch(builder, entry, line.number)
        else:
            _facts(builder, entry, line.number)
    return builder.build()


def _parsed(path: Path, line: Line) -> dict[str, Any] | None:
    try:
        entry = json.loads(line.text)
    except (json.JSONDecodeError, RecursionError) as error:
        if not line.whole:
            return None
        raise DataError(f"{path}:{line.number}: not valid JSON: {error}") from None
    if not isinstance(entry, dict):
        raise DataError(
            f"{path}:{line.number}: {type(entry).__name__}; a log line is one JSON object"
        )
    return entry


def _epoch(builder: LogBuilder, entry: Mapping[str, Any], line: int) -> None:
    number = entry.get("epoch")
    if isinstance(number, str):
        number = to_number(number)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number != number:
        number = None
    trace = ", ".join(
        f"{key} {entry[key]}" for key in TRACE_KEYS if isinstance(entry.get(key), (str, int))
    )
    numbers: dict[str, float] = {}
    words: dict[str, str] = {}
    for name, value in _leaves(entry):
        if name in ("epoch", "event") or name in TRACE_KEYS:
            continue
        figure = _figure(value)
        if figure is not None:
            put(numbers, name, figure)
        elif isinstance(value, str):
            words[canonical(name)] = value
    where = None if number is None else float(number)
    builder.epoch(trace, where, numbers, line, words)


def _facts(builder: LogBuilder, entry: Mapping[str, Any], line: int) -> None:
    event = str(entry["event"])
    builder.fact(f"event/{event}", event, line)
    for key, value in entry.items():
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            builder.fact(canonical(key), tuple(value), line)
    for name, value in _leaves(entry):
        figure = _figure(value)
        if figure is not None and figure - figure != 0.0:
            builder.nonfinite(name, figure, f"event {event}", line)
        elif figure is not None:
            builder.fact(canonical(name), figure, line)
        elif isinstance(value, str) and name != "event":
            builder.fact(canonical(name), value, line)


def _figure(value: Any) -> float | None:
    """A number, also one that JSON can only say as text (``"NaN"``)."""
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    number = to_number(value) if isinstance(value, str) else None
    return number if number is not None and number - number != 0.0 else None


def _leaves(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Names and values of the leaves of nested objects and short lists."""
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}/{key}" if name else str(key), depth + 1)
    elif isinstance(value, list):
        if len(value) <= LONGEST_LIST:
            for index, item in enumerate(value):
                yield from _leaves(item, f"{name}/{index}", depth + 1)
        else:
            yield from ((name, item) for item in value if _is_nonfinite(item))
    else:
        yield name, value


def _is_nonfinite(value: Any) -> bool:
    return isinstance(value, float) and value - value != 0.0
