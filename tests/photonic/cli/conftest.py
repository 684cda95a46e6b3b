"""Running command lines in the process of the test."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import click
import pytest

from photonic.cli import main


class Outcome(NamedTuple):
    """What a command line left behind."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON document on stdout, with its good status asserted."""
        assert self.status in (0, 1), self.err
        return json.loads(self.out)


@pytest.fixture
def photonic(capfd) -> Callable[..., Outcome]:
    """``photonic("data", "info", folder)``: run a command line, return status, stdout, stderr."""

    def call(*argv: object) -> Outcome:
        capfd.readouterr()
        status = main.run([str(word) for word in argv])
        return Outcome(status, *capfd.readouterr())

    return call


@pytest.fixture
def install(monkeypatch) -> Callable[[click.Command], None]:
    """Make a click command a sub-command of ``photonic`` for one test."""

    def add(command: click.Command) -> None:
        module = types.ModuleType("a_command_of_a_test")
        module.__dict__["command"] = command
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = main.Entry(f"{module.__name__}:command", "Of a test.")
        monkeypatch.setitem(main.COMMANDS, command.name, entry)

    return add
