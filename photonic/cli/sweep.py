"""``photonic sweep``: how many of the chips that are fabricated would work, and how well."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from photonic.cli.options import config_option, json_option, seed_option
from photonic.cli.output import print_json, print_table, progress
from photonic.errors import ConfigError


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", help="Profile name or file; default: the bundle's own.")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=V1,V2,…",
    help="A profile value and what to set it to; several make a grid.",
)
@click.option(
    "--chips", type=click.IntRange(min=1), default=100, show_default=True, help="Chips per point."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Directory for the table, the summary and the figure.",
)
@click.option(
    "--keep",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="A chip counts for yield when it keeps this share of the float model's metric.",
)
@click.option("--metric", help="f1, macro_f1 or accuracy; default: f1 for two classes, else macro.")
@click.option(
    "--memory-mb", type=float, default=512.0, show_default=True, help="Working memory, MB."
)
@seed_option()
@config_option
@json_option
def sweep(
    bundle: Path,
    profile_name: str | None,
    vary: tuple[str, ...],
    chips: int,
    out: Path,
    keep: float,
    metric: str | None,
    memory_mb: float,
    seed: int,
    as_json: bool,
) -> None:
    """Score simulated chips of the model in BUNDLE over a grid of hardware values.

    Scores are modelled, not measured on hardware. The beats are the bundle's reference sample.
    """
    from export.bundle import read_bundle

    from export.sweep_files import write_sweep
    from photonic.profile import load_profile
    from photonic.scores import default_score, score
    from photonic.sweep import SweepData, grid_points, reference_score
    from photonic.sweep import sweep as run_sweep
    from photonic.threads import available_cores, torch_threads

    grid = parse_grid(vary)
    opened = read_bundle(bundle)
    profile = load_profile(profile_name) if profile_name else opened.profile
    metric = metric or default_score(len(opened.decision.classes))
    score(metric)
    reference = opened.reference
    if reference.label is None:
        raise ConfigError(f"{bundle}: its reference sample has no labels to score against")
    data = SweepData(
        inputs=reference.inputs, labels=reference.label, decision=opened.decision, metric=metric
    )
    started = time.perf_counter()
    num_points = len(grid_points(grid))
    with torch_threads(available_cores()), progress("sweeping", num_points) as advance:
        points = run_sweep(
            opened.program,
            profile,
            data,
            vary=grid,
            num_chips=chips,
            seed=seed,
            memory_mb=memory_mb,
            on_point=lambda done, total: advance(1),
        )
    expected = reference_score(opened.program, data)
    summary: dict[str, Any] = {
        "points": [point.summary(expected, keep) for point in points],
        "reference_metric": expected,
        "metric": metric,
        "keep": keep,
        "num_chips": chips,
        "num_samples": len(data.labels),
        "data": "reference sample of the bundle",
        "profile": profile.name,
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 3),
    }
    table, figures = write_sweep(out, points, summary)
    summary = {"table": str(table), "figures": [str(f) for f in figures], **summary}
    if as_json:
        print_json(summary)
    else:
        show(summary)


def show(summary: dict[str, Any]) -> None:
    """Print the sweep's table for people."""
    keys = list(summary["points"][0]["params"])
    print_table(
        (*keys, "mean", "5 %", "median", "95 %", "yield"),
        [
            (
                *(row["params"][k] for k in keys),
                row["metric_mean"],
                row["metric_p05"],
                row["metric_p50"],
                row["metric_p95"],
                f"{100 * row['yield']:.0f} %",
            )
            for row in summary["points"]
        ],
        title=f"{summary['metric']} of {summary['num_chips']} simulated chips "
        f"({summary['profile']}), {summary['num_samples']} beats of the bundle's reference sample; "
        f"float model {summary['reference_metric']:.3f}; "
        f"yield: keeps ≥ {100 * summary['keep']:g} % of it",
    )
    click.echo(f"table {summary['table']}")
    for figure in summary["figures"]:
        click.echo(f"figure {figure}")


def parse_grid(vary: tuple[str, ...]) -> dict[str, list[Any]]:
    """``KEY=V1,V2`` texts as values by key: whole numbers, decimals, ``none`` or text.

    Raises:
        ConfigError: a text without ``=`` or without values, or a key given twice.
    """
    grid: dict[str, list[Any]] = {}
    for text in vary:
        key, equals, values = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not values.strip():
            raise ConfigError(f"--vary {text!r}: write KEY=V1,V2,…, e.g. weight.bits=4,5,6")
        if key in grid:
            raise ConfigError(f"--vary {key!r} is given twice: put all its values in one")
        grid[key] = [_value(v.strip()) for v in values.split(",")]
    return grid


def _value(text: str) -> int | float | str | None:
    if text.lower() == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
