"""What was scored when: one line per evaluation in the run directory.

A test set that is scored again and again while choices are made is a validation set. The log says
how often it was; the results page counts it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonic.errors import RunError

LOG = "evaluations.jsonl"


def note_evaluation(
    folder: Path, document: Mapping[str, Any], *, now: datetime.datetime | None = None
) -> bool:
    """Append an evaluation with its date; False where the run directory cannot be written.

    Args:
        folder: the run directory.
        document: the JSON form of the evaluation.
        now: when it was made.
    """
    when = now or datetime.datetime.now(datetime.UTC)
    line = json.dumps({"date": when.isoformat(timespec="seconds"), **document}, allow_nan=False)
    try:
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError:
        return False
    return True


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """Every noted evaluation, oldest first.

    Raises:
        RunError: a line that is no JSON object.
    """
    file = folder / LOG
    if not file.is_file():
        return []
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            document = json.loads(line)
        except json.JSONDecodeError as error:
            raise RunError(f"{file}, line {number}: not JSON: {error}") from None
        if not isinstance(document, dict):
            raise RunError(f"{file}, line {number}: not a JSON object")
        found.append(document)
    return found
