"""Does training under imbalance collapse? Presets, the founding recipe, forced stacking and KD.

Run from the repository root: ``python benchmarks/imbalance_runs.py --data ../shared/data/mitdb
--out runs/imbalance``. Every run is one ``photonic train ecg`` with the options of :data:`GROUPS`;
finished runs are kept and interrupted ones continued, so that the work can be cut into pieces
(``--minutes``, ``--only``, ``--seeds``); ``imbalance_page.py`` makes the page of what is there.
A teacher takes most of an hour on a CPU: with a GPU, ``--only distilled --device cuda``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonic.threads import torch_threads
from training.run import META, RESUME
from training.train import resume, train
from training.workloads import workload

TASK = {"labels": "seed-binary", "split": "seed"}
STACKED = {
    "strategy_preset": "full",
    "use_kd": False,
    "stack_sampler_with_ce": True,
    "sampler_method": "power",
    "sampler_power": 1.0,
    "sampler_max_ratio": 20.0,
    "sampler_max_abnormal_share": 1.0,
    "class_weight_abnormal": 1.0,
    "class_weight_power": 1.0,
    "class_weight_max_ratio": 7.0,
    "class_weight_clamp": 0.0,
    "imbalance_warmup_epochs": 0,
    "imbalance_ramp_epochs": 0,
}

SLOW = {"optimizer": "adam", "lr": 1e-3, "schedule": "plateau"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that differ in their seed alone."""

    name: str
    title: str
    options: dict[str, Any]
    num_seeds: int


GROUPS = (
    Group(
        name="stable",
        title="preset `stable`: tanh with learned gain",
        options={"strategy_preset": "stable"},
        num_seeds=5,
    ),
    Group(
        name="founding",
        title="founding recipe: ReLU with `scale_to_unit`",
        options={"recipe": "founding"},
        num_seeds=5,
    ),
    Group(
        name="stacked",
        title="sampler of power 1 and 7× weights, stacked: tanh with learned gain",
        options=STACKED,
        num_seeds=2,
    ),
    Group(
        name="stacked-slow",
        title="the same stacking with the founding optimiser (Adam, 1e-3, plateau)",
        options={**STACKED, **SLOW},
        num_seeds=2,
    ),
    Group(
        name="stacked-100",
        title="the same with 100× weights instead of 7×",
        options={**STACKED, **SLOW, "class_weight_power": 2.0, "class_weight_max_ratio": 100.0},
        num_seeds=2,
    ),
    Group(
        name="stacked-founding",
        title="the same stacking, founding recipe",
        options={**STACKED, "recipe": "founding"},
        num_seeds=2,
    ),
    Group(
        name="distilled",
        title="preset `full` with distillation",
        options={"strategy_preset": "full"},
        num_seeds=3,
    ),
)


def runs(only: list[str], seeds: list[int]) -> Iterator[tuple[Group, int]]:
    """Group and seed of every run, first seeds first; an empty list means all."""
    chosen = [group for group in GROUPS if not only or group.name in only]
    for seed in seeds or range(max(group.num_seeds for group in chosen)):
        yield from ((group, seed) for group in chosen if seed < group.num_seeds)


def complete(group: Group, seed: int, args: argparse.Namespace) -> None:
    """The run of a group and a seed, from where it stands."""
    out = args.out / f"{group.name}-{seed}"
    if (out / META).is_file() and not (out / RESUME).is_file():
        return
    begun = time.monotonic()
    if (out / RESUME).is_file():
        run = resume(out)
    else:
        options = {**TASK, **group.options, "data": args.data, "seed": seed}
        options["device"] = args.device
        if group.name == "distilled" and args.teachers is not None:
            options["teacher_checkpoint"] = str(args.teachers / f"teacher-{seed}.safetensors")
        run = train("ecg", workload("ecg").resolve(options), out)
    print(f"{out}: {time.monotonic() - begun:.0f} s, {run.meta['metrics']['val']['f1']:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, help="teacher-SEED.safetensors of each seed")
    parser.add_argument("--only", nargs="*", default=[], choices=[g.name for g in GROUPS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[], help="these seeds alone")
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:N")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after these")
    args = parser.parse_args()
    begun = time.monotonic()
    with torch_threads(1):
        for group, seed in runs(args.only, args.seeds):
            if time.monotonic() - begun < 60 * args.minutes:
                complete(group, seed, args)


if __name__ == "__main__":
    main()
