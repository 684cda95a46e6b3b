"""``photonic tune``: one sub-command per workload, imported when it is called."""

from __future__ import annotations

import click

from photonic.cli.train import WorkloadGroup


@click.group(
    cls=WorkloadGroup,
    targets={
        "ecg": (
            "photonic.cli.tune_ecg:ecg",
            "Options of `train ecg`, searched by the selection score.",
        )
    },
)
def tune() -> None:
    """Search options of training by the selection score; test records take no part."""
