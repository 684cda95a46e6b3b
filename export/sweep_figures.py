"""Figures of a sweep: score and yield against one parameter or two, and the yield curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from photonic.files import atomic_write
from photonic.sweep import SweepPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, BAND, MARK = "#1b3a5c", "#9dbbd8", "#c8552b"
# Beyond this many lines a yield curve is a tangle.
MOST_LINES = 8
CELL_INCHES = 0.72


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the figures say of the sweep.

    Attributes:
        metric: name of the score.
        reference: the float model's score.
        keep: share of it that a chip must keep to count for yield.
        num_chips: chips per point.
        profile: name of the hardware.
    """

    metric: str
    reference: float
    keep: float
    num_chips: int
    profile: str

    @property
    def chips(self) -> str:
        """The chips in words."""
        return f"{self.num_chips:,} simulated chips ({self.profile})"


def write_figures(directory: Path, points: Sequence[SweepPoint], labels: Labels) -> list[Path]:
    """Write the figures that the grid allows, and return their paths.

    ``yield_curve.png`` always; ``sweep.png``, quantile bands and yield, for one parameter with
    several values; ``heatmap.png`` for two.
    """
    figures = {"yield_curve.png": yield_curve(points, labels)}
    varied = _varied(points)
    if len(varied) == 1 and _numeric(varied[0], points):
        figures["sweep.png"] = bands(points, varied[0], labels)
    if len(varied) == 2:
        figures["heatmap.png"] = heat_maps(points, varied[0], varied[1], labels)
    for name, figure in figures.items():
        with atomic_write(directory / name) as path:
            figure.savefig(path, dpi=140, format="png")
    return [directory / name for name in figures]


def yield_curve(points: Sequence[SweepPoint], labels: Labels) -> Figure:
    """Share of chips against the score that they must keep, one line per point."""
    figure = _figure(6.4, 4.2)
    axes = figure.subplots()
    shown = _evenly(points, MOST_LINES)
    some = f", {len(shown)} of {len(points)} points" if len(shown) < len(points) else ""
    colours = _ramp(len(shown))
    floor = 100.0 * labels.keep
    for point, colour in zip(shown, colours, strict=True):
        kept = 100 * np.sort(np.nan_to_num(point.scores)) / labels.reference
        # Chips that keep at least x: all up to the worst one, then a step down at each chip.
        share = 100 * np.arange(len(kept), -1, -1) / len(kept)
        axes.step(np.concatenate([kept, [kept[-1]]]), share, where="pre", color=colour, lw=1.6)
        axes.plot([], [], color=colour, label=_name(point.params) or "all chips")
        axes.plot([min(kept[0], floor) - 100, kept[0]], [100, 100], color=colour, lw=1.6)
        floor = min(floor, kept[0])
    limit = 100 * labels.keep
    axes.axvline(limit, color=MARK, ls="--", lw=1, label=f"limit {limit:g} %")
    axes.set(
        xlabel=f"{labels.metric} kept, % of the float model's {labels.reference:.3f}",
        ylabel="yield: chips that keep it (%)",
        title=f"Yield of {labels.chips}{some}",
        xlim=(max(0.0, floor - 2), 101.5),
        ylim=(-2, 103),
    )
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    _plain(axes)
    return figure


def bands(points: Sequence[SweepPoint], key: str, labels: Labels) -> Figure:
    """Quantile bands of the score, and yield, against one parameter."""
    figure = _figure(10.0, 4.0)
    left, right = figure.subplots(1, 2)
    ordered = sorted(points, key=lambda point: point.params[key])
    x = np.array([point.params[key] for point in ordered], dtype=float)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    q = np.array([np.quantile(np.nan_to_num(point.scores), levels) for point in ordered])
    left.fill_between(x, q[:, 0], q[:, 4], color=BAND, alpha=0.5, lw=0, label="5–95 % of chips")
    left.fill_between(x, q[:, 1], q[:, 3], color=BAND, lw=0, label="25–75 %")
    left.plot(x, q[:, 2], "o-", color=INK, ms=4, label="median chip")
    left.axhline(labels.reference, color=MARK, lw=1, label=f"float model {labels.reference:.3f}")
    left.axhline(labels.keep * labels.reference, color=MARK, ls="--", lw=1, label="yield limit")
    left.set(xlabel=key, ylabel=labels.metric, title=f"{labels.metric} of {labels.chips}")
    left.legend(frameon=False, fontsize=8)
    share = [point.summary(labels.reference, labels.keep)["yield"] for point in ordered]
    right.plot(x, 100 * np.array(share), "o-", color=INK, ms=4)
    right.set(
        xlabel=key,
        ylabel="yield (%)",
        ylim=(-3, 103),
        title=f"Chips that keep ≥ {100 * labels.keep:g} % of the float model",
    )
    for axes in (left, right):
        _plain(axes)
    return figure


def heat_maps(points: Sequence[SweepPoint], key_y: str, key_x: str, labels: Labels) -> Figure:
    """Median score and yield over two parameters, every cell with its number."""
    ys, xs = (_values(points, key) for key in (key_y, key_x))
    median, share = np.full((2, len(ys), len(xs)), np.nan)
    for point in points:
        cell = ys.index(point.params[key_y]), xs.index(point.params[key_x])
        median[cell] = np.median(np.nan_to_num(point.scores))
        share[cell] = 100 * point.summary(labels.reference, labels.keep)["yield"]
    width = max(3.6, CELL_INCHES * len(xs) + 1.8)
    figure = _figure(2 * width, max(3.2, 0.5 * len(ys) + 1.8))
    left, right = figure.subplots(1, 2)
    for axes, values, text, title in (
        (left, median, "{:.3f}", f"Median {labels.metric} (float model {labels.reference:.3f})"),
        (right, share, "{:.0f} %", f"Yield: chips that keep ≥ {100 * labels.keep:g} %"),
    ):
        high = 100.0 if values is share else max(labels.reference, float(values.max()))
        low = 0.0 if values is share else float(values.min())
        axes.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="auto", origin="lower")
        axes.set_xticks(range(len(xs)), [_text(v) for v in xs])
        axes.set_yticks(range(len(ys)), [_text(v) for v in ys])
        axes.set(xlabel=key_x, ylabel=key_y, title=title)
        axes.tick_params(length=0)
        for (row, column), value in np.ndenumerate(values):
            bright = (value - low) > 0.55 * max(high - low, 1e-12)
            axes.text(
                column, row, text.format(value), ha="center", va="center", fontsize=8,
                color="black" if bright else "white",
            )  # fmt: skip
        axes.spines[:].set_visible(False)
    figure.suptitle(labels.chips, fontsize=10)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _ramp(count: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, count)]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)


def _evenly(points: Sequence[SweepPoint], most: int) -> list[SweepPoint]:
    chosen = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(int))
    return [points[i] for i in chosen]


def _varied(points: Sequence[SweepPoint]) -> list[str]:
    return [key for key in points[0].params if len(_values(points, key)) > 1]


def _values(points: Sequence[SweepPoint], key: str) -> list[Any]:
    return list(dict.fromkeys(point.params[key] for point in points))


def _numeric(key: str, points: Sequence[SweepPoint]) -> bool:
    return all(isinstance(value, int | float) for value in _values(points, key))


def _name(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_text(value)}" for key, value in params.items())


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
