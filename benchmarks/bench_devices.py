"""Simulated chips and mesh decomposition against a plain torch yardstick, in one run on one core.

Run from the repository root: ``python benchmarks/bench_devices.py``. The yardstick is a script of
its own (``--yardstick``, by default ``../shared/bench/ref_torch.py``); without it the ratios are
left out. Both sides draw their chips inside the time, both see 10 000 vectors and 100 chips, and
rounds of the two alternate, so that a busy machine slows both. Times are the process's own.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import io
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from photonic.devices.mesh import decompose, reconstruct
from photonic.profile import HardwareProfile, load_profile, parse_profile
from photonic.program import Activation, Input, Layer, Linear, Program, Step
from photonic.simulate import simulate
from photonic.threads import torch_threads

CHIPS = range(100)
LIMITS = {"weight noise": 0.7, "full noise": 1.1, "MZI mesh": 1.0}
DECOMPOSITION_LIMIT_MS = 2.0


def yardstick(path: Path) -> ModuleType | None:
    """The yardstick's functions; its own measurements, made on import, stay short and silent."""
    if not path.is_file():
        return None
    os.environ["PB_R"] = "1"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("yardstick", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()):
        spec.loader.exec_module(module)
    return module


def alternating(functions: list[Callable[[], object]], rounds: int) -> list[float]:
    """Best milliseconds of each function, one round of each after the other."""
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            start = time.process_time()
            function()
            best[i] = min(best[i], 1e3 * (time.process_time() - start))
    return best


def layers(num: int) -> Program:
    """``num`` 4×4 layers; with more than one a tanh follows each, as in the yardstick."""
    matrices = np.random.default_rng(2).uniform(-1, 1, (num, 4, 4)).astype(np.float32)
    steps: list[Step] = []
    source = "x"
    for i in range(num):
        steps.append(Linear(out=f"sums{i}", source=source, layer=f"layer{i}"))
        source = f"sums{i}"
        if num > 1:
            steps.append(Activation(out=f"values{i}", source=source, kind="tanh"))
            source = f"values{i}"
    return Program(
        inputs=(Input(name="x", tokens=1, channels=4),),
        steps=tuple(steps),
        output=source,
        layers={
            f"layer{i}": Layer(name=f"layer{i}", matrix=m, bias=np.zeros(4, np.float32), gain=1.0)
            for i, m in enumerate(matrices)
        },
    )


def profiles() -> dict[str, HardwareProfile]:
    """The physics of the yardstick's three tasks."""
    ideal = load_profile("ideal").model_dump()
    weight = {"bits": 8, "programming_sigma": 0.02}
    eight = {"bits": 8}
    return {
        "weight noise": parse_profile(ideal | {"weight": weight}, where="weight noise"),
        "full noise": parse_profile(
            ideal | {"weight": weight, "input": eight, "output": {**eight, "noise_sigma": 0.01}},
            where="full noise",
        ),
        "MZI mesh": parse_profile(
            ideal
            | {
                "kind": "mzi",
                "optics": {"phase_sigma_rad": 0.01, "splitter_sigma_rad": 0.01},
            },
            where="MZI mesh",
        ),
    }


def references(ref: ModuleType, num: int) -> dict[str, Callable[[], object]]:
    """The yardstick's functions for ``num`` layers."""
    matrices = torch.from_numpy(ref.weights(num))
    return {
        "weight noise": lambda: ref.mc_additive(matrices, so=0.0, adc=False),
        "full noise": lambda: ref.mc_additive(matrices),
        "MZI mesh": lambda: ref.mc_mesh(num),
    }


def bench_chips(ref: ModuleType | None, rounds: int) -> list[str]:
    """One line per task and number of layers; returns the tasks over their limit."""
    x = {"x": np.random.default_rng(1).uniform(-1, 1, (10_000, 1, 4)).astype(np.float32)}
    missed = []
    print(f"{'task':14} {'layers':>6} {'ours, ms':>9} {'yardstick':>9} {'ratio':>6} {'limit':>6}")
    for num in (1, 3):
        program = layers(num)
        for task, profile in profiles().items():

            def ours(profile: HardwareProfile = profile, program: Program = program) -> object:
                return simulate(program, profile, x, chips=CHIPS)

            if ref is None:
                (own,) = alternating([ours], rounds)
                print(f"{task:14} {num:6d} {own:9.2f}")
                continue
            own, theirs = alternating([ours, references(ref, num)[task]], rounds)
            ratio = own / theirs
            print(f"{task:14} {num:6d} {own:9.2f} {theirs:9.2f} {ratio:6.2f} {LIMITS[task]:6.2f}")
            if ratio > LIMITS[task]:
                missed.append(f"{task}, {num} layers")
    return missed


def bench_decomposition(rounds: int) -> bool:
    """1 000 unitaries of four modes; whether they take less than the limit."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, 1000, 4, 4))
    u = np.linalg.qr(z[0] + 1j * z[1])[0]
    # As long as the other tasks take: two milliseconds alone may meet a slow moment of the host.
    (taken,) = alternating([lambda: decompose(u)], 20 * rounds)
    error = np.abs(reconstruct(decompose(u)) - u).max()
    print(
        f"1000 Clements decompositions of complex 4×4: {taken:.2f} ms "
        f"(limit {DECOMPOSITION_LIMIT_MS:g}), largest error {error:.1e}"
    )
    return taken < DECOMPOSITION_LIMIT_MS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parent.parent
    parser.add_argument(
        "--yardstick", type=Path, default=here.parent / "shared" / "bench" / "ref_torch.py"
    )
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, {datetime.date.today()}, one thread")
    with torch_threads(1), torch.no_grad():
        ref = yardstick(given.yardstick)
        if ref is None:
            print(f"no yardstick at {given.yardstick}: own times only")
        missed = bench_chips(ref, given.rounds)
        if not bench_decomposition(given.rounds):
            missed.append("decomposition")
    for task in missed:
        print(f"over its limit: {task}")


if __name__ == "__main__":
    main()
