"""``photonic inspect``: is a run what its plan promised, and may its figures be believed?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from photonic.cli.options import json_option
from photonic.cli.output import format_cell, print_json, print_table, progress

if TYPE_CHECKING:
    from training.inspector import Report


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--plan",
    type=click.Path(path_type=Path),
    help="TOML file of promises, targets and limits; default: RUN/plan.toml, else what the run's "
    "configuration promises.",
)
@click.option(
    "--patterns",
    type=click.Path(path_type=Path),
    help="TOML file of named regular expressions, for a text log.",
)
@click.option(
    "--history",
    type=click.Path(path_type=Path),
    help="JSON lines of earlier runs; default: the plan's.",
)
@click.option(
    "--remember",
    "remembered",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Add this run, as it was judged, to a history.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for inspection.json and inspection.md; default: RUN where it is one.",
)
@json_option
@click.pass_context
def inspect(
    context: click.Context,
    run: Path,
    plan: Path | None,
    patterns: Path | None,
    history: Path | None,
    remembered: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Judge RUN: a run directory, or a log of any project (JSON lines, CSV, Lightning CSV, text).

    Exit status 0 for PASS, 1 for FAIL and INCOMPLETE. What was not logged is unknown, and unknown
    is never ok.
    """
    from training.inspector import inspect_run, remember, write_report

    with progress("reading the log (bytes)", total=None) as advance:
        report = inspect_run(run, plan=plan, patterns=patterns, history=history, advance=advance)
    folder = out or (run if run.is_dir() else None)
    written = () if folder is None else write_report(report, folder)
    if remembered is not None:
        remember(report.entry, remembered)
    if as_json:
        print_json(report.to_dict())
    else:
        show(report)
        for path in written:
            click.echo(f"wrote {path}")
    if report.verdict != "PASS":
        context.exit(1)


def show(report: Report) -> None:
    """Print a report for people: one row per finding, then what to make of them."""
    print_table(
        ("id", "status", "value", "found", "evidence"),
        [
            (
                finding.rule,
                str(finding.status),
                format_cell(finding.worst_checks[0].value),
                finding.message,
                ", ".join(str(source) for source in finding.worst_checks[0].evidence[:2]),
            )
            for finding in report.findings
        ],
        title=f"{report.run}: {report.verdict}",
    )
    decision = report.decision
    for title, items in (
        ("root cause", decision.root_causes),
        ("advice", decision.advice),
        ("not asked", tuple(f"{rule}: {why}" for rule, why in report.not_asked.items())),
        ("note", report.notes),
    ):
        for item in items:
            click.echo(f"{title}  {item}")
    if decision.roll_back_to is not None:
        click.echo(f"roll back to  {decision.roll_back_to}")
