"""Records to labelled beats: the first read of a folder, and the cached one.

Run from the repository root: ``python benchmarks/bench_records.py --data DIR`` with the 48 MIT-BIH
records in DIR; without, on synthetic records that are written first. All figures are measured here,
every repeat of the first read with an empty cache; the files themselves are in the page cache.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.data.beatset import load_beats
from training.data.labels import label_map
from training.data.records import LeadChoice, list_records
from training.data.synthetic import write_records

FIRST_LIMIT_S, CACHED_LIMIT_S = 6.0, 0.5


def timed(function: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Best and median seconds of ``function(0)``, ``function(1)`` …"""
    seconds = []
    for repeat in range(repeats):
        start = time.perf_counter()
        function(repeat)
        seconds.append(time.perf_counter() - start)
    return min(seconds), float(np.median(seconds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of WFDB records; else synthetic ones")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    labels = label_map("aami-4")
    lead = LeadChoice(stand_ins={"102": "V5", "104": "V5"})
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.data or Path(scratch, "records")
        if arguments.data is None:
            start = time.perf_counter()
            write_records(folder)
            written = f"written in {time.perf_counter() - start:.2f} s"
        else:
            written = str(folder)

        def read(cache: str, residual: bool) -> int:
            return len(
                load_beats(
                    folder,
                    labels,
                    lead=lead,
                    keep_paced=True,
                    residual=residual,
                    cache=Path(scratch, cache),
                )
            )

        num_beats = read("cache", True)
        rows = {
            "first read": timed(lambda repeat: read(f"empty{repeat}", False), arguments.repeats),
            "cached": timed(lambda _: read("cache", False), 3 * arguments.repeats),
            "cached, with residuals": timed(lambda _: read("cache", True), 3 * arguments.repeats),
        }
        num_records = len(list_records(folder))

    print(f"{datetime.date.today()}  {platform.processor() or platform.machine()}  "
          f"Python {platform.python_version()}  NumPy {np.__version__}")  # fmt: skip
    print("command: python benchmarks/bench_records.py " + " ".join(sys.argv[1:]))
    print(f"{num_records} records, {num_beats} beats ({written}); seconds")
    for name, (best, median) in rows.items():
        print(f"  {name:<24} best {best:8.3f}   median {median:8.3f}")
    held = rows["first read"][0] <= FIRST_LIMIT_S and rows["cached"][0] <= CACHED_LIMIT_S
    print(f"limits {FIRST_LIMIT_S:g} s and {CACHED_LIMIT_S:g} s: {'held' if held else 'missed'}")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
