"""Logs that are plain text, read with a short TOML file of named regular expressions.

Each pattern is searched in each line. Its named groups are values: ``epoch`` begins or continues
an epoch, ``fold`` (or another trace name) says whose, every other group is a column, spelled as in
a table. A group that matches before any epoch is a fact of the whole run.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from photonic.errors import ConfigError, DataError
from training.inspector.adapters.values import to_number
from training.inspector.lines import Advance, ignore, read_lines
from training.inspector.log import Log, LogBuilder
from training.inspector.names import RUN_FACTS, TRACE_KEYS, canonical, put

LONGEST_MATCHED = 4096
"""Characters of a line that patterns see; a longer one is no line of figures."""

Patterns = tuple[re.Pattern[str], ...]


def read_patterns(path: str | Path) -> Patterns:
    """Read a pattern file: one ``name = 'regular expression'`` per line.

    Raises:
        ConfigError: no such file, not TOML, no regular expression, or none with a named group.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    patterns = []
    for name, expression in document.items():
        if not isinstance(expression, str):
            raise ConfigError(f"{path}: {name!r} is no text; write {name} = 'regular expression'")
        try:
            pattern = re.compile(expression)
        except re.error as error:
            raise ConfigError(f"{path}: {name!r} is no regular expression: {error}") from None
        if not pattern.groupindex:
            raise ConfigError(
                f"{path}: {name!r} has no named group; write the value as (?P<train_loss>…)"
            )
        patterns.append(pattern)
    if not patterns:
        raise ConfigError(f"{path}: no pattern; write one name = 'regular expression' per line")
    return tuple(patterns)


def read_text(path: Path, patterns: Patterns, advance: Advance = ignore) -> Log:
    """Read a text log.

    Raises:
        DataError: no line matches a pattern though there are lines, or a group named like a number
            of an epoch holds none.
    """
    reader = _Reader(path, patterns)
    for line in read_lines(path, advance):
        reader.builder.num_lines = line.number
        reader.read(line.text[:LONGEST_MATCHED], line.number)
    log = reader.builder.build()
    if log.num_lines and not log.num_epochs and not log.facts:
        raise DataError(f"{path}: none of the {len(patterns)} patterns matches any line")
    return log


class _Reader:
    """Where in the log the reading stands: trace and epoch that values now belong to."""

    def __init__(self, path: Path, patterns: Patterns) -> None:
        self.path, self.patterns = path, patterns
        self.builder = LogBuilder(path.name)
        self.trace: dict[str, str] = {}
        self.epoch: float | None = None

    def read(self, text: str, line: int) -> None:
        found = [match for pattern in self.patterns for match in pattern.finditer(text)]
        groups = [
            (name, value)
            for match in found
            for name, value in match.groupdict().items()
            if value is not None
        ]
        for name, value in groups:
            if name in TRACE_KEYS:
                self.trace[name] = value
            elif name == "epoch":
                self.epoch = to_number(value)
                if self.epoch is None:
                    raise DataError(f"{self.path}:{line}: epoch {value!r} is no number")
        self._values([(n, v) for n, v in groups if n not in (*TRACE_KEYS, "epoch")], line)

    def _values(self, values: list[tuple[str, str]], line: int) -> None:
        numbers: dict[str, float] = {}
        words: dict[str, str] = {}
        for name, text in values:
            number = to_number(text)
            if self.epoch is None or canonical(name) in RUN_FACTS:
                self.builder.fact(canonical(name), text if number is None else number, line)
            elif number is None:
                words[canonical(name)] = text
            else:
                put(numbers, name, number)
        if numbers or words:
            trace = ", ".join(f"{key} {value}" for key, value in self.trace.items())
            self.builder.epoch(trace, self.epoch, numbers, line, words)
