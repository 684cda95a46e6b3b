"""What a sweep leaves on disk: a tidy table, a summary and figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from photonic.files import atomic_write
from photonic.sweep import SweepPoint

INK, BAND, MARK = "#1b3a5c", "#9dbbd8", "#c8552b"


def write_sweep(
    directory: Path, points: Sequence[SweepPoint], summary: Mapping[str, Any]
) -> tuple[Path, list[Path]]:
    """Write ``table.csv`` (one row per point and chip), ``summary.json`` and the figures.

    Args:
        directory: made if it does not exist; earlier files of these names are replaced.
        points: scores of every chip at every point.
        summary: what ``photonic sweep --json`` prints.

    Returns:
        The path of the table and those of the figures.
    """
    directory.mkdir(parents=True, exist_ok=True)
    table = directory / "table.csv"
    keys = list(points[0].params)
    with atomic_write(table) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*keys, "chip", "metric"])
        for point in points:
            values = [point.params[k] for k in keys]
            writer.writerows([*values, i, float(s)] for i, s in enumerate(point.scores))
    with atomic_write(directory / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return table, _figures(directory, points, summary)


def _figures(
    directory: Path, points: Sequence[SweepPoint], summary: Mapping[str, Any]
) -> list[Path]:
    """Score and yield against the parameter, for one numeric parameter with several values."""
    keys = list(points[0].params)
    if len(keys) != 1 or len(points) < 2 or not _numeric(points, keys[0]):
        return []
    from matplotlib.figure import Figure

    key, metric = keys[0], summary["metric"]
    x = np.array([p.params[key] for p in points], dtype=float)
    order = np.argsort(x)
    quantiles = np.array([np.quantile(p.scores, [0.05, 0.5, 0.95]) for p in points])[order]
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.fill_between(x[order], quantiles[:, 0], quantiles[:, 2], color=BAND, label="5–95 %")
    left.plot(x[order], quantiles[:, 1], "o-", color=INK, label="median chip")
    reference = summary["reference_metric"]
    left.axhline(reference, color=MARK, ls="--", lw=1, label=f"float model {reference:.3f}")
    left.set(xlabel=key, ylabel=metric, title=f"{metric} of {summary['num_chips']} chips")
    left.legend(frameon=False)
    share = np.array([row["yield"] for row in summary["points"]])[order]
    right.plot(x[order], 100 * share, "o-", color=INK)
    right.set(
        xlabel=key,
        ylabel="yield (%)",
        ylim=(-3, 103),
        title=f"chips that keep ≥ {100 * summary['keep']:g} % of the reference",
    )
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    path = directory / "sweep.png"
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    return [path]


def _numeric(points: Sequence[SweepPoint], key: str) -> bool:
    return all(isinstance(p.params[key], int | float) for p in points)
