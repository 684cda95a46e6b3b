"""``photonic eval``: figures of a run, per class and per record, with baselines beside them."""

from __future__ import annotations

from pathlib import Path

import click

from photonic.cli.options import json_option
from photonic.cli.output import print_json, print_table
from training.run import load_run
from training.score import Scoring, score_run

_SHOWN = ("f1", "macro_f1", "rare_f1", "miss", "fpr", "auroc", "auprc", "accuracy")


@click.command(name="eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the data; as in training if left out.",
)
@click.option(
    "--subset",
    type=click.Choice(["train", "val", "test", "all"]),
    default=None,
    help="Samples to score; test, or val where the split has no test samples.",
)
@json_option
def evaluate(run: Path, data: Path | None, subset: str | None, as_json: bool) -> None:
    """Score a run on its data again, beside all normal, timing only and waveform only."""
    scoring = score_run(load_run(run), data=data, subset=subset)
    if as_json:
        print_json(scoring.to_dict())
        return
    _print(scoring)


def _print(scoring: Scoring) -> None:
    rows = [("student", scoring.metrics), *((b["name"], b["metrics"]) for b in scoring.baselines)]
    shown = [key for key in _SHOWN if any(m.get(key) is not None for _, m in rows)]
    print_table(
        ["model", *shown],
        [[name, *(m.get(key) for key in shown)] for name, m in rows],
        title=f"{scoring.run.path}: split {scoring.split}, {scoring.subset}, "
        f"{scoring.num_samples} samples",
    )
    per_class = scoring.metrics["per_class"]
    print_table(
        ["class", "sensitivity", "precision", "F1", "samples"],
        [[n, c["sensitivity"], c["ppv"], c["f1"], c["support"]] for n, c in per_class.items()],
    )
    classes = list(per_class)[1:]
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
    for note in scoring.notes:
        click.echo(note)
