"""``photonic eval``: figures of a run, per class and per record, with baselines beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from photonic.cli.options import config_option, json_option
from photonic.cli.output import print_json, print_table, progress
from photonic.cli.param_types import CommaSeparated

if TYPE_CHECKING:
    from training.ec57 import Ec57Report
    from training.rescore import Evaluation
    from training.score import Scoring

_SHOWN = ("f1", "macro_f1", "rare_f1", "miss", "fpr", "auroc", "auprc", "accuracy")


@click.command(name="eval")
@click.argument("run", type=click.Path(path_type=Path))
@config_option
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the data, of any WFDB database; as in training if left out.",
)
@click.option(
    "--subset",
    type=click.Choice(["train", "val", "test", "all"]),
    default=None,
    help="Samples to score; test, or val where the split has no test samples, or all of a folder "
    "that does not hold the records of the run's split.",
)
@click.option(
    "--records",
    type=CommaSeparated(click.STRING, None),
    default=None,
    help="Score these records of the folder only, comma-separated.",
)
@click.option("--lead", default=None, help="Lead, by name or channel index; as in training.")
@click.option(
    "--companion-lead",
    is_flag=True,
    default=None,
    help="Score each record's other lead instead.",
)
@click.option(
    "--resample",
    type=click.Choice(["360"]),
    default=None,
    help="Resample records at another rate to this one, in Hz.",
)
@click.option(
    "--jitter",
    type=click.IntRange(0, 54),
    default=None,
    help="Move every R peak at random by up to so many samples, as a detector might.",
)
@click.option("--annotator", default=None, help="Suffix of the annotation files; as in training.")
@click.option(
    "--ec57", is_flag=True, help="Score by ANSI/AAMI EC57 too: whole records from 5:00 on."
)
@click.option(
    "--ec57-csv",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Write the EC57 rows to this file; implies --ec57.",
)
@json_option
def evaluate(
    run: Path,
    data: Path | None,
    subset: str | None,
    records: tuple[str, ...] | None,
    lead: str | None,
    companion_lead: bool | None,
    resample: str | None,
    jitter: int | None,
    annotator: str | None,
    ec57: bool,
    ec57_csv: Path | None,
    as_json: bool,
) -> None:
    """Score a run beside all normal, timing only and waveform only.

    Intervals are of 95 %, drawn over records. What was scored is noted in evaluations.jsonl of the
    run directory.
    """
    from photonic.files import atomic_write_text
    from training.evaluation_log import note_evaluation
    from training.rescore import Request, rescore
    from training.run import load_run

    request = Request(
        data=data,
        subset=subset,
        records=tuple(records or ()),
        reading={
            "lead": lead,
            "companion_lead": companion_lead,
            "resample": None if resample is None else int(resample),
            "annotator": annotator,
            "jitter": jitter,
        },
        ec57=ec57 or ec57_csv is not None,
    )
    with progress("reading records", None) as advance:
        found = rescore(load_run(run), request, lambda _: advance(1))
    if ec57_csv is not None and found.ec57 is not None:
        atomic_write_text(ec57_csv, found.ec57.to_csv())
    document = found.to_dict()
    if not note_evaluation(run, document):
        click.echo(f"{run} cannot be written: this evaluation is not noted there", err=True)
    if as_json:
        print_json(document)
    else:
        _print(found)


def _print(found: Evaluation) -> None:
    scoring = found.scoring
    rows = [("student", scoring.metrics), *((b["name"], b["metrics"]) for b in scoring.baselines)]
    shown = [key for key in _SHOWN if any(m.get(key) is not None for _, m in rows)]
    intervals = found.intervals or {}
    print_table(
        ["model", *shown],
        [
            *([name, *(m.get(key) for key in shown)] for name, m in rows),
            ["student, 95 %", *(_interval(intervals.get(key)) for key in shown)],
        ],
        title=f"{scoring.run.path}: split {scoring.split}, {scoring.subset}, "
        f"{scoring.num_samples} samples",
    )
    _print_classes(scoring, intervals)
    _print_records(scoring)
    _say(scoring.notes)
    if not intervals:
        click.echo("no intervals: they are drawn over records, and there is one")
    if found.ec57 is not None:
        _print_ec57(found.ec57, found.ec57_baselines)


def _print_classes(scoring: Scoring, intervals: Mapping[str, Any]) -> None:
    spread = intervals.get("per_class", {})
    print_table(
        ["class", "sensitivity", "95 %", "precision", "95 %", "F1", "95 %", "samples"],
        [
            [
                name,
                *_with_intervals(values, spread.get(name, {}), ("sensitivity", "ppv", "f1")),
                values["support"],
            ]
            for name, values in scoring.metrics["per_class"].items()
        ],
    )


def _print_records(scoring: Scoring) -> None:
    classes = list(scoring.metrics["per_class"])[1:]
    print_table(
        ["record", "samples", *(f"{c} Se" for c in classes), *(f"{c} +P" for c in classes), "FPR"],
        [
            [
                row["record"],
                row["num_samples"],
                *(row["per_class"][c]["sensitivity"] for c in classes),
                *(row["per_class"][c]["ppv"] for c in classes),
                row["fpr"],
            ]
            for row in scoring.per_record
        ],
    )


def _print_ec57(report: Ec57Report, beside: Iterable[Mapping[str, Any]]) -> None:
    headings, rows = report.table()
    intervals = [
        None if bounds is None else (100.0 * bounds[0], 100.0 * bounds[1])
        for event in report.intervals.values()
        for bounds in event.values()
    ]
    rows.append(["gross, 95 %", "", "", "", *map(_interval, intervals)])
    for baseline in beside:
        values = [value for event in baseline["gross"].values() for value in event.values()]
        percent = [None if value is None else 100.0 * value for value in values]
        rows.append([f"gross of {baseline['name']}", "", "", "", *percent])
    print_table(headings, rows, title="ANSI/AAMI EC57, from 5:00 on, 150 ms")
    shares = {name: share for name, share in report.called_abnormal.items() if share is not None}
    if shares:
        said = ", ".join(f"{name} {100.0 * share:.1f} %" for name, share in shares.items())
        click.echo(f"called abnormal: {said}")
    if report.excluded:
        click.echo(f"EC57 leaves paced records out: {', '.join(report.excluded)}")
    _say(report.notes)


def _with_intervals(
    values: Mapping[str, Any], spread: Mapping[str, Any], names: Iterable[str]
) -> Iterator[Any]:
    for name in names:
        yield values[name]
        yield _interval(spread.get(name))


def _interval(bounds: tuple[float, float] | None) -> str:
    return "–" if bounds is None else f"{bounds[0]:.3g}–{bounds[1]:.3g}"


def _say(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(note)
