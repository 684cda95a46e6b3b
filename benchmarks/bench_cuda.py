"""A GPU against the CPU beside it, in one run: simulated chips, epochs of training, meshes.

Run from the repository root: ``python benchmarks/bench_cuda.py``; less than a minute. Needs torch
with CUDA, numpy and pydantic; no data. ``--device cpu`` runs the same code without a GPU. Times are
wall-clock, best of a few rounds, the result back in the host's memory. The CPU has
``--threads`` threads (one by default, as in the other benchmarks).
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from bench_devices import layers

from photonic.devices import device_for
from photonic.devices.core import DeviceCore
from photonic.devices.mesh import decompose
from photonic.profile import load_profile
from photonic.simulate import simulate
from photonic.students import Student
from photonic.students.segment import SegmentConfig, segment_student
from photonic.threads import torch_threads


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Best of ``rounds`` after one that does not count."""
    best = float("inf")
    for i in range(rounds + 1):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if i or not rounds:
            best = min(best, time.perf_counter() - start)
    return best


def say(what: str, size: str, cpu_s: float, gpu_s: float) -> None:
    print(f"{what:42} {size:34} {1e3 * cpu_s:10.1f} {1e3 * gpu_s:10.1f} {cpu_s / gpu_s:8.1f}")


def chips_of_layers(device: str) -> None:
    """1 000 chips × 10 000 vectors through three 4×4 layers, both sides in full."""
    x = {"x": np.random.default_rng(1).uniform(-1, 1, (10_000, 1, 4)).astype(np.float32)}
    for name in ("generic_8bit", "shen_2017_mzi"):
        profile = load_profile(name)

        def run(on: str, profile=profile) -> object:
            return simulate(layers(3), profile, x, chips=range(1000), on=on)

        say(f"three layers, {name}", "1000 chips x 10000 vectors",
            seconds(lambda: run("cpu"), 1), seconds(lambda: run(device), 2))  # fmt: skip


def chips_of_a_student(device: str) -> None:
    """The segment student: the CPU has 2 % of the chips, times are per chip and beat."""
    program = segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(0))
    program = program.program()
    beats = np.random.default_rng(0).uniform(-1, 1, (10_000, 360, 1)).astype(np.float32)
    profile = load_profile("lab_ecg_5bit")

    def run(on: str, num: int, count: int) -> object:
        return simulate(program, profile, {"beat": beats[:count]}, chips=range(num), on=on)

    cpu = seconds(lambda: run("cpu", 10, 1000), 1) / (10 * 1000)
    gpu = seconds(lambda: run(device, 1000, 10_000), 0) / (1000 * 10_000) \
        if device != "cpu" else seconds(lambda: run(device, 10, 1000), 1) / (10 * 1000)  # fmt: skip
    say("segment student, lab_ecg_5bit, per million", "10 x 1000 | 1000 x 10000 beats",
        1e6 * cpu, 1e6 * gpu)  # fmt: skip


def one_epoch(student: Student, x: torch.Tensor, label: torch.Tensor, batch: int) -> None:
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3, fused=True)
    for part in torch.arange(len(x), device=x.device).split(batch):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(student({"beat": x[part]})[0], label[part])
        loss.backward()
        optimizer.step()
        if isinstance(student.core, DeviceCore):
            student.core.advance()


def epochs(device: str) -> None:
    """Epochs of 16 384 beats on the exact core and on chips."""
    for noisy in (False, True):
        for batch in (128, 4096):
            found = []
            for on in ("cpu", device):
                generator = torch.Generator().manual_seed(0)
                student = segment_student(SegmentConfig(num_classes=2), generator).to(on).train()
                if noisy:
                    core = DeviceCore(load_profile("lab_ecg_5bit"), seed=0, num_chips=4, on=on)
                    student.core = core.train()
                count = 2048 if noisy else 16_384
                x = torch.rand(count, 360, 1, generator=generator).to(on) * 2 - 1
                label = (x[:, :, 0].mean(1) > 0).long()
                found.append(seconds(partial(one_epoch, student, x, label, batch), 1))
            name = "on chips" if noisy else "in float"
            say(f"epoch {name}, batches of {batch}", f"{count} beats", *found)


def meshes(device: str) -> None:
    """Meshes of 2 000 chips realised, and 10 000 decompositions, which NumPy does on the CPU."""
    core = device_for(load_profile("shen_2017_mzi"))
    settings = core.compile(np.random.default_rng(0).uniform(-1, 1, (8, 4, 4)))
    errors = core.static_errors(0, range(2000), 8)
    there = {name: values.to(device) for name, values in errors.items()}
    say("4x4 meshes realised", "2000 chips x 8 matrices",
        seconds(lambda: core.realise(settings, errors), 2),
        seconds(lambda: core.realise(settings, there), 2))  # fmt: skip
    z = np.random.default_rng(0).standard_normal((2, 10_000, 4, 4))
    u = np.linalg.qr(z[0] + 1j * z[1])[0]
    print(f"{'Clements decompositions (NumPy, CPU only)':42} {'10000 complex 4x4':34} "
          f"{1e3 * seconds(lambda: decompose(u), 2):10.1f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    card = torch.cuda.get_device_name() if given.device.startswith("cuda") else "no GPU"
    print(f"{card}; CPU {platform.machine()}, {given.threads} thread(s)")
    print(f"torch {torch.__version__}, {datetime.date.today()}")
    print(f"{'':42} {'':34} {'CPU, ms':>10} {'GPU, ms':>10} {'CPU/GPU':>8}")
    with torch_threads(given.threads):
        chips_of_layers(given.device)
        chips_of_a_student(given.device)
        epochs(given.device)
        meshes(given.device)


if __name__ == "__main__":
    main()
