"""Threshold search: 1 000 candidates on 100 000 probabilities, against one candidate at a time.

Run from the repository root: ``python benchmarks/bench_thresholds.py``. All figures are measured
here, best and median of ``--repeats`` runs in one process.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import time
from collections.abc import Callable

import numpy as np

from training.options import ThresholdOptions
from training.thresholds import per_label_thresholds, sweep_thresholds, threshold_curve

LIMIT_MS = 20.0


def timed(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best and median milliseconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return 1e3 * min(seconds), 1e3 * float(np.median(seconds))


def counts_at(scores: np.ndarray, labels: np.ndarray, cut: float) -> tuple[int, int]:
    """Hits and false alarms of one candidate, by a pass over the samples."""
    called = scores >= cut
    return int((called & (labels == 1)).sum()), int((called & (labels == 0)).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = (rng.random(arguments.samples) < 0.1).astype(np.int64)
    scores = np.clip(rng.normal(0.35 + 0.3 * labels, 0.15), 0.0, 1.0)
    many = np.clip(rng.normal(0.3, 0.15, (arguments.samples // 4, 8)), 0.0, 1.0)
    sick = (rng.random(many.shape) < 0.08).astype(np.int64)
    options = ThresholdOptions(threshold_candidates=arguments.candidates)

    print(f"{datetime.date.today()}  {platform.processor() or platform.machine()}  "
          f"Python {platform.python_version()}  NumPy {np.__version__}")  # fmt: skip
    print("command: python benchmarks/bench_thresholds.py " + " ".join(sys.argv[1:]))
    print(f"{arguments.candidates} candidates, {arguments.samples} probabilities; milliseconds")
    rows = {
        "constrained sweep": lambda: sweep_thresholds(scores, labels, options, miss_ema=0.1),
        "max_f1, every cut": lambda: sweep_thresholds(
            scores, labels, ThresholdOptions(threshold_rule="max_f1")
        ),
        f"per label, 8 × {len(many)}": lambda: per_label_thresholds(many, sick, options),
    }
    best_sweep = 0.0
    for name, function in rows.items():
        best, median = timed(function, arguments.repeats)
        best_sweep = best_sweep or best
        print(f"  {name:<24} best {best:8.2f}   median {median:8.2f}")
    cuts = np.linspace(0.05, 0.95, 20)
    one_by_one, _ = timed(lambda: [counts_at(scores, labels, cut) for cut in cuts], 5)
    together, _ = timed(lambda: threshold_curve(scores, labels, cuts), 5)
    print(f"  20 candidates, one by one {one_by_one:.2f}, in one pass {together:.2f}")
    held = best_sweep < LIMIT_MS
    print(f"limit {LIMIT_MS:g} ms for the constrained sweep: {'held' if held else 'missed'}")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
