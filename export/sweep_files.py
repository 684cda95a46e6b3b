"""What a sweep leaves on disk: a tidy table, one row per point and chip, and a summary."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from photonic.errors import ConfigError
from photonic.files import atomic_write
from photonic.sweep import SweepPoint

TableFormat = Literal["csv", "parquet"]


def write_table(directory: Path, points: Sequence[SweepPoint], kind: TableFormat) -> Path:
    """Write ``table.csv`` or ``table.parquet``: what was varied, the chip, and all its scores.

    The metric is the first score. Numbers are written so that they read back as they are.

    Args:
        directory: made if it does not exist; an earlier table of this name is replaced.
        points: scores of every chip at every point.
        kind: parquet needs pyarrow (the extra ``parquet``).

    Raises:
        ConfigError: something varied has the name of a column of ours.
    """
    columns = [*points[0].params, "chip", *points[0].all_scores()]
    doubled = {name for name in columns if columns.count(name) > 1}
    if doubled:
        raise ConfigError(f"two columns of the table would be called {', '.join(sorted(doubled))}")
    with atomic_write(directory / f"table.{kind}") as path:
        (_write_csv if kind == "csv" else _write_parquet)(path, points, columns)
    return directory / f"table.{kind}"


def _write_csv(path: Path, points: Sequence[SweepPoint], columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for point in points:
            params = list(point.params.values())
            scores = [values.tolist() for values in point.all_scores().values()]
            for chip, row in enumerate(zip(*scores, strict=True)):
                writer.writerow([*params, chip, *("" if v != v else v for v in row)])


def _write_parquet(path: Path, points: Sequence[SweepPoint], columns: Sequence[str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    keys = list(points[0].params)
    types = {key: _column_type([p.params[key] for p in points]) for key in keys}
    types |= {name: pa.int64() if name == "chip" else pa.float64() for name in columns[len(keys) :]}
    schema = pa.schema(list(types.items()))
    with parquet.ParquetWriter(path, schema) as writer:
        for point in points:
            num = len(point.counts)
            table = {key: [_as(types[key], point.params[key])] * num for key in keys}
            table |= {"chip": np.arange(num), **point.all_scores()}
            writer.write_table(pa.table(table, schema=schema))


def _column_type(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    given = [value for value in values if value is not None]
    if given and all(isinstance(v, int) and not isinstance(v, bool) for v in given):
        return pa.int64()
    if given and all(isinstance(v, int | float) and not isinstance(v, bool) for v in given):
        return pa.float64()
    return pa.string()


def _as(kind: Any, value: Any) -> Any:
    import pyarrow as pa

    return str(value) if kind == pa.string() and value is not None else value


def write_summary(directory: Path, summary: Mapping[str, Any]) -> Path:
    """Write ``summary.json``: what ``photonic sweep --json`` prints."""
    path = directory / "summary.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return path
