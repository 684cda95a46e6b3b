"""A sweep on a core that is really there: the same table, a run in the place of a chip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from photonic.backends.registry import open_backend
from photonic.backends.run import run_on_core
from photonic.errors import ConfigError
from photonic.profile import HardwareProfile
from photonic.program import Program
from photonic.scores import score
from photonic.sweep import SweepData, SweepPoint, grid_points
from photonic.tallies import tally


def sweep_backend(
    program: Program,
    profile: HardwareProfile,
    data: SweepData,
    backend: str,
    *,
    vary: Mapping[str, Sequence[Any]],
    num_runs: int,
    on_run: Callable[[int], None] = lambda runs: None,
) -> list[SweepPoint]:
    """Scores of ``num_runs`` runs on one core at every point of the grid.

    What is varied changes the profile that matrices are compiled for and converters are assumed
    from; only a simulated core changes with it.

    Args:
        program: the model.
        profile: hardware that the grid departs from.
        data: what is scored.
        backend: ``NAME`` or ``NAME:ADDRESS``, see :func:`photonic.backends.open_backend`.
        vary: values by dotted profile key, or by ``profile``.
        num_runs: runs per point; they differ by read noise.
        on_run: called with 1 after each run.

    Raises:
        ConfigError: no runs, seeds in the grid, or an unknown backend or metric.
        ProfileError: an unknown key or a value out of range.
        RunError: the core failed, or answered with what are no numbers.
    """
    if num_runs < 1:
        raise ConfigError(f"chips {num_runs}: at least 1")
    if "seed" in vary:
        raise ConfigError("vary seed: the core of a backend is the one that is there")
    classes = data.decision.classes
    metric = score(data.metric, classes)
    counting = tally(metric.tally, len(classes))
    points = []
    for point in grid_points(profile, vary):
        core = open_backend(backend, point.profile)
        counts = []
        for _ in range(num_runs):
            logits = run_on_core(program, core, data.inputs)[0]
            counts.append(counting.count(data.labels, logits[None], data.decision)[0])
            on_run(1)
        points.append(
            SweepPoint(params=point.params, counts=np.stack(counts), metric=metric, classes=classes)
        )
    return points
