"""Many seeds of one configuration, trained together; each becomes a run directory of its own.

Epochs go in step: all members learn in one pass (:mod:`training.together`), then each is judged by
itself and may stop by itself. Stages on bits or chips and stages with a teacher have members that
cannot share a pass; they train one after the other within the epoch, to the same result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from photonic.errors import RunError
from photonic.files import atomic_directory
from training.config import RunConfig, read_config, with_values
from training.fit import Diverged, Fit
from training.loop import EpochStats
from training.mirror import check_logger
from training.problem import Problem
from training.run import CONFIG, LOG, META, RESUME, Run, load_run
from training.setup import build_problem
from training.together import train_together
from training.train import Callbacks, Session, begin, clear_partial, load_state, refuse_occupied
from training.workloads import Dataset, workload

MEMBER = "seed_"
"""Beginning of the name of a member's run directory."""


def train_population(
    name: str,
    config: RunConfig,
    seeds: Sequence[int],
    out: Path,
    callbacks: Callbacks,
) -> list[Run]:
    """Train one configuration from several seeds and write ``out/seed_K`` for each.

    Args:
        name: of the workload.
        config: complete configuration; ``optim.threads`` says how many parts of the population are
            worked on side by side.
        seeds: of the members.
        out: the folder to make.
        callbacks: who follows.

    Raises:
        ConfigError: ``out`` is not empty, or options that cannot be honoured.
        DataError: data that is missing, damaged or unfit.
        Diverged: a member's weights are no numbers any more; the others stay resumable.
    """
    refuse_occupied(out)
    check_logger(config.logging.logger)
    configs = [with_values(config, seed=seed) for seed in seeds]
    members = _prepare(name, configs, callbacks)
    for message in members[0][2].messages:
        callbacks.on_message(message)
    with atomic_directory(out) as folder:
        for own, data, fit in members:
            (folder / f"{MEMBER}{own.seed}").mkdir()
            begin(folder / f"{MEMBER}{own.seed}", name, own, data, fit)
    sessions = [
        Session(name, own, out / f"{MEMBER}{own.seed}", data, fit, _of_seed(own.seed, callbacks))
        for own, data, fit in members
    ]
    return _carry_on(sessions, callbacks)


def is_population(out: Path) -> bool:
    """Whether a folder holds members of a population."""
    return bool(_members(out))


def resume_population(out: Path, callbacks: Callbacks) -> list[Run]:
    """Continue the members of an interrupted population; those that are done stay as they are.

    Raises:
        RunError: a damaged state.
    """
    folders = _members(out)
    open_ones = [f for f in folders if not (f / META).is_file() or (f / RESUME).is_file()]
    states = {}
    for folder in open_ones:
        clear_partial(folder)
        states[folder] = load_state(folder)
    names = {name for name, _, _ in states.values()}
    if len(names) > 1:
        raise RunError(f"{out}: its members are of several workloads: {', '.join(sorted(names))}")
    if not states:
        return [load_run(folder) for folder in folders]
    (name,) = names
    configs = [read_config(folder / CONFIG, workload(name).config) for folder in open_ones]
    sessions = []
    for folder, (own, data, fit) in zip(open_ones, _prepare(name, configs, callbacks), strict=True):
        _, plain, tensors = states[folder]
        fit.load_state(plain["fit"], tensors)
        os.truncate(folder / LOG, plain["log_bytes"])
        sessions.append(Session(name, own, folder, data, fit, _of_seed(own.seed, callbacks)))
    _carry_on(sessions, callbacks)
    return [load_run(folder) for folder in folders]


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Mean and standard deviation over the members of every figure, by subset."""
    found: dict[str, Any] = {}
    for subset, figures in runs[0].meta["metrics"].items():
        found[subset] = {}
        for key in figures:
            values = [run.meta["metrics"][subset].get(key) for run in runs]
            if all(isinstance(value, (int, float)) for value in values):
                sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
                found[subset][key] = {"mean": float(np.mean(values)), "sd": sd}
    return found


def _members(out: Path) -> list[Path]:
    if not out.is_dir():
        return []
    found = [path for path in out.iterdir() if path.name.removeprefix(MEMBER).isdigit()]
    return sorted(
        (path for path in found if path.name.startswith(MEMBER)),
        key=lambda path: int(path.name.removeprefix(MEMBER)),
    )


def _prepare(
    name: str, configs: Sequence[RunConfig], callbacks: Callbacks
) -> list[tuple[RunConfig, Dataset, Fit]]:
    """Data, split and fit of every member; what is the same for all is held once."""
    found: list[tuple[RunConfig, Dataset, Fit]] = []
    first: tuple[Dataset, Problem] | None = None
    for config in configs:
        data = workload(name).load(config, callbacks.on_source)
        if first is not None:
            data = replace(data, inputs=first[0].inputs, label=first[0].label)
        else:
            callbacks.on_data(data)
        problem = build_problem(name, config, data, callbacks.on_step)
        if first is None:
            first = data, problem
        elif problem.teaching is None:
            problem = replace(problem, samples=first[1].samples, objective=first[1].objective)
        found.append((config, data, Fit(problem, callbacks.on_step)))
    return found


def _of_seed(seed: int, callbacks: Callbacks) -> Callbacks:
    def say(text: str) -> None:
        callbacks.on_message(f"seed {seed}: {text}")

    return replace(callbacks, on_message=say)


def epoch_of_all(
    fits: Sequence[Fit], *, threads: int = 1, advance: Callable[[int], None] = lambda _: None
) -> list[Mapping[str, Any] | Diverged]:
    """One epoch of every fit: learned in one pass, then judged each by itself.

    Returns:
        What the log says about the epoch of each, or how it came to its end.
    """
    begun = perf_counter()
    work = [fit.work() for fit in fits]
    stats = iter(
        train_together([pair for pairs in work for pair in pairs], threads=threads, advance=advance)
    )

    def judged(fit: Fit, found: list[EpochStats]) -> Mapping[str, Any] | Diverged:
        try:
            return fit.conclude(found, begun)
        except Diverged as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(judged, fits, [[next(stats) for _ in pairs] for pairs in work]))


def _carry_on(sessions: Sequence[Session], callbacks: Callbacks) -> list[Run]:
    threads = sessions[0].config.optim.threads
    while active := [session for session in sessions if not session.fit.done]:
        fits = [session.fit for session in active]
        records = epoch_of_all(fits, threads=threads, advance=callbacks.on_step)
        for session, record in zip(active, records, strict=True):
            if isinstance(record, Diverged):
                session.diverged(record)
            else:
                session.record(record)
        for record in records:
            if isinstance(record, Diverged):
                raise record
    return [session.finish() for session in sessions]
