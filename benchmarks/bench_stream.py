"""Bundles as they stream: time per beat beside the floor, throughput, confusion end to end.

Run from the repository root: ``python benchmarks/bench_stream.py --data DIR BUNDLE…`` with the 48
MIT-BIH records in DIR. Every record streams from its first sample to its last through detector,
window, features, graph and decision, one second at a time on one thread; its file is read before
the clock starts. Lead as the bundle was trained on, V5 on 102 and 104.

The floor is an identity graph on the same input, timed at every beat of the same run. Confusion
counts the bundle's test records alone, with annotated and with detected R peaks; ``--confusion``
streams those only and leaves the times out. ``--graph`` picks one of the two graphs.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from export.bundle import Bundle, read_bundle
from export.stream.annotated import confusion, match
from export.stream.centred import as_trained
from export.stream.classifier import BeatClassifier
from export.stream.detector import RPeakDetector
from export.stream.peaks import AnnotatedPeaks
from export.stream.pipeline import BeatStream
from export.stream.run import StreamLog, run_session
from export.stream.summary import summarise
from photonic.cli.stream_sources import Source, record_source
from training.data.labels import label_map
from training.data.records import list_records
from training.data.splits import MITDB_PLANS

CHUNK = 360
DEADLINE_US = 500.0
TIMES_REAL_TIME = 2000.0
GRAPHS = ("float", "quantised")
STAND_INS = {"102": "V5", "104": "V5"}


def stream_all(
    bundle: Bundle, sources: dict[str, Source], *, quantized: bool, detect: bool
) -> tuple[StreamLog, dict[str, dict[str, dict[str, int]]]]:
    """All records one after the other: the log of all, and the confusion of each."""
    total, tables = StreamLog(), {}
    symbols = label_map(bundle.manifest.label_map).symbols
    classes = bundle.manifest.classes
    for name, source in sources.items():
        assert source.annotated is not None
        trained = bundle.manifest.preprocessing
        classifier = BeatClassifier(
            bundle.model(quantized=quantized),
            bundle.program.inputs,
            bundle.decision,
            causal=bool(trained.get("causal", False)),
            template=trained.get("template", "mean"),
            signal_range=source.signal_range,
        )
        marks = RPeakDetector() if detect else AnnotatedPeaks(source.annotated.samples)
        peaks = as_trained(marks, trained)
        before = len(total.beats)
        for chunks in source.sessions:
            run_session(BeatStream(classifier, peaks), chunks, total)
        beats = total.beats[before:]
        matches = match(source.annotated, [beat.sample for beat in beats])
        tables[name] = confusion(source.annotated, matches, beats, classes, symbols)
    return total, tables


def read_all(folder: Path, lead: str, names: Iterable[str]) -> dict[str, Source]:
    return {
        name: record_source(folder / name, STAND_INS.get(name, lead), "atr", CHUNK)
        for name in names
    }


def print_confusion(tables: dict, names: tuple[str, ...], title: str) -> None:
    rows = {}
    for name in names:
        for row, cells in tables[name].items():
            for column, count in cells.items():
                rows.setdefault(row, {}).setdefault(column, 0)
                rows[row][column] += count
    print(f"  {title}: annotated -> decided, {len(names)} test records")
    for row, cells in rows.items():
        print(
            f"    {row:<9}" + "".join(f"  {column} {count:6d}" for column, count in cells.items())
        )


def compare_peaks(
    bundle: Bundle, folder: Path, detected: dict | None, names: tuple[str, ...], quantized: bool
) -> None:
    """Confusion of the test records with annotated and with detected R peaks."""
    lead = lead_of(bundle)
    if detected is None:
        sources = read_all(folder, lead, names)
        detected = stream_all(bundle, sources, quantized=quantized, detect=True)[1]
    sources = read_all(folder, lead, names)
    known = stream_all(bundle, sources, quantized=quantized, detect=False)[1]
    print_confusion(known, names, "annotated R peaks")
    print_confusion(detected, names, "detected R peaks")


def lead_of(bundle: Bundle) -> str:
    return str(bundle.manifest.preprocessing.get("lead", "MLII"))


def bench_times(bundle: Bundle, folder: Path, quantized: bool) -> tuple[bool, dict]:
    """Whether the limits held on all records, and the confusion of each."""
    sources = read_all(folder, lead_of(bundle), list_records(folder))
    started = time.process_time()
    log, tables = stream_all(bundle, sources, quantized=quantized, detect=True)
    cpu_seconds = time.process_time() - started
    summary = summarise(log, bundle.manifest.classes, deadline_us=DEADLINE_US)
    for key in ("latency_us", "floor_us", "preprocess_us", "total_us"):
        print(f"  {key:<14} {summary[key]}")
    ratios = {p: summary["latency_us"][p] / summary["floor_us"][p] for p in ("p50", "p99")}
    print(f"  graph over floor: p50 {ratios['p50']:.2f}, p99 {ratios['p99']:.2f}")
    times = summary["seconds_of_signal"] / cpu_seconds
    print(f"  processor time with floor and comparison {cpu_seconds:.1f} s: {times:.0f} times")
    print(f"  {summary['num_beats']} beats of {summary['seconds_of_signal']:.0f} s in "
          f"{log.busy_seconds:.1f} s: {summary['beats_per_second']:.0f} beats/s, "
          f"{summary['times_real_time']:.0f} times real time; "
          f"{summary['missed_deadlines']} over {DEADLINE_US:g} µs; "
          f"without a class: {summary['unclassified']}")  # fmt: skip
    held = summary["times_real_time"] >= TIMES_REAL_TIME
    return held and summary["total_us"]["p99"] <= DEADLINE_US, tables


def bench(path: Path, folder: Path, graphs: Sequence[str], *, confusion_alone: bool) -> bool:
    bundle = read_bundle(path)
    plan = MITDB_PLANS.get(str(bundle.manifest.split.get("name")))
    print(f"{path.name}: {bundle.manifest.name}, profile {bundle.manifest.profile.name}")
    held = True
    for graph in graphs:
        quantized = graph == "quantised"
        if quantized and not bundle.has_quantized:
            continue
        print(f" {graph} graph")
        tables = None
        if not confusion_alone:
            within, tables = bench_times(bundle, folder, quantized)
            held &= within
        if plan is not None:
            compare_peaks(bundle, folder, tables, plan.test, quantized)
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+", help="bundles to stream through")
    parser.add_argument("--data", type=Path, required=True, help="folder of the 48 records")
    parser.add_argument("--graph", choices=GRAPHS, action="append", help="one of the two alone")
    parser.add_argument("--confusion", action="store_true", help="test records alone, no times")
    arguments = parser.parse_args()
    print(f"{datetime.date.today()}  {platform.processor() or platform.machine()}  "
          f"Python {platform.python_version()}  NumPy {np.__version__}  "
          f"onnxruntime {onnxruntime.__version__}")  # fmt: skip
    print("command: python benchmarks/bench_stream.py " + " ".join(sys.argv[1:]))
    graphs = arguments.graph or GRAPHS
    held = [
        bench(path, arguments.data, graphs, confusion_alone=arguments.confusion)
        for path in arguments.bundles
    ]
    if arguments.confusion:
        return 0
    print(f"limits ≥ {TIMES_REAL_TIME:g} times real time, whole beat p99 ≤ {DEADLINE_US:g} µs: "
          f"{'held' if all(held) else 'missed'}")  # fmt: skip
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
