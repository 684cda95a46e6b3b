"""Eight seeds together against one after the other, both as the command line has them.

One after the other is one ``photonic train ecg --seed K`` after another; together is one
``photonic train ecg --seeds`` with a worker per core, run when half of the others are done, since
machines change their speed. Two times are compared: of training alone, as the logs have it
(``seconds`` of the epochs: training, prediction, threshold search; of the slowest worker), and from
the start of the first process to the end of the last, with imports, data, figures and pictures.
The time of processors is of all processes: what one core would have to do. The figures that both
end with stand below.

    python benchmarks/bench_population.py --data ../shared/data/mitdb --student segment --epochs 6
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from photonic.threads import available_cores
from training.run import load_run, read_log

FIGURES = [
    (subset, key) for subset in ("val", "test") for key in ("macro_f1", "miss", "fpr", "auroc")
]


def timed(options: list[str], out: Path) -> np.ndarray:
    """Seconds of one command: by the clock, and of processors."""
    command = [sys.executable, "-m", "photonic.cli.main", "train", "ecg", *options]
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--out", str(out), "--json"], check=True, stdout=subprocess.DEVNULL)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return np.array([time.perf_counter() - begun, spent])


def training(run: Path) -> float:
    """Seconds that the epochs of a run directory took."""
    return sum(line["seconds"] for line in read_log(run) if line["event"] == "epoch")


def metrics(runs: Sequence[Path]) -> np.ndarray:
    """Each of :data:`FIGURES` in every run directory, ``(figures, runs)``."""
    found = [load_run(run).meta["metrics"] for run in runs]
    values = [[each[subset][key] for each in found] for subset, key in FIGURES]
    return np.array(values, dtype=float)  # what is undefined is None, and no number here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--student", choices=("segment", "patch"), default="segment")
    parser.add_argument("--labels", default="seed-binary")
    parser.add_argument("--split", default="seed")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--workers", type=int, default=available_cores())
    args = parser.parse_args()
    options = [
        *("--data", str(args.data), "--student", args.student),
        *("--labels", args.labels, "--split", args.split),
        *("--max-epochs", str(args.epochs), "--min-epochs", str(args.epochs)),
    ]
    print(f"{platform.machine()}, torch {torch.__version__}, {args.seeds} seeds, {args.student}")
    half = args.seeds // 2
    with tempfile.TemporaryDirectory() as folder:
        singles = [Path(folder, f"single_{seed}") for seed in range(args.seeds)]
        together = Path(folder, "together")

        def alone(seeds: range) -> np.ndarray:
            each = [timed([*options, "--seed", str(k)], singles[k]) for k in seeds]
            return np.sum(each, axis=0)

        whole_alone = alone(range(half))
        several = ["--seeds", f"0..{args.seeds - 1}", "--workers", str(args.workers)]
        whole = timed([*options, *several], together)
        whole_alone += alone(range(half, args.seeds))
        learned_alone = sum(training(run) for run in singles)
        learned = max(training(run) for run in together.iterdir())
        figures = [metrics(runs) for runs in (singles, sorted(together.iterdir()))]
    print(f"{'':24s} {'alone':>8s} {'together':>9s}  ratio ({args.workers} workers)")
    for name, before, after in (
        ("training, per epoch, s", learned_alone / args.epochs, learned / args.epochs),
        ("whole command, s", whole_alone[0], whole[0]),
        ("of processors, s", whole_alone[1], whole[1]),
    ):
        print(f"{name:24s} {before:8.2f} {after:9.2f}  {before / after:.2f} ×")
    print(f"\n{'figures, mean ± sd':24s} {'alone':>14s} {'together':>14s}")
    for name, *both in zip(FIGURES, *figures, strict=True):
        told = [f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" for values in both]
        print(f"{' '.join(name):24s} {told[0]:>14s} {told[1]:>14s}")


if __name__ == "__main__":
    main()
