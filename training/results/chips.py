"""One float-chosen model on coarse and noisy weights: modelled figures for the results page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonic.errors import RunError
from photonic.files import atomic_write_text
from photonic.profile import load_profile
from training.on_chips import score_on_chips
from training.run import Run
from training.workloads import workload

CHIPS_FILE = "chips.json"
NUM_CHIPS = 200
MOST_SAMPLES = 8000
"""Every so many-th test sample is enough: 200 chips of all 30 000 take minutes."""
# Changes to the ideal profile, and whether chips differ under them.
CONDITIONS: Mapping[str, tuple[Mapping[str, Any], bool]] = {
    "float": ({}, False),
    "weights of 4 bits": ({"weight.bits": 4}, False),
    "weight noise, sigma 0.05": ({"weight.programming_sigma": 0.05}, True),
    "weights of 4 bits and noise, sigma 0.05": (
        {"weight.bits": 4, "weight.programming_sigma": 0.05},
        True,
    ),
}


def write_chip_scores(run: Run, *, num_chips: int = NUM_CHIPS) -> None:
    """Score a run's test samples under every condition and write ``chips.json`` beside it.

    Of more than :data:`MOST_SAMPLES` every so many-th is taken. The decision stays the one that was
    chosen in float. Sigma is a fraction of the full scale of weights, drawn once per chip and
    weight.

    Raises:
        RunError: the run has no test samples.
    """
    spec = workload(run.meta["workload"])
    data = spec.load(run.config, lambda source: None)
    index = data.subset("test")
    if not len(index):
        raise RunError(f"{run.path}: no test samples to score on chips")
    index = index[:: -(-len(index) // MOST_SAMPLES)]
    inputs = {name: x[index] for name, x in data.inputs.items()}
    rows = []
    for name, (changes, differ) in CONDITIONS.items():
        profile = load_profile("ideal")
        for key, value in changes.items():
            profile = profile.with_value(key, value)
        scored = score_on_chips(
            run.program,
            profile,
            run.decision,
            inputs,
            data.label[index],
            seed=run.config.seed,
            num_chips=num_chips if differ else 1,
        )
        rows.append({"condition": name, **scored})
    atomic_write_text(run.path / CHIPS_FILE, json.dumps(rows, indent=1) + "\n")


def read_chip_scores(folder: Path) -> list[dict[str, Any]]:
    """What :func:`write_chip_scores` wrote; nothing where it did not.

    Raises:
        RunError: not JSON.
    """
    file = folder / CHIPS_FILE
    try:
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    except json.JSONDecodeError as error:
        raise RunError(f"{file}: not valid JSON: {error}") from None
