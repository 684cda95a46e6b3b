"""Write the results page from finished run directories.

Run from the repository root: ``python benchmarks/results_page.py RUN... --out docs/results.md``.
``photonic eval RUN --ec57`` first notes the evaluations that the page is made of.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import click

from photonic.cli.main import error_message
from photonic.errors import PhotonicError
from photonic.files import atomic_write_text
from training.results import collect, render


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("docs/results.md"),
    show_default=True,
    help="The page.",
)
def main(runs: tuple[Path, ...], out: Path) -> None:
    """Protocol tables of RUNS: mean and deviation over seeds, baselines, intervals, EC57."""
    names = " ".join(run.name for run in runs)
    command = f"python benchmarks/results_page.py {names} --out {out.name}"
    try:
        page = render(collect(runs), command=command, today=datetime.datetime.now().date())
    except PhotonicError as error:
        click.echo(f"results_page: error: {error_message(error)}", err=True)
        sys.exit(2)
    atomic_write_text(out, page)
    click.echo(f"{out}: {len(runs)} runs")


if __name__ == "__main__":
    main()
