"""Which adapter reads what: by pattern file, by suffix, by the first line."""

from __future__ import annotations

from pathlib import Path

from photonic.errors import DataError
from training.inspector.adapters.jsonl import read_jsonl
from training.inspector.adapters.table import read_table
from training.inspector.adapters.text import Patterns, read_text
from training.inspector.lines import Advance, ignore, read_lines
from training.inspector.log import Log

OWN_LOG = "train_log.jsonl"
LIGHTNING_LOG = "metrics.csv"
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".log", ".txt")


def find_log(run: Path) -> Path:
    """The log of a run: the file itself, or the one log in a directory.

    Raises:
        DataError: nothing there, no log, or several that could be it.
    """
    if not run.is_dir():
        if not run.is_file():
            raise DataError(f"{run}: no such run directory or log file")
        return run
    for name in (OWN_LOG, LIGHTNING_LOG):
        if (run / name).is_file():
            return run / name
    found = sorted(path for path in run.iterdir() if path.is_file() and path.suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found[:8])
        raise DataError(f"{run}: several files could be the log ({names}); name one")
    raise DataError(f"{run}: no log; a run directory holds {OWN_LOG}, or name a log file")


def read_log(path: Path, patterns: Patterns | None = None, advance: Advance = ignore) -> Log:
    """Read a log in the format that its pattern file, suffix or first line says.

    Args:
        path: the log.
        patterns: named regular expressions of a text log.
        advance: called with the number of bytes that were read, now and then.

    Raises:
        DataError: no epoch in it, a damaged line, or a text log without patterns.
    """
    log = _read(path, patterns, advance)
    if not log.num_epochs and not log.facts:
        raise DataError(f"{path}: empty: no epoch and no event in {log.num_lines} lines")
    return log


def _read(path: Path, patterns: Patterns | None, advance: Advance) -> Log:
    if patterns is not None:
        return read_text(path, patterns, advance)
    first = next(read_lines(path), None)
    if first is None:
        raise DataError(f"{path}: empty")
    if path.suffix in (".jsonl", ".ndjson") or first.text.startswith("{"):
        return read_jsonl(path, advance)
    if path.suffix == ".csv":
        return read_table(path, advance)
    raise DataError(
        f"{path}: neither JSON lines nor CSV; a text log needs a pattern file (--patterns)"
    )
