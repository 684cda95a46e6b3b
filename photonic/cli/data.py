"""``photonic data``: make, get and describe WFDB records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from photonic.cli.options import annotator_option, config_option, json_option, seed_option
from photonic.cli.output import print_json, print_table, progress, track
from training.data.labels import LABEL_MAPS

if TYPE_CHECKING:
    from training.data.describe import RecordReport, Totals

_DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))


@click.group()
def data() -> None:
    """Make, get and describe WFDB records."""


@data.command()
@_DIRECTORY
@config_option
@click.option(
    "--records",
    "num_records",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Number of records, one per simulated patient.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.25, max=1440.0),
    default=6.0,
    show_default=True,
    help="Length of each record, minutes.",
)
@seed_option()
@json_option
def synth(directory: Path, num_records: int, minutes: float, seed: int, as_json: bool) -> None:
    """Write synthetic records with N, S, V and O beats to the new folder DIR."""
    from training.data.synthetic import write_records

    with progress("writing records", num_records) as advance:
        names = write_records(
            directory,
            num_records=num_records,
            minutes=minutes,
            seed=seed,
            on_record=lambda name: advance(1),
        )
    _print_written(directory, names, as_json)


@data.command()
@click.argument("name")
@_DIRECTORY
@config_option
@annotator_option
@json_option
def fetch(name: str, directory: Path, annotator: str, as_json: bool) -> None:
    """Download the open PhysioNet database NAME, such as mitdb, to the new folder DIR."""
    from training.data.fetch import fetch_database

    with progress(f"downloading {name}", None):
        names = fetch_database(name, directory, annotator=annotator)
    _print_written(directory, names, as_json)


@data.command()
@_DIRECTORY
@config_option
@click.option(
    "--labels",
    type=click.Choice(LABEL_MAPS),
    default="aami-4",
    show_default=True,
    help="Label map to count classes under.",
)
@click.option(
    "--escape-beats",
    type=click.Choice(["N", "S"]),
    default="N",
    show_default=True,
    help="Class of escape beats (e, j) in the AAMI maps.",
)
@click.option(
    "--lead", default="MLII", show_default=True, help="Lead to look for, by name or index."
)
@annotator_option
@json_option
def info(
    directory: Path, labels: str, escape_beats: str, lead: str, annotator: str, as_json: bool
) -> None:
    """Leads, length, beats per class and faults of the records in DIR.

    Exit status 1 when a record cannot be used.
    """
    from training.data.describe import describe_record, sum_up
    from training.data.labels import label_map
    from training.data.records import LeadChoice, list_records

    mapping = label_map(labels, escape=escape_beats)
    choice = LeadChoice.parse(lead)
    reports = [
        describe_record(directory, name, mapping, choice, annotator)
        for name in track(list_records(directory), "reading records")
    ]
    totals = sum_up(reports, mapping)
    if as_json:
        print_json(
            {
                "directory": directory,
                "labels": labels,
                "note": mapping.note,
                "records": reports,
                "totals": totals,
            }
        )
    else:
        _print_reports(reports, totals, f"{directory}: {labels} ({mapping.note})")
    if totals.num_faulty:
        raise click.exceptions.Exit(1)


def _print_written(directory: Path, names: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print_json({"directory": directory, "records": names})
    else:
        click.echo(f"{len(names)} records in {directory}: {names[0]} to {names[-1]}")


def _print_reports(reports: list[RecordReport], totals: Totals, title: str) -> None:
    classes = list(totals.classes)
    columns = ["record", "leads", "Hz", "minutes", "beats", *classes, "no class", "no window"]
    rows = [
        [
            report.name,
            " ".join(report.leads),
            report.fs_hz,
            None if report.duration_s is None else report.duration_s / 60.0,
            report.num_beats,
            *report.classes.values(),
            report.num_unmapped,
            report.num_outside,
        ]
        for report in reports
    ]
    total = [
        f"total {totals.num_records}",
        "",
        None,
        totals.duration_s / 60.0,
        totals.num_beats,
        *totals.classes.values(),
        totals.num_unmapped,
        totals.num_outside,
    ]
    print_table(columns, [*rows, total], title=title)
    for report in reports:
        for remark in report.remarks:
            click.echo(f"{report.name}: {remark}")
        for fault in report.faults:
            click.echo(f"{report.name}: fault: {fault}")
    click.echo(f"{totals.num_faulty} of {totals.num_records} records have faults")
