"""Calibration of simulated meshes: true errors before and after, over many chips.

One random 4×4 target, splitter and phase errors of σ 0.05 rad. The calibration sees ``program`` and
``mvm`` alone; the errors printed are the simulator's own.

Usage: python benchmarks/bench_calibrate.py [--chips 200]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from photonic.backends.simulator import SimulatedCore
from photonic.calibrate import CalibrationOptions, calibrate
from photonic.profile import parse_profile
from photonic.threads import torch_threads

ROUGH = {"optics.phase_sigma_rad": 0.05, "optics.splitter_sigma_rad": 0.05}
NOISY = {"optics.phase_bits": 10, "output.noise_sigma": 1e-3}
COLD = CalibrationOptions(iterations=25)
CASES: dict[str, tuple[dict[str, object], CalibrationOptions]] = {
    "exact": ({}, CalibrationOptions()),
    "cold start": ({"optics.cold_start": True}, COLD),
    "8 bits": ({"optics.phase_bits": 8}, CalibrationOptions()),
    "10 bits": ({"optics.phase_bits": 10}, CalibrationOptions()),
    "10 bits, read noise 1e-3": (NOISY, CalibrationOptions(averages=16)),
    "1 % crosstalk": ({"heater.crosstalk": 0.01}, CalibrationOptions()),
    "1 % crosstalk, 10 bits": (
        {"heater.crosstalk": 0.01, "optics.phase_bits": 10},
        CalibrationOptions(),
    ),
}


def true_errors(core: SimulatedCore, settings: dict, target: np.ndarray) -> np.ndarray:
    core.program(settings)
    return np.linalg.norm(core.realised() - target, axis=(1, 2))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--chips", type=int, default=200)
    chips = range(parser.parse_args().chips)
    target = np.random.default_rng(1).uniform(-1, 1, (4, 4))
    norm = np.linalg.norm(target)
    for case, (values, options) in CASES.items():
        profile = parse_profile({"name": "rough", "kind": "mzi", "description": case}, where=case)
        for key, value in (ROUGH | values).items():
            profile = profile.with_value(key, value)
        core = SimulatedCore(profile, chips)
        started = time.process_time()
        with torch_threads(1):
            found = calibrate(core, target, options=options)
        cpu_s = time.process_time() - started
        compiled = core.device.compile(target[None])
        spread = {name: np.repeat(a, len(chips), 0) for name, a in compiled.items()}
        before = true_errors(core, spread, target)
        after = true_errors(core, found.settings, target)
        row = {
            "case": case,
            "chips": len(chips),
            "relative_before": float(before.mean() / norm),
            "relative_after": float(after.mean() / norm),
            "relative_worst": float(after.max() / norm),
            "absolute_before": float(before.mean()),
            "absolute_after": float(after.mean()),
            "mean_error_smaller_by": float(before.mean() / after.mean()),
            "programmings": found.num_programmed,
            "cpu_s": round(cpu_s, 1),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
