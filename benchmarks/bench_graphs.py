"""Latency of the exported graphs for one beat, beside the identity graph of the same input.

Run from the repository root: ``python benchmarks/bench_graphs.py [--calls N]``. One thread, buffers
bound once, the graphs take turns call by call in one run, so that whatever else the machine does
meets all of them. The students are untrained: their size decides, not their weights.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time

import numpy as np
import onnxruntime
import torch

from export.onnx import float_model, quantized_model
from export.stream.runner import BeatRunner
from export.wire import identity_model
from photonic.profile import load_profile
from photonic.program import Program
from photonic.students.patch import PatchConfig, patch_student
from photonic.students.segment import SegmentConfig, segment_student

PROFILES = ("lab_ecg_5bit", "generic_8bit")
WARM_UP = 300
# Aims for the patch student: multiples of the floor at the median.
AIMS = {"float": 3.2, "quantised": 6.0}


def graphs(program: Program) -> dict[str, bytes]:
    """The floor, both widths of the float graph, and the quantised graph of each profile."""
    made = {
        "identity": identity_model((i.name, i.tokens, i.channels) for i in program.inputs),
        "float, narrow": float_model(program, {}, wide=False),
        "float, wide": float_model(program, {}, wide=True),
    }
    for name in PROFILES:
        converters = load_profile(name).converters()
        assert converters is not None
        made[f"quantised, {name}"] = quantized_model(program, converters, {})
    return made


def measure(program: Program, calls: int) -> dict[str, np.ndarray]:
    """Times of each graph in µs, ``(calls,)``."""
    runners = {n: BeatRunner(model, program.inputs) for n, model in graphs(program).items()}
    generator = np.random.default_rng(0)
    for runner in runners.values():
        for buffer in runner.inputs.values():
            buffer[...] = generator.uniform(-1, 1, buffer.shape)
    times = {name: np.empty(calls) for name in runners}
    for call in range(-WARM_UP, calls):
        for name, runner in runners.items():
            started = time.perf_counter_ns()
            runner.run()
            elapsed = (time.perf_counter_ns() - started) / 1e3
            if call >= 0:
                times[name][call] = elapsed
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    arguments = parser.parse_args()
    date = datetime.datetime.now(datetime.UTC).date()
    print(f"{date}  {platform.machine()}  onnxruntime {onnxruntime.__version__}")
    seed = torch.Generator().manual_seed(0)
    students = {
        "patch": patch_student(PatchConfig(num_classes=2), seed).program(),
        "segment": segment_student(SegmentConfig(num_classes=2), seed).program(),
    }
    for student, program in students.items():
        print(f"\n{student}: {'graph':<26}{'p50 µs':>8}{'p99 µs':>8}{'× floor':>9}{'p99 ×':>7}")
        times = measure(program, arguments.calls)
        floor = np.percentile(times["identity"], [50, 99])
        for name, values in times.items():
            at = np.percentile(values, [50, 99])
            ratio = at / floor
            aim = AIMS.get(name.partition(",")[0]) if student == "patch" else None
            note = f"  aim {aim:g}" if aim else ""
            print(f"  {name:<32}{at[0]:>8.2f}{at[1]:>8.2f}{ratio[0]:>9.2f}{ratio[1]:>7.2f}{note}")


if __name__ == "__main__":
    main()
