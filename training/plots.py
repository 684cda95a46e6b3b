"""Figures of a run directory, drawn from its log and its saved predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from photonic.decision import Decision, softmax
from photonic.files import atomic_write
from training.evaluate import Predictions, report

# Colour-blind safe (Okabe and Ito, 2008).
COLOURS = {"train": "#999999", "val": "#0072B2", "test": "#D55E00"}
CLASS_COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
SUBSET_NAMES = {"train": "training", "val": "validation", "test": "generalisation"}
MODEL_COLOURS = {"teacher": "#999999", "control": "#0072B2", "distilled": "#D55E00"}
_LOG_NAME = {"train": "train", "val": "val", "test": "generalisation"}


def write_figures(
    folder: Path,
    decision: Decision,
    predictions: Mapping[str, Predictions],
    beats: np.ndarray | None,
    log: Sequence[Mapping[str, Any]],
) -> None:
    """All figures of a run, as PNG.

    Args:
        folder: the run directory.
        decision: the chosen decision.
        predictions: by subset.
        beats: waveforms ``(n, samples)`` of the last subset in ``predictions``, for the page of
            samples; left out where inputs are no waveforms.
        log: lines of the training log.
    """
    scored = {name: p for name, p in predictions.items() if name != "train"}
    save(curves(log), folder / "curves.png")
    save(ranking(decision, scored, "roc"), folder / "roc.png")
    save(ranking(decision, scored, "pr"), folder / "pr.png")
    save(per_class_bars(decision, scored), folder / "per_class.png")
    for name, p in scored.items():
        save(confusion(decision, p, SUBSET_NAMES[name]), folder / f"confusion_{name}.png")
    if beats is not None:
        name = list(predictions)[-1]
        save(sample_beats(decision, predictions[name], beats, name), folder / "beats.png")


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(file) as temporary:
        figure.savefig(temporary, dpi=110)


def curves(log: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss, score, miss and FPR per epoch for training, validation and the generalisation trace."""
    epochs = [line for line in log if line.get("event") == "epoch"]
    binary = any("f1" in line.get("val", {}) for line in epochs)
    panels = [
        ("loss", "cross-entropy"),
        ("f1", "F1 (abnormal)") if binary else ("macro_f1", "macro F1"),
        ("miss", "miss rate"),
        ("fpr", "false-positive rate"),
    ]
    figure = Figure(figsize=(10, 6.4))
    figure.subplots_adjust(0.06, 0.08, 0.98, 0.91, hspace=0.35, wspace=0.16)
    for axes, (key, title) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for name, colour in COLOURS.items():
            points = [
                (number, line[_LOG_NAME[name]][key])
                for number, line in enumerate(epochs)
                if line.get(_LOG_NAME[name], {}).get(key) is not None
            ]
            if points:
                # Dashed and in front: where they agree, validation stays visible behind it.
                ahead = {"ls": (0, (3, 2)), "zorder": 3} if name == "train" else {}
                axes.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    label=SUBSET_NAMES[name],
                    lw=1.4,
                    **ahead,
                )
        _phases(axes, epochs)
        _style(axes, title=title, x="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if key in ("miss", "fpr"):
            axes.set_ylim(bottom=0.0)
    _legend_above(figure)
    return figure


def _phases(axes: Axes, epochs: Sequence[Mapping[str, Any]]) -> None:
    """A line where another stage or the refit begins."""
    before, lines = None, 0
    for number, line in enumerate(epochs):
        now = (line["phase"], line["stage"])
        if before is not None and now != before:
            axes.axvline(number - 0.5, color="0.6", lw=0.8, ls=":")
            text = line["stage"] if line["phase"] == "choose" else f"refit {line['stage']}"
            late = number > 0.7 * len(epochs)
            # Short stages stand close together, so their names stand one below the other.
            axes.text(
                number - 0.7 if late else number - 0.3,
                0.98 - 0.07 * (lines % 4),
                text,
                transform=axes.get_xaxis_transform(),
                fontsize=7,
                va="top",
                ha="right" if late else "left",
            )
            lines += 1
        before = now


def ranking(decision: Decision, predictions: Mapping[str, Predictions], kind: str) -> Figure:
    """ROC or precision–recall curves, class 0 against the others, with the chosen decision."""
    figure = Figure(figsize=(5.2, 4.8))
    figure.subplots_adjust(0.12, 0.11, 0.97, 0.93)
    axes = figure.subplots()
    for name, p in predictions.items():
        abnormal, score = p.label > 0, 1.0 - p.probs[:, 0]
        if abnormal.all() or not abnormal.any():
            continue
        values = report(decision, p.probs, p.label)
        if kind == "roc":
            x, y, _ = roc_curve(abnormal, score)
            point = (values["fpr"], 1.0 - values["miss"])
            area = values["auroc"]
        else:
            y, x, _ = precision_recall_curve(abnormal, score)
            called = decision.from_probabilities(p.probs) > 0
            hits = (called & abnormal).sum()
            point = (1.0 - values["miss"], hits / max(called.sum(), 1))
            area = values["auprc"]
        label = f"{SUBSET_NAMES[name]}, area {area:.3f}"
        axes.plot(x, y, color=COLOURS[name], label=label, lw=1.6)
        axes.plot(*point, "o", color=COLOURS[name], ms=6, mec="white")
    titles = {
        "roc": ("ROC, abnormal against normal", "false-positive rate", "sensitivity"),
        "pr": ("Precision and recall, abnormal", "recall", "precision"),
    }
    title, x_name, y_name = titles[kind]
    _style(axes, title=title, x=x_name, y=y_name)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    place = "lower right" if kind == "roc" else "lower left"
    axes.legend(frameon=False, fontsize=9, loc=place, title="dot: chosen decision")
    return figure


def confusion(decision: Decision, predictions: Predictions, title: str) -> Figure:
    """Confusion matrix: counts, shaded by the share of the true class."""
    values = report(decision, predictions.probs, predictions.label)
    counts = np.asarray(values["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.7 * len(counts)
    figure = Figure(figsize=(size + 0.4, size))
    figure.subplots_adjust(0.24, 0.16, 0.97, 0.9)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "0.15"
        text = f"{count}\n{shares[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    ticks = range(len(counts))
    axes.set_xticks(ticks, decision.classes)
    axes.set_yticks(ticks, decision.classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize=11)
    return figure


def per_class_bars(decision: Decision, predictions: Mapping[str, Predictions]) -> Figure:
    """Sensitivity, precision and F1 of every class."""
    figure = Figure(figsize=(9.5, 3.4))
    figure.subplots_adjust(0.05, 0.1, 0.99, 0.82, wspace=0.06)
    panels = figure.subplots(1, 3, sharey=True)
    width = 0.8 / max(len(predictions), 1)
    for axes, (key, title) in zip(
        panels, (("sensitivity", "sensitivity"), ("ppv", "precision"), ("f1", "F1")), strict=True
    ):
        for number, (name, p) in enumerate(predictions.items()):
            rows = report(decision, p.probs, p.label)["per_class"]
            places = np.arange(len(rows)) + (number - (len(predictions) - 1) / 2) * width
            heights = [row[key] or 0.0 for row in rows.values()]
            bars = axes.bar(
                places, heights, width * 0.92, color=COLOURS[name], label=SUBSET_NAMES[name]
            )
            axes.bar_label(bars, fmt="%.2f", fontsize=7, padding=1)
        axes.set_xticks(range(len(decision.classes)), decision.classes)
        _style(axes, title=title)
    panels[0].set_ylim(0, 1.12)
    _legend_above(figure)
    return figure


def _legend_above(figure: Figure) -> None:
    """One legend for all panels, over their titles."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncols=3, frameon=False, fontsize=9)


def sample_beats(
    decision: Decision, predictions: Predictions, beats: np.ndarray, subset: str
) -> Figure:
    """A page of beats, right and wrong ones of every class, with what was said about them."""
    columns = 6
    predicted = decision.from_probabilities(predictions.probs)
    generator = np.random.default_rng(0)
    figure = Figure(figsize=(11, 1.5 * len(decision.classes) + 0.7))
    # One pair of axes for all: two dozen of them take seconds to draw.
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.88))
    axes.set(xlim=(0, columns), ylim=(-len(decision.classes), 0))
    axes.axis("off")
    for c in range(len(decision.classes)):
        right = np.flatnonzero((predictions.label == c) & (predicted == c))
        wrong = np.flatnonzero((predictions.label == c) & (predicted != c))
        wrong = generator.permutation(wrong)[: columns // 2]
        right = generator.permutation(right)[: columns - len(wrong)]
        for column, i in enumerate(np.concatenate([right, wrong])):
            x = column + 0.05 + 0.9 * np.linspace(0.0, 1.0, beats.shape[1])
            y = -c - 0.65 + 0.3 * beats[i]
            axes.plot(x, y, color=CLASS_COLOURS[c % len(CLASS_COLOURS)], lw=0.9)
            axes.text(
                column + 0.05,
                -c - 0.04,
                f"{decision.classes[c]} → {decision.classes[predicted[i]]}  "
                f"{predictions.probs[i, predicted[i]]:.2f}\n"
                f"{predictions.record[i]} @ {predictions.sample[i]}",
                fontsize=7,
                va="top",
                color="0.2" if predicted[i] == c else "#C00000",
            )
    figure.suptitle(
        f"{SUBSET_NAMES[subset]} beats: true → predicted, probability (wrong ones in red)",
        fontsize=10,
    )
    return figure


def _style(axes: Axes, *, title: str, x: str = "", y: str = "") -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", lw=0.6)
    axes.set_axisbelow(True)


def roc_of_models(
    models: Mapping[str, tuple[Decision, Mapping[str, np.ndarray]]],
    labels: Mapping[str, np.ndarray],
) -> Figure:
    """ROC of teacher, control and distilled student, each with its decision, by subset.

    Args:
        models: a decision, and logits by subset.
        labels: class indices by subset.
    """
    figure = Figure(figsize=(5 * len(labels), 4.6))
    figure.subplots_adjust(0.08, 0.12, 0.98, 0.92, wspace=0.18)
    panels = figure.subplots(1, len(labels), squeeze=False)[0]
    for axes, (subset, label) in zip(panels, labels.items(), strict=True):
        for name, (decision, logits) in models.items():
            probs = softmax(logits[subset])
            values = report(decision, probs, label)
            if values["auroc"] is None:
                continue
            x, y, _ = roc_curve(label > 0, 1.0 - probs[:, 0])
            text = f"{name}, area {values['auroc']:.3f}"
            axes.plot(x, y, color=MODEL_COLOURS[name], lw=1.5, label=text)
            axes.plot(
                values["fpr"], 1 - values["miss"], "o", color=MODEL_COLOURS[name], mec="white"
            )
        axes.set(xlabel="false-positive rate", ylabel="sensitivity", title=subset)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    return figure
