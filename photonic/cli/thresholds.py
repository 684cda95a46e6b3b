"""``photonic thresholds``: the saved probabilities of a run, scanned densely for a threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from photonic.cli.options import given_options, json_option, model_from_options, options_from_model
from photonic.cli.output import print_json, print_table
from training.options import ThresholdOptions

if TYPE_CHECKING:
    from training.rescan import Rescan


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@options_from_model(ThresholdOptions)
@json_option
@click.pass_context
def thresholds(context: click.Context, run: Path, as_json: bool, **_: object) -> None:
    """Scan the saved validation probabilities of RUN for a threshold, by every rule.

    Options that are not given are those of the run. Nothing is written: the threshold of a run
    stays the one that its checkpoint was chosen with.
    """
    from training.rescan import rescan
    from training.run import load_run

    loaded = load_run(run)
    options = model_from_options(
        ThresholdOptions, given_options(context), base=loaded.config.thresholds
    )
    found = rescan(loaded, options)
    if as_json:
        print_json(found)
        return
    _print(found)


def _print(found: Rescan) -> None:
    print_table(
        ["rule", "threshold", "bounds", "val F1", "val miss", "val FPR", "test F1", "miss", "FPR"],
        [
            [
                row.rule,
                row.threshold,
                "met" if row.feasible else "not met",
                *(row.val[key] for key in ("f1", "miss", "fpr")),
                *((row.test or {}).get(key) for key in ("f1", "miss", "fpr")),
            ]
            for row in found.rows
        ],
        title=f"{found.num_candidates} candidates on {found.num_samples} validation samples",
    )
