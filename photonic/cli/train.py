"""``photonic train``: one sub-command per workload, imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class WorkloadGroup(click.Group):
    """A group whose commands are imported when they are called.

    Args:
        targets: ``module:object`` of each command, and its line in the help.
        **attrs: of the group.
    """

    def __init__(self, *args: Any, targets: Mapping[str, tuple[str, str]], **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.targets:
            return None
        module, _, name = self.targets[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.targets.items()])


@click.group(
    cls=WorkloadGroup,
    targets={
        "ecg": (
            "photonic.cli.train_ecg:ecg",
            "Heartbeats of WFDB records to classes of arrhythmia.",
        ),
        "resume": ("photonic.cli.train_ecg:resume", "Continue an interrupted run."),
    },
)
def train() -> None:
    """Train a student and write its run directory."""
