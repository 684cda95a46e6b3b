"""``photonic train``: one sub-command per workload, imported when it is called."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "ecg": ("photonic.cli.train_ecg:ecg", "Heartbeats of WFDB records to classes of arrhythmia."),
    "resume": ("photonic.cli.train_ecg:resume", "Continue an interrupted run."),
}


class _Workloads(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(cls=_Workloads)
def train() -> None:
    """Train a student and write its run directory."""
