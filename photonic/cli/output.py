"""What commands print: one JSON object, a table, a progress bar.

Results go to stdout, progress to stderr, so that ``--json`` can be piped. rich is imported where
it is used.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import click

ItemT = TypeVar("ItemT")

# A table in a file or a pipe has no screen to fit; this keeps every row on one line.
WIDTH_WITHOUT_TERMINAL = 200


def print_json(value: Any) -> None:
    """Print one JSON document on stdout; see `to_jsonable` for what it may hold."""
    click.echo(json.dumps(to_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False))


def to_jsonable(value: Any) -> Any:
    """Plain JSON types of a result.

    NumPy scalars and arrays become numbers and lists, NaN and infinities null (JSON has neither),
    paths text, dataclasses and pydantic models objects.

    Raises:
        TypeError: a value of a type that has no JSON form.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, bytes):
        return [to_jsonable(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_jsonable(getattr(value, field.name)) for field in fields}
    # pydantic and NumPy, without importing them.
    convert = getattr(value, "model_dump", None) or getattr(value, "tolist", None)
    if convert is not None:
        return to_jsonable(convert())
    raise TypeError(f"no JSON form for {type(value).__name__}: {value!r}")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> None:
    """Print a table on stdout; a column whose cells are all numbers is aligned to the right.

    Args:
        columns: headings, with the unit where there is one.
        rows: one sequence of cells per row; floats are shown with four significant digits and
            None as a dash.
        title: line above the table.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in cells)
        table.add_column(column, justify="right" if numeric else "left")
    for row in cells:
        table.add_row(*(Text(format_cell(cell)) for cell in row))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL).print(
        table
    )


def format_cell(value: Any) -> str:
    """Text of one cell: four significant digits for floats, a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{float(value):.4g}"
    return str(value)


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Callable[[float], None]]:
    """Yield ``advance(steps)`` of a progress bar on stderr; nothing is shown without a terminal.

    Args:
        description: what goes on, before the bar.
        total: number of steps, or None where it is not known.
    """
    if not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def track(items: Iterable[ItemT], description: str, total: int | None = None) -> Iterator[ItemT]:
    """Iterate with a progress bar; ``total`` is needed only for items without a length."""
    length = len(items) if total is None and isinstance(items, Sequence) else total
    with progress(description, length) as advance:
        for item in items:
            yield item
            advance(1)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))
