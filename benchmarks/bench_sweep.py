"""Sweeps of the patch student: time and memory against chips, beside plain torch.

The yardstick is a vectorised torch loop that does the same to the same number of 4×4 products: DAC,
weight error, product, output noise, ADC, tanh; it runs before and after each sweep, for machines
whose speed drifts. Times are process CPU of all workers, which a busy
machine disturbs less than wall time; both are printed, then a line through each over chips, and
rows for fewer beats and other numbers of workers.
Memory is the largest resident set of the parent and of any worker, and the bound of their sum;
mapped beats and libraries, which processes share, count in each. Beats are random: only speed is
measured.

Usage: python benchmarks/bench_sweep.py [--chips 50,100,200] [--beats 29781] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

import numpy as np
import torch

from photonic.decision import Decision
from photonic.profile import HardwareProfile, load_profile
from photonic.program import Program
from photonic.students.patch import PatchConfig, patch_student
from photonic.sweep import Resources, SweepData, sweep

ROUNDS = 3


def yardstick_s_per_million(layers: int = 3, vectors: int = 10_000, chips: int = 100) -> float:
    """CPU seconds of plain torch for a million noisy, quantised 4×4 products; best of 3."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(vectors, 4, generator=generator) * 2 - 1
    weights = torch.rand(layers, 4, 4, generator=generator) * 2 - 1

    def quantised(t: torch.Tensor, full_scale: float) -> torch.Tensor:
        step = full_scale / 127
        return torch.clamp(torch.round(t / step), -127, 127) * step

    def once() -> float:
        started = time.process_time()
        h = quantised(x, 1.0).unsqueeze(0).expand(chips, -1, -1)
        for w in weights:
            noisy = quantised(w, 1.0) + 0.02 * torch.randn(chips, 4, 4, generator=generator)
            h = torch.bmm(h, noisy.transpose(1, 2))
            h = h + 0.01 * torch.randn(h.shape, generator=generator)
            h = torch.tanh(quantised(h, 4.0))
        return time.process_time() - started

    return min(once() for _ in range(ROUNDS)) / (layers * vectors * chips / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--chips", default="25,50,100")
    parser.add_argument("--beats", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", default="generic_8bit")
    parser.add_argument("--scaling-chips", type=int, default=64, help="for beats and workers")
    parser.add_argument("--scaling-workers", default="1,4", help="numbers of workers to compare")
    arguments = parser.parse_args()
    program = patch_student(PatchConfig(num_classes=2), torch.Generator().manual_seed(0)).program()
    profile, beats = load_profile(arguments.profile), arguments.beats
    products = sum(b.applied_per_beat for b in program.blocks(4, 4))
    print(f"{profile.name}, {products} block products per beat")

    def row(num_chips: int, num_beats: int, workers: int) -> tuple[float, float]:
        data = random_beats(program, num_beats)
        return measure(program, profile, data, num_chips, workers, products)

    chips = [int(text) for text in arguments.chips.split(",")]
    times = np.array([row(n, beats, arguments.workers) for n in chips])
    if len(chips) > 2:
        for name, seconds in zip(("wall", "cpu"), times.T, strict=True):
            print(json.dumps({"line_through": name, **line_through(np.array(chips), seconds)}))
    for share in (4, 2, 1):
        row(arguments.scaling_chips, beats // share, arguments.workers)
    for workers in arguments.scaling_workers.split(","):
        row(arguments.scaling_chips, beats, int(workers))


def random_beats(program: Program, count: int) -> SweepData:
    """Inputs of the program and labels that mean nothing."""
    rng = np.random.default_rng(0)
    inputs = {
        spec.name: rng.uniform(-1, 1, (count, spec.tokens, spec.channels)).astype("f4")
        for spec in program.inputs
    }
    decision = Decision(kind="threshold", classes=("N", "A"), threshold=0.5)
    labels = rng.integers(0, 2, count)
    return SweepData(inputs=inputs, labels=labels, decision=decision, metric="f1")


def measure(
    program: Program,
    profile: HardwareProfile,
    data: SweepData,
    num_chips: int,
    workers: int,
    products: int,
) -> tuple[float, float]:
    """One sweep between two runs of the yardstick; prints a row, returns wall and CPU seconds."""
    before_s = yardstick_s_per_million()
    wall, cpu = time.perf_counter(), cpu_s()
    sweep(
        program, profile, data, vary={}, num_chips=num_chips,
        resources=Resources(num_workers=workers),
    )  # fmt: skip
    wall, cpu = time.perf_counter() - wall, cpu_s() - cpu
    after_s = yardstick_s_per_million()
    chip_beats = num_chips * len(data.labels)
    expected_s = (before_s + after_s) / 2 * chip_beats * products / 1e6
    parent, worker = peak_mb(resource.RUSAGE_SELF), peak_mb(resource.RUSAGE_CHILDREN)
    row = {
        "chips": num_chips,
        "beats": len(data.labels),
        "workers": workers,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "chip_beats_per_wall_s": round(chip_beats / wall),
        "chip_beats_per_cpu_s": round(chip_beats / cpu),
        "yardstick_ms_per_million": [round(1e3 * t, 1) for t in (before_s, after_s)],
        "cpu_over_yardstick": round(cpu / expected_s, 2),
        "core_s_over_yardstick": round(wall * workers / expected_s, 2),
        "peak_mb_parent": parent,
        "peak_mb_largest_worker": worker,
        "peak_mb_sum_at_most": parent + workers * worker,
        "load": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(row), flush=True)
    return wall, cpu


def line_through(chips: np.ndarray, seconds: np.ndarray) -> dict[str, float]:
    """Least squares of time on chips, and how far off the worst point is."""
    slope, start = np.polyfit(chips, seconds, 1)
    off = np.abs(seconds - (start + slope * chips))
    r2 = 1.0 - float((off**2).sum() / ((seconds - seconds.mean()) ** 2).sum())
    return {
        "start_s": round(float(start), 2),
        "s_per_chip": round(float(slope), 4),
        "worst_residual_s": round(float(off.max()), 2),
        "r_squared": round(r2, 5),
    }


def cpu_s() -> float:
    """CPU seconds of this process and of its finished children."""
    usage = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def peak_mb(who: int) -> int:
    """Largest resident set so far, of this process or of one of its children."""
    return resource.getrusage(who).ru_maxrss // 1024


if __name__ == "__main__":
    main()
