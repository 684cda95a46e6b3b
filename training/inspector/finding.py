"""What a rule says: checks with a status, a value, a limit and the lines they rest on.

``unknown`` is a status of its own and is never taken for ``ok``: a rule whose evidence was not
logged has not passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


# From best to worst. Unknown stands above warn: a warning has been looked at, an unknown has not.
SEVERITY = (Status.OK, Status.WARN, Status.UNKNOWN, Status.FAIL)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some statuses; of none, ``unknown``."""
    return max(statuses, key=SEVERITY.index, default=Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value stands: a file, and its line (from 1) where the file has lines."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a rule looked at.

    Attributes:
        subject: what was looked at: a trace, a module, a component, a subset; may be empty.
        status: the outcome.
        value: what was found, or None where nothing was.
        limit: what is allowed, in words.
        message: one sentence, with epochs where there are some.
        evidence: lines that show it.
    """

    subject: str = ""
    status: Status
    value: float | int | str | None = None
    limit: str = ""
    message: str
    evidence: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one rule: as bad as the worst of its checks."""

    rule: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst status of the checks; unknown where nothing was checked."""
        return worst(check.status for check in self.checks)

    @property
    def worst_checks(self) -> tuple[Check, ...]:
        """The checks that decide the status."""
        return tuple(check for check in self.checks if check.status is self.status)

    @property
    def message(self) -> str:
        """The deciding checks in one sentence each; many of them as a count and the first few."""
        if len(self.checks) == 1:
            return self.checks[0].message
        deciding = self.worst_checks
        subjects: dict[str, list[str]] = {}
        for check in deciding:
            subjects.setdefault(check.message, []).append(check.subject)
        told = [
            f"{', '.join(named)}: {message}" if (named := list(filter(None, names))) else message
            for message, names in subjects.items()
        ]
        most = 2 if self.status is Status.OK else 6
        more = f"; and {len(told) - most} more" if len(told) > most else ""
        counted = f"{len(deciding)} of {len(self.checks)} {self.status}"
        return f"{counted}: {'; '.join(told[:most])}{more}"


def unknown(rule: str, message: str, *, subject: str = "", limit: str = "") -> Finding:
    """The finding of a rule that had nothing to judge."""
    check = Check(subject=subject, status=Status.UNKNOWN, limit=limit, message=message)
    return Finding(rule, (check,))
