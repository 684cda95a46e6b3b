"""The index of earlier runs: JSON lines, one run each, with what makes it comparable.

An entry holds what of it is known: metric curve (a single figure will do), configuration, which
promised components were there, and how the run was judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from photonic.errors import DataError
from photonic.files import atomic_write_text
from training.inspector.finding import Source
from training.inspector.lines import read_lines

Scalar = str | bool | int | float | None
PRIVATE = ("seed", "data", "out", "device", "threads")
"""Options that do not say what a run is: where, on what and how often it was made."""


class Entry(BaseModel):
    """One earlier run.

    Attributes:
        id: its name.
        verdict: how it was judged.
        metric: canonical name of the curve, e.g. ``train/auprc``.
        curve: the metric, one value per epoch or fewer.
        config: options by name.
        components: promised component -> whether it was there.
        note: what is worth knowing about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    verdict: Literal["PASS", "FAIL", "INCOMPLETE"]
    metric: str | None = None
    curve: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    config: Mapping[str, Scalar] = {}
    components: Mapping[str, bool] = {}
    note: str = ""
    source: Source | None = Field(default=None, exclude=True)


def read_history(path: Path) -> tuple[Entry, ...]:
    """Read a history; an empty file is a history without runs.

    Raises:
        DataError: no such file, or a line that is no entry.
    """
    entries = []
    for line in read_lines(path):
        try:
            entry = Entry.model_validate(json.loads(line.text))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{line.number}: not valid JSON: {error}") from None
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise DataError(f"{path}:{line.number}: {where}: {fault['msg']}") from None
        entries.append(entry.model_copy(update={"source": Source(path.name, line.number)}))
    return tuple(entries)


def remember(entry: Entry, path: Path) -> None:
    """Add a run to a history, or replace the entry of the same name.

    Raises:
        DataError: the history that is there is damaged.
    """
    earlier = read_history(path) if path.exists() else ()
    kept = [known for known in earlier if known.id != entry.id]
    lines = [to_line(known) for known in (*kept, entry)]
    atomic_write_text(path, "\n".join(lines) + "\n")


def to_line(entry: Entry) -> str:
    """An entry as one line of JSON."""
    data: dict[str, Any] = entry.model_dump(mode="json")
    return json.dumps(data, ensure_ascii=False)


def public(config: Mapping[str, Any]) -> dict[str, Scalar]:
    """The options that say what a run is: as in an entry, and the same in a group of seeds."""
    return {
        name: value if isinstance(value, (str, bool, int, float)) else str(value)
        for name, value in config.items()
        if name not in PRIVATE
    }
