"""Types of option values that click does not have."""

from __future__ import annotations

from typing import Any

import click


class CommaSeparated(click.ParamType):
    """``a,b,c`` as a tuple; every element is converted by one click type. Empty text: no element.

    Args:
        element: click type of the elements.
        length: how many there must be, or None for any number.
    """

    name = "list"

    def __init__(self, element: click.ParamType, length: int | None = None) -> None:
        self.element = element
        self.length = length

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Shown in the help, e.g. ``FLOAT,FLOAT,…``."""
        one = self.element.get_metavar(param, ctx) or self.element.name.upper()
        return f"{one},…" if self.length is None else ",".join([one] * self.length)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """The elements of a text, or of a sequence (a default)."""
        parts = value.split(",") if isinstance(value, str) else list(value)
        if parts == [""]:
            parts = []
        if self.length is not None and len(parts) != self.length:
            self.fail(f"{value!r} has {len(parts)} elements; {self.length} are needed.", param, ctx)
        strip = (part.strip() if isinstance(part, str) else part for part in parts)
        return tuple(self.element.convert(part, param, ctx) for part in strip)


class OrNone(click.ParamType):
    """What another click type takes, or the word ``none``."""

    def __init__(self, inner: click.ParamType) -> None:
        self.inner = inner
        self.name = inner.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Shown in the help, e.g. ``FLOAT|none``."""
        return f"{self.inner.get_metavar(param, ctx) or self.inner.name.upper()}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """None for ``none`` in any case, else what the inner type makes of the value."""
        if isinstance(value, str) and value.lower() == "none":
            return None
        return self.inner.convert(value, param, ctx)


class Seeds(click.ParamType):
    """Seeds as ``0..7`` (both ends) or ``0,2,5``, each once."""

    name = "seeds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        first, dots, last = str(value).partition("..")
        try:
            found = range(int(first), int(last) + 1) if dots else map(int, str(value).split(","))
            seeds = tuple(found)
        except ValueError:
            self.fail(f"{value!r} is neither a range like 0..7 nor a list like 0,2,5", param, ctx)
        if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
            self.fail(f"{value!r}: seeds are at least 0, each named once", param, ctx)
        return seeds
