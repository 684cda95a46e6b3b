"""The page of ``imbalance_runs.py``: one table of groups, one of runs, one of distillation.

Run from the repository root: ``python benchmarks/imbalance_page.py --out runs/imbalance --page
docs/imbalance.md``. Everything is read from the run directories.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from imbalance_runs import GROUPS, Group

from photonic.files import atomic_write_text
from training.run import META, Run, load_run, read_log

CHANCE = 0.6
"""A validation AUROC below this at the kept epoch: the student has learned nothing."""
FIGURES = ("f1", "miss", "fpr", "auroc")
GUARD = ("collapse", "policy:", "warning: effective")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished run with its log."""

    group: Group
    seed: int
    run: Run
    log: list[dict[str, Any]]

    @property
    def epochs(self) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == "epoch"]

    @property
    def dead(self) -> bool:
        return self.run.meta["metrics"]["val"]["auroc"] < CHANCE

    @property
    def collapses(self) -> int:
        """How often the guard declared one."""
        return max(line["policy"]["collapses"] for line in self.epochs)

    @property
    def phases(self) -> str:
        """Every state of the policy with the epoch after which it began."""
        told, before = [], None
        for number, line in enumerate(self.epochs):
            phase = line["policy"]["phase"]
            if phase != before:
                told.append(f"{phase} {number}")
            before = phase
        return ", ".join(told)


def results(folder: Path) -> Iterator[Result]:
    """Every finished run of the groups."""
    for group in GROUPS:
        for seed in range(group.num_seeds):
            path = folder / f"{group.name}-{seed}"
            if (path / META).is_file():
                yield Result(group=group, seed=seed, run=load_run(path), log=read_log(path))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.3f}"


def of_groups(found: Sequence[Result]) -> str:
    rows = []
    for group in GROUPS:
        runs = [result for result in found if result.group is group]
        if not runs:
            continue
        alive = [result for result in runs if not result.dead]
        figures = [
            spread([r.run.meta["metrics"][subset][key] for r in alive]) if alive else "–"
            for subset, key in (("val", "auroc"), ("test", "auroc"), ("test", "f1"))
        ]
        rows.append(
            [
                group.title,
                f"{sum(r.collapses > 0 for r in runs)} of {len(runs)}",
                f"{sum(r.dead for r in runs)} of {len(runs)}",
                *figures,
            ]
        )
    head = ["setting", "guard declared a collapse", f"dead (AUROC < {CHANCE})"]
    return table([*head, "val AUROC of the others", "test AUROC", "test F1"], rows)


def of_runs(found: Sequence[Result]) -> str:
    rows = []
    for result in found:
        meta = result.run.meta
        figures = [
            " / ".join(f"{meta['metrics'][subset][key]:.3f}" for key in FIGURES)
            for subset in ("val", "test")
        ]
        torch = meta["versions"]["torch"].partition("+")[0]
        on = f"{torch}, {result.run.config.optim.device}"
        label = f"{result.group.name} {result.seed}"
        rows.append([label, result.phases, str(meta["epoch"]), *figures, on])
    head = ["run", "states of the policy, and after which epoch", "kept epoch"]
    names = "F1 / miss / FPR / AUROC"
    return table([*head, f"val: {names}", f"test: {names}", "torch, device"], rows)


def of_guard(found: Sequence[Result]) -> str:
    lines = []
    for result in found:
        if not result.group.name.startswith("stacked") or result.seed:
            continue
        said = [(-1, m) for m in result.log[0]["messages"]]
        said += [(n, m) for n, line in enumerate(result.epochs) for m in line["messages"]]
        lines.append(f"- {result.group.name}, seed {result.seed}:")
        lines += [
            f"  - {'before training' if n < 0 else f'epoch {n}'}: {message}"
            for n, message in said
            if message.startswith(GUARD)
        ]
    return "\n".join(lines) + "\n"


def of_distillation(found: Sequence[Result]) -> str:
    runs = [result for result in found if result.group.name == "distilled"]
    rows, gains = [], []
    for result in runs:
        figures = result.run.meta["distillation"]
        gate = [
            message
            for line in result.epochs
            for message in line["messages"]
            if message.startswith("KD")
        ]
        for name in ("teacher", "control", "distilled"):
            shown = [
                " / ".join(f"{figures[name][subset][key]:.3f}" for key in FIGURES)
                for subset in ("val", "test")
            ]
            rows.append(
                [str(result.seed), name, *shown, "; ".join(gate) if name == "teacher" else ""]
            )
        gains.append(
            [
                figures["distilled"][subset][key] - figures["control"][subset][key]
                for subset, key in (("val", "auroc"), ("test", "auroc"), ("test", "f1"))
            ]
        )
    names = "F1 / miss / FPR / AUROC"
    text = table(["seed", "model", f"val: {names}", f"test: {names}", "gate"], rows)
    if len(gains) > 1:
        mean, sd = np.mean(gains, axis=0), np.std(gains, axis=0, ddof=1)
        shown = ", ".join(
            f"{what} {m:+.3f} ± {s:.3f}"
            for what, m, s in zip(("val AUROC", "test AUROC", "test F1"), mean, sd, strict=True)
        )
        text += f"\nDistilled minus control, mean and standard deviation over seeds: {shown}.\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the runs are")
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--notes", type=Path, help="text to put below the title")
    args = parser.parse_args()
    found = list(results(args.out))
    notes = args.notes.read_text(encoding="utf-8") if args.notes else ""
    page = (
        "# Training under imbalance: what happens on MIT-BIH\n\n"
        "Made by `python benchmarks/imbalance_runs.py --data ../shared/data/mitdb --out "
        "runs/imbalance` and `python benchmarks/imbalance_page.py --out runs/imbalance --page "
        f"docs/imbalance.md`, {datetime.date.today()}. Labels `seed-binary`, split `seed` (32 "
        "records to train on, of whose beats a random 20 % validate; 15 records of other patients "
        "to test), segment student, seeds from 0. Threshold and epoch are chosen on validation "
        f"samples alone.\n\n{notes}\n"
        f"## Groups\n\nMean ± standard deviation over the seeds that are not dead.\n\n"
        f"{of_groups(found)}\n## What the guard said when stacking was forced\n\n"
        f"{of_guard(found)}\n"
        f"## Distillation (preset `full`)\n\n{of_distillation(found)}\n## Every run\n\n"
        f"{of_runs(found)}"
    )
    atomic_write_text(args.page, page)
    print(f"{len(found)} runs")


if __name__ == "__main__":
    main()
