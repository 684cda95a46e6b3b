"""``photonic sweep``: how many of the chips that are fabricated would work, and how well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from photonic.cli.bundle_data import bundle_data, data_options
from photonic.cli.options import ABOVE_ZERO, config_option, json_option, seed_option, yield_options
from photonic.cli.output import print_json, print_table, progress
from photonic.errors import ConfigError

if TYPE_CHECKING:
    from export.bundle import Bundle
    from photonic.sweep import Resources, SweepData

SHOWN_POINTS = 40


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", help="Profile name or file; default: the bundle's own.")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=V1,V2,…",
    help="A profile value and what to set it to; several make a grid. KEY may also be profile "
    "(names) or seed.",
)
@click.option(
    "--chips", type=click.IntRange(min=1), default=100, show_default=True, help="Chips per point."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Directory for table, summary, figures, and the parts from which an interrupted sweep "
    "goes on.",
)
@yield_options
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes on this machine; default: as many as cores, one for little work.",
)
@click.option(
    "--executor",
    default="processes",
    show_default=True,
    metavar="processes|dask:ADDRESS",
    help="Who computes: processes here, or the workers of a dask scheduler.",
)
@click.option(
    "--memory-mb",
    type=ABOVE_ZERO,
    default=512.0,
    show_default=True,
    help="Working memory of each worker, MB, beside its libraries and the data.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Where torch computes: cpu, cuda, cuda:1, …; auto takes CUDA where there is one.",
)
@click.option(
    "--backend",
    help="Run on a core, NAME:ADDRESS, instead of simulated chips: as many times as --chips says; "
    "see docs/backends.md.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["csv", "parquet"]),
    multiple=True,
    default=["csv"],
    show_default=True,
    help="Of the table; may be given twice.",
)
@data_options
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
    workers: int | None,
    executor: str,
    memory_mb: float,
    device: str,
    backend: str | None,
    formats: tuple[str, ...],
    data: Path | None,
    subset: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Score simulated chips of the model in BUNDLE over a grid of hardware values.

    Scores are modelled, not measured on hardware. The beats are the bundle's reference sample, or
    those of --data. Run the same command again to go on after an interruption.
    """
    from export.bundle import read_bundle
    from export.sweep_figures import Labels, write_figures
    from export.sweep_files import write_summary, write_table
    from photonic.profile import load_profile
    from photonic.sweep import grid_points, reference_score
    from photonic.sweep import sweep as run_sweep

    started = time.perf_counter()
    opened = read_bundle(bundle)
    profile = load_profile(profile_name) if profile_name else opened.profile
    grid = parse_grid(vary)
    num_points = len(grid_points(profile, grid, seed))
    scored, source = sweep_data(opened, data, subset, metric)
    expected = reference_score(opened.program, scored)
    on = backend or device
    with progress("sweeping", chips * num_points) as advance:
        if backend:
            from photonic.backends.sweep import sweep_backend

            points = sweep_backend(
                opened.program,
                profile,
                scored,
                backend,
                vary=grid,
                num_runs=chips,
                on_run=advance,
            )
        else:
            with resources(executor, workers, memory_mb, device, out / "parts") as who:
                on = who.on
                points = run_sweep(
                    opened.program,
                    profile,
                    scored,
                    vary=grid,
                    num_chips=chips,
                    seed=seed,
                    resources=who,
                    on_chips=advance,
                )
    tables = [write_table(out, points, kind) for kind in dict.fromkeys(formats)]  # type: ignore[arg-type]
    who = f"{chips:,} runs on {backend}" if backend else f"{chips:,} simulated chips"
    labels = Labels(
        metric=scored.metric,
        reference=expected,
        keep=keep,
        who=who,
        profile=profile,
        num_samples=len(scored.labels),
    )
    summary: dict[str, Any] = {
        "table": str(tables[0]),
        "tables": [str(table) for table in tables],
        "figures": [str(path) for path in write_figures(out, points, labels)],
        "points": [point.summary(expected, keep) for point in points],
        "reference_metric": expected,
        "metric": scored.metric,
        "keep": keep,
        "num_chips": chips,
        "num_samples": len(scored.labels),
        "data": source,
        "profile": profile.name,
        "seed": seed,
        "device": on,
        "seconds": round(time.perf_counter() - started, 3),
    }
    write_summary(out, summary)
    if as_json:
        print_json(summary)
    else:
        show(summary, who)


def sweep_data(
    bundle: Bundle, data: Path | None, subset: str | None, metric: str | None
) -> tuple[SweepData, str]:
    """What is scored, and in words where it comes from.

    Raises:
        ConfigError: a reference sample without labels, or an unknown metric.
    """
    from photonic.scores import default_score, score
    from photonic.sweep import SweepData

    classes = bundle.decision.classes
    name = score(metric or default_score(len(classes)), classes).name
    given = bundle_data(bundle, data, subset)
    inputs, labels = given.labelled(bundle)
    scored = SweepData(inputs=inputs, labels=labels, decision=bundle.decision, metric=name)
    return scored, given.source


@contextmanager
def resources(
    executor: str, workers: int | None, memory_mb: float, device: str, folder: Path
) -> Iterator[Resources]:
    """Who computes, open while the sweep runs.

    Raises:
        ConfigError: an unknown executor, a scheduler that does not answer, a device that is not
            there, or ``--workers`` for a cluster, which has its own.
    """
    from photonic.sweep import Resources
    from photonic.sweep.torch_device import torch_device

    kind, _, address = executor.partition(":")
    if executor == "processes":
        on = torch_device(device)
        # Processes that share one GPU get in each other's way.
        num = workers or (None if on == "cpu" else 1)
        yield Resources(memory_mb=memory_mb, num_workers=num, folder=folder, on=on)
    elif kind == "dask" and address:
        if workers is not None:
            raise ConfigError(f"--workers {workers}: the cluster has its own workers; leave it out")
        from photonic.sweep.cluster import cluster_executor, dask_client

        with dask_client(address) as client:
            pool, share, threads = cluster_executor(client)
            yield Resources(
                memory_mb=memory_mb,
                num_workers=threads,
                executor=pool,
                share=share,
                folder=folder,
                on="cpu" if device == "auto" else device,
            )
    else:
        raise ConfigError(
            f"--executor {executor!r}: processes, or dask:ADDRESS such as dask:tcp://10.0.0.1:8786"
        )


def show(summary: dict[str, Any], who: str) -> None:
    """Print the sweep's table for people."""
    keys = list(summary["points"][0]["params"])
    rows = summary["points"]
    print_table(
        (*keys, "mean", "5 %", "median", "95 %", "yield"),
        [
            (
                *(row["params"][k] for k in keys),
                row["metric_mean"],
                row["metric_p05"],
                row["metric_p50"],
                row["metric_p95"],
                f"{100 * row['yield']:.1f} %",
            )
            for row in rows[:SHOWN_POINTS]
        ],
        title=f"{summary['metric']} of {who} ({summary['profile']}), "
        f"{summary['num_samples']} beats: {summary['data']}; "
        f"float model {summary['reference_metric']:.3f}; "
        f"yield: keeps ≥ {100 * summary['keep']:g} % of it",
    )
    if len(rows) > SHOWN_POINTS:
        click.echo(f"… and {len(rows) - SHOWN_POINTS} more points, in summary.json")
    for path in summary["tables"]:
        click.echo(f"table {path}")
    for path in summary["figures"]:
        click.echo(f"figure {path}")


def parse_grid(vary: tuple[str, ...]) -> dict[str, list[Any]]:
    """``KEY=V1,V2`` texts as values by key: whole numbers, decimals, yes or no, ``none`` or text.

    Raises:
        ConfigError: a text without ``=`` or without values, or a key given twice.
    """
    grid: dict[str, list[Any]] = {}
    for text in vary:
        key, equals, values = text.partition("=")
        key = key.strip().replace("-", "_")
        parts = [v.strip() for v in values.split(",")]
        if not equals or not all(parts):
            raise ConfigError(f"--vary {text!r}: write KEY=V1,V2,…, e.g. weight.bits=4,5,6")
        if key in grid:
            raise ConfigError(f"--vary {key!r} is given twice: put all its values in one")
        grid[key] = [v if key == "profile" else _value(v) for v in parts]
    return grid


def _value(text: str) -> int | float | bool | str | None:
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
