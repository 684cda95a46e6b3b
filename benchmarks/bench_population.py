"""Eight seeds together against one after the other: training, judging and both, in one run.

Every member is a complete fit on records of a folder (split `seed`): training epochs, prediction of
validation and test beats, threshold search, policy. One after the other is one thread, as
``photonic train`` is by default; together is timed with one thread and with two.

    python benchmarks/bench_population.py --data ../shared/data/mitdb --student segment
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace
from pathlib import Path

import torch

from photonic.threads import torch_threads
from training.config import with_values
from training.fit import Fit
from training.population import epoch_of_all
from training.setup import build_problem
from training.workloads import workload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--student", choices=("segment", "patch"), default="segment")
    parser.add_argument("--labels", default="seed-binary")
    parser.add_argument("--split", default="seed")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2, help="epochs; the fastest one counts")
    parser.add_argument("--plain", action="store_true", help="without augmentation and noise")
    args = parser.parse_args()
    given = {"data": args.data, "student": args.student, "labels": args.labels, "split": args.split}
    config = workload("ecg").resolve(given)
    if args.plain:
        changes = dict.fromkeys(("augment_shift_samples", "augment_wander", "augment_noise"), 0)
        changes |= {"augment_amplitude": 0, "weight_noise": 0, "activation_noise": 0}
        config = with_values(config, **changes)
    problem = build_problem("ecg", config, workload("ecg").load(config, lambda _: None))

    def fits() -> list[Fit]:
        return [Fit(replace(problem, seed=seed)) for seed in range(args.seeds)]

    print(f"{platform.machine()}, torch {torch.__version__}, {args.seeds} seeds, {args.student}")
    with torch_threads(1):
        groups = {"one after the other": fits(), "together, 1 thread": fits()}
        groups["together, 2 threads"] = fits()
        best: dict[str, float] = {}
        for _ in range(args.epochs):
            for name, members in groups.items():
                begun = time.perf_counter()
                if name == "one after the other":
                    for fit in members:
                        fit.step()
                else:
                    epoch_of_all(members, threads=2 if "2" in name else 1)
                best[name] = min(best.get(name, 1e9), time.perf_counter() - begun)
    alone = best["one after the other"]
    for name, seconds in best.items():
        print(f"{name:22s} {seconds:7.2f} s an epoch of all   {alone / seconds:5.2f} ×")


if __name__ == "__main__":
    main()
