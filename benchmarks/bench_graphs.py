"""Latency of the exported graphs for one beat, beside the identity graph of the same input.

Run from the repository root: ``python benchmarks/bench_graphs.py [--calls N] [BUNDLE…]``. One
thread, buffers bound once, two measures. *In turn*: the graphs take turns call by call, so that
whatever else the machine does meets all of them, and each finds what the others left of the caches,
as in a stream, where the features lie between two calls. *Own loop*: each graph again and again
with warm caches, the best of the rounds, which take turns; nothing runs that way, but it is the
stricter ratio, since the floor gains more than the graphs do.

Of bundles, the graphs that they hold. Without any, untrained students, both widths of the float
graph; there nearly every product can clip at the ADC, and its graph has to.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from export.bundle import read_bundle
from export.onnx import float_model, quantized_model
from export.stream.runner import BeatRunner
from export.wire import identity_model
from photonic.profile import load_profile
from photonic.program import Program
from photonic.students.patch import PatchConfig, patch_student
from photonic.students.segment import SegmentConfig, segment_student

PROFILES = ("lab_ecg_5bit", "generic_8bit")
WARM_UP = 300
# Aims for the patch student: multiples of the floor at the median and at the 99th percentile.
AIMS = {"float": (3.2, 4.0), "quantised": (6.0, np.inf)}


def graphs_of_bundle(path: Path) -> tuple[Program, dict[str, bytes]]:
    """The graphs that a bundle holds."""
    bundle = read_bundle(path)
    made = {"float": bundle.model(quantized=False)}
    if bundle.has_quantized:
        made[f"quantised, {bundle.profile.name}"] = bundle.model(quantized=True)
    return bundle.program, made


def graphs(program: Program) -> dict[str, bytes]:
    """Both widths of the float graph, and the quantised graph of each profile."""
    made = {
        "float, narrow": float_model(program, {}, wide=False),
        "float, wide": float_model(program, {}, wide=True),
    }
    for name in PROFILES:
        converters = load_profile(name).converters()
        assert converters is not None
        made[f"quantised, {name}"] = quantized_model(program, converters, {})
    return made


def bound(program: Program, models: dict[str, bytes]) -> dict[str, BeatRunner]:
    """The identity graph and the models, with some input."""
    floor = identity_model((i.name, i.tokens, i.channels) for i in program.inputs)
    models = {"identity": floor} | models
    runners = {name: BeatRunner(model, program.inputs) for name, model in models.items()}
    generator = np.random.default_rng(0)
    for runner in runners.values():
        for buffer in runner.inputs.values():
            buffer[...] = generator.uniform(-1, 1, buffer.shape)
    return runners


def in_turn(program: Program, models: dict[str, bytes], calls: int) -> dict[str, np.ndarray]:
    """p50 and p99 of the identity graph and of each model in µs."""
    runners = bound(program, models)
    times = {name: np.empty(calls) for name in runners}
    for call in range(-WARM_UP, calls):
        for name, runner in runners.items():
            started = time.perf_counter_ns()
            runner.run()
            elapsed = (time.perf_counter_ns() - started) / 1e3
            if call >= 0:
                times[name][call] = elapsed
    return {name: np.percentile(values, [50, 99]) for name, values in times.items()}


def own_loops(program: Program, models: dict[str, bytes], rounds: int = 20) -> dict:
    """Best p50 and p99 in µs over the rounds of each graph, 500 calls after one another each."""
    runners = bound(program, models)
    best = {name: np.array([np.inf, np.inf]) for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            times = np.empty(500)
            for call in range(len(times)):
                started = time.perf_counter_ns()
                runner.run()
                times[call] = (time.perf_counter_ns() - started) / 1e3
            best[name] = np.minimum(best[name], np.percentile(times, [50, 99]))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="*", help="bundles in place of the students")
    parser.add_argument("--calls", type=int, default=5000)
    arguments = parser.parse_args()
    date = datetime.datetime.now(datetime.UTC).date()
    print(f"{date}  {platform.machine()}  onnxruntime {onnxruntime.__version__}")
    print("command: python benchmarks/bench_graphs.py " + " ".join(sys.argv[1:]))
    measured = {path.name: graphs_of_bundle(path) for path in arguments.bundles}
    if not measured:
        seed = torch.Generator().manual_seed(0)
        students = {
            "patch": patch_student(PatchConfig(num_classes=2), seed).program(),
            "segment": segment_student(SegmentConfig(num_classes=2), seed).program(),
        }
        measured = {name: (program, graphs(program)) for name, program in students.items()}
    for title, (program, models) in measured.items():
        measures = {
            "in turn": in_turn(program, models, arguments.calls),
            "own loop": own_loops(program, models),
        }
        for how, measured_so in measures.items():
            heading = f"{title}, {how}"
            print(f"\n{heading:<40}{'p50 µs':>8}{'p99 µs':>8}{'× floor':>9}{'p99 ×':>7}")
            for name, at in measured_so.items():
                ratio = at / measured_so["identity"]
                aims = AIMS.get(name.partition(",")[0]) if len(program.inputs) == 2 else None
                note = f"  aims {aims[0]:g}, {aims[1]:g}" if aims else ""
                print(
                    f"  {name:<38}{at[0]:>8.2f}{at[1]:>8.2f}{ratio[0]:>9.2f}{ratio[1]:>7.2f}{note}"
                )


if __name__ == "__main__":
    main()
