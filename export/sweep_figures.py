"""Figures of a sweep: score and yield against one parameter or two, and the yield curve."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from photonic.files import atomic_write
from photonic.sweep import SweepPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from photonic.profile import HardwareProfile

INK, BAND, MARK = "#1b3a5c", "#9dbbd8", "#c8552b"
# Beyond this many lines, or panels side by side, a yield curve is a tangle.
MOST_LINES, MOST_PANELS = 8, 4
CELL_INCHES = 0.72
WIDEST_LABEL = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the figures say of the sweep.

    Attributes:
        metric: name of the score.
        reference: the float model's score.
        keep: share of it that a chip must keep to count for yield.
        who: what was scored at every point, in words, e.g. ``1,000 simulated chips``.
        profile: the hardware that the sweep departs from.
        num_samples: samples that every chip was scored on.
    """

    metric: str
    reference: float
    keep: float
    who: str
    profile: HardwareProfile
    num_samples: int

    @property
    def chips(self) -> str:
        """What was scored, in words."""
        return f"{self.who} ({self.profile.name}), {self.num_samples:,} samples each"

    @property
    def limit(self) -> str:
        """When a chip counts for yield, in words."""
        limit = self.keep * self.reference
        return f"{self.metric} ≥ {limit:.3f}, {100 * self.keep:g} % of the float model's"

    def axis(self, key: str) -> str:
        """A varied key, and below it what it is."""
        told = self.profile.describe(key)
        return "\n".join([key, *textwrap.wrap(told, WIDEST_LABEL)])


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
    """Share of chips against the score that they must keep, one line per point.

    Two parameters: a panel per value of the one with fewer values, a line per value of the other.
    """
    panels = _panels(points)
    figure = _figure(*((9.0, 4.2) if len(panels) == 1 else (3.5 * len(panels), 4.8)))
    kept = 100 * np.concatenate([np.nan_to_num(p.scores) for p in points]) / labels.reference
    limit = 100 * labels.keep
    low = max(0.0, min(limit, float(np.quantile(kept, 0.005))) - 2)
    high = max(101.0, float(kept.max()) + 1)
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, shown) in zip(row, panels, strict=True):
        told = _varied(shown)
        for point, colour in zip(shown, _ramp(len(shown)), strict=True):
            _yield_line(axes, point, labels, colour, told)
        axes.axvspan(limit, high, color=MARK, alpha=0.07, lw=0)
        axes.axvline(limit, color=MARK, ls="--", lw=1)
        axes.set(xlim=(low, high), ylim=(-2, 103), title=title)
        axes.set_xlabel(f"{labels.metric} to keep, % of the float model's")
        axes.legend(
            frameon=False, fontsize=8, title_fontsize=8,
            title=f"{', '.join(told)}: yield at the limit".lstrip(": "),
            **(beside if len(panels) == 1 else below),
        )  # fmt: skip
        _plain(axes)
    some = sum(len(shown) for _, shown in panels)
    left_out = f"; {some} of {len(points)} points" if some < len(points) else ""
    figure.suptitle(f"Yield: {labels.limit}\n{labels.chips}{left_out}", fontsize=10)
    row[0].set_ylabel("chips that keep it (%)")
    return figure


def _yield_line(
    axes: Axes, point: SweepPoint, labels: Labels, colour: Any, told: Sequence[str]
) -> None:
    """One point: all chips up to the worst one, then a step down at each chip."""
    kept = 100 * np.sort(np.nan_to_num(point.scores)) / labels.reference
    share = 100 * np.arange(len(kept), -1, -1) / len(kept)
    reached = 100 * point.summary(labels.reference, labels.keep)["yield"]
    values = ", ".join(_text(point.params[key]) for key in told)
    name = f"{values or 'all chips'}: {reached:.0f} %"
    x = np.concatenate([[min(0.0, kept[0])], kept, [kept[-1]]])
    axes.step(x, [100.0, *share], where="pre", color=colour, lw=1.6, label=name)


def _panels(points: Sequence[SweepPoint]) -> list[tuple[str, list[SweepPoint]]]:
    """What stands side by side, each with a title: one panel, or one per value of a parameter."""
    varied = _varied(points)
    if len(varied) == 2:
        by, along = sorted(varied, key=lambda key: len(_values(points, key)))
        values = _values(points, by)
        if len(values) <= MOST_PANELS:
            return [
                (f"{by} = {_text(value)}", _evenly(chosen, MOST_LINES))
                for value in values
                if (chosen := _ordered([p for p in points if p.params[by] == value], along))
            ]
    if len(varied) == 1:
        points = _ordered(points, varied[0])
    return [("", _evenly(points, MOST_LINES))]


def bands(points: Sequence[SweepPoint], key: str, labels: Labels) -> Figure:
    """Quantile bands of the score, and yield, against one parameter."""
    figure = _figure(10.0, 4.4)
    left, right = figure.subplots(1, 2)
    ordered = _ordered(points, key)
    x = np.array([point.params[key] for point in ordered], dtype=float)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    q = np.array([np.quantile(np.nan_to_num(point.scores), levels) for point in ordered])
    left.fill_between(x, q[:, 0], q[:, 4], color=BAND, alpha=0.5, lw=0, label="5–95 % of chips")
    left.fill_between(x, q[:, 1], q[:, 3], color=BAND, lw=0, label="25–75 %")
    left.plot(x, q[:, 2], "o-", color=INK, ms=4, label="median chip")
    left.axhline(labels.reference, color=MARK, lw=1, label=f"float model {labels.reference:.3f}")
    left.axhline(labels.keep * labels.reference, color=MARK, ls="--", lw=1, label="yield limit")
    left.set(xlabel=labels.axis(key), ylabel=labels.metric, title=f"{labels.metric} of the chips")
    left.legend(frameon=False, fontsize=8)
    share = [point.summary(labels.reference, labels.keep)["yield"] for point in ordered]
    right.plot(x, 100 * np.array(share), "o-", color=INK, ms=4)
    right.set(
        xlabel=labels.axis(key),
        ylabel="yield (%)",
        ylim=(-3, 103),
        title=f"Yield: {labels.limit}",
    )
    right.title.set_fontsize(10)
    for axes in (left, right):
        _plain(axes)
    figure.suptitle(labels.chips, fontsize=10)
    return figure


def heat_maps(points: Sequence[SweepPoint], key_y: str, key_x: str, labels: Labels) -> Figure:
    """Median score and yield over two parameters, every cell with its number."""
    ys, xs = (_values(points, key) for key in (key_y, key_x))
    median, share = np.full((2, len(ys), len(xs)), np.nan)
    for point in points:
        cell = ys.index(point.params[key_y]), xs.index(point.params[key_x])
        median[cell] = np.median(np.nan_to_num(point.scores))
        share[cell] = 100 * point.summary(labels.reference, labels.keep)["yield"]
    width = max(4.0, CELL_INCHES * len(xs) + 1.2)
    figure = _figure(2 * width, max(3.8, 0.5 * len(ys) + 2.2))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, values, text, title in (
        (left, median, "{:.3f}", f"{labels.metric} of the median chip"),
        (right, share, "{:.0f} %", f"yield: {labels.limit}"),
    ):
        high = 100.0 if values is share else max(labels.reference, float(values.max()))
        low = 0.0 if values is share else float(values.min())
        axes.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="auto", origin="lower")
        axes.set_xticks(range(len(xs)), [_text(v) for v in xs])
        axes.set_yticks(range(len(ys)), [_text(v) for v in ys])
        axes.set_title(title, fontsize=10)
        axes.tick_params(length=0)
        for (row, column), value in np.ndenumerate(values):
            bright = (value - low) > 0.55 * max(high - low, 1e-12)
            axes.text(
                column, row, text.format(value), ha="center", va="center", fontsize=9,
                color="black" if bright else "white",
            )  # fmt: skip
        axes.spines[:].set_visible(False)
    left.set_ylabel(labels.axis(key_y))
    figure.supxlabel(labels.axis(key_x), fontsize=10)
    figure.suptitle(
        f"Each cell: {labels.chips}; float model: {labels.metric} {labels.reference:.3f}",
        fontsize=10,
    )
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
    """The values of a key: numbers ascending, anything else in the order given."""
    values = list(dict.fromkeys(point.params[key] for point in points))
    return sorted(values) if _numeric(key, points) else values


def _ordered(points: Sequence[SweepPoint], key: str) -> list[SweepPoint]:
    values = _values(points, key)
    return sorted(points, key=lambda point: values.index(point.params[key]))


def _numeric(key: str, points: Sequence[SweepPoint]) -> bool:
    values = [point.params[key] for point in points]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
