"""Many seeds of one configuration, trained together; each becomes a run directory of its own.

Epochs go in step: all members learn in one pass (:mod:`training.together`), then each is judged by
itself and may stop by itself. Stages on bits or chips and stages with a teacher have members that
cannot share a pass; they train one after the other within the epoch, to the same result.

Members know nothing of each other, so a population may be cut into parts: each is a process that
continues the run directories of its members, and the one that started them follows their logs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from photonic.errors import RunError
from photonic.files import atomic_directory
from photonic.sweep.workers import process_pool
from photonic.threads import inherited_threads, torch_threads
from training.config import RunConfig, read_config, with_values
from training.epochs import Diverged
from training.fit import Fit
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
POLL_S = 0.2
"""How often the logs of members in other processes are looked at."""


def train_population(
    name: str,
    config: RunConfig,
    seeds: Sequence[int],
    out: Path,
    callbacks: Callbacks,
    *,
    workers: int = 1,
) -> list[Run]:
    """Train one configuration from several seeds and write ``out/seed_K`` for each.

    Args:
        name: of the workload.
        config: complete configuration.
        seeds: of the members.
        out: the folder to make.
        callbacks: who follows.
        workers: processes that the members are spread over; 1 is this one.

    Raises:
        ConfigError: ``out`` is not empty, or options that cannot be honoured.
        DataError: data that is missing, damaged or unfit.
        Diverged: a member's weights are no numbers any more; the others stay resumable.
    """
    refuse_occupied(out)
    check_logger(config.logging.logger)
    configs = [with_values(config, seed=seed) for seed in seeds]
    with _pool(workers, len(configs)) as pool:
        members = _prepare(name, configs, callbacks)
        for message in members[0][2].messages:
            callbacks.on_message(message)
        folders = [out / f"{MEMBER}{own.seed}" for own, _, _ in members]
        with atomic_directory(out) as folder:
            for (own, data, fit), target in zip(members, folders, strict=True):
                (folder / target.name).mkdir()
                begin(folder / target.name, name, own, data, fit)
        if pool is not None:
            del members  # the workers have their own
            _train_in_parts(pool, folders, workers, callbacks)
            return [load_run(folder) for folder in folders]
        sessions = [
            Session(name, own, folder, data, fit, _of_seed(own.seed, callbacks))
            for (own, data, fit), folder in zip(members, folders, strict=True)
        ]
    _train(sessions, callbacks)
    return [session.finish() for session in sessions]


def is_population(out: Path) -> bool:
    """Whether a folder holds members of a population."""
    return bool(_members(out))


def resume_population(out: Path, callbacks: Callbacks, *, workers: int = 1) -> list[Run]:
    """Continue the members of an interrupted population; those that are done stay as they are.

    Raises:
        RunError: a damaged state.
    """
    folders = _members(out)
    open_ones = [f for f in folders if not (f / META).is_file() or (f / RESUME).is_file()]
    with _pool(workers, len(open_ones)) as pool:
        if pool is not None:
            _train_in_parts(pool, open_ones, workers, callbacks)
        elif open_ones:
            sessions = _reopen(open_ones, callbacks)
            _train(sessions, callbacks)
            for session in sessions:
                session.finish()
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


def _reopen(folders: Sequence[Path], callbacks: Callbacks) -> list[Session]:
    """Members as their run directories have them."""
    states = {}
    for folder in folders:
        clear_partial(folder)
        states[folder] = load_state(folder)
    names = {name for name, _, _ in states.values()}
    if len(names) > 1:
        where = folders[0].parent
        raise RunError(f"{where}: its members are of several workloads: {', '.join(sorted(names))}")
    (name,) = names
    configs = [read_config(folder / CONFIG, workload(name).config) for folder in folders]
    sessions = []
    for folder, (own, data, fit) in zip(folders, _prepare(name, configs, callbacks), strict=True):
        _, plain, tensors = states[folder]
        fit.load_state(plain["fit"], tensors)
        os.truncate(folder / LOG, plain["log_bytes"])
        sessions.append(Session(name, own, folder, data, fit, _of_seed(own.seed, callbacks)))
    return sessions


@contextmanager
def _pool(workers: int, num_members: int) -> Iterator[Executor | None]:
    """Workers, on their way already, or None where one process is enough."""
    workers = min(workers, num_members)
    if workers <= 1:
        yield None
        return
    with process_pool(workers) as pool:
        with inherited_threads(1):
            for _ in range(workers):
                pool.submit(_arrive)
        yield pool


def _arrive() -> None:
    """A worker's first task: to import this module takes seconds, while others read the data."""


def _part(folders: Sequence[Path]) -> list[str]:
    """What a worker does: continue some members; returns what is said of them at the end."""
    said: list[str] = []
    with torch_threads(1):
        sessions = _reopen(folders, Callbacks(on_message=said.append))
        _train(sessions, Callbacks())
        said.clear()  # until here it stands in the logs
        for session in sessions:
            session.finish()
    return said


def _train_in_parts(
    pool: Executor, folders: Sequence[Path], workers: int, callbacks: Callbacks
) -> None:
    """Continue members in the workers of a pool, following their logs."""
    logs = []
    for folder in folders:
        _, plain, _ = load_state(folder)
        os.truncate(folder / LOG, plain["log_bytes"])
        own = _of_seed(int(folder.name.removeprefix(MEMBER)), callbacks)
        logs.append((own, _new_records(folder / LOG, plain["log_bytes"])))
    workers = min(workers, len(folders))
    futures = [pool.submit(_part, folders[k::workers]) for k in range(workers)]
    done = False
    while not done:
        done = not wait(futures, timeout=POLL_S).not_done
        for own, records in logs:
            for record in next(records):
                own.on_epoch(record)
                for message in record.get("messages", ()):
                    own.on_message(message)
        for future in futures:
            if future.done():
                future.result()  # raises what stopped the worker
    for future in futures:
        for message in future.result():
            callbacks.on_message(message)


def _new_records(log: Path, start: int) -> Iterator[list[dict[str, Any]]]:
    """Epochs that were logged since the last look, from byte ``start`` on."""
    while True:
        with log.open("rb") as stream:
            stream.seek(start)
            whole, end, _ = stream.read().rpartition(b"\n")
        start += len(whole + end)
        records = [json.loads(line) for line in whole.splitlines()]
        yield [record for record in records if record["event"] == "epoch"]


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
        if first is None:
            data = workload(name).load(config, callbacks.on_source)
            callbacks.on_data(data)
        elif first[0].reseeded is not None:
            data = first[0].reseeded(config.seed)
        else:
            data = workload(name).load(config, callbacks.on_source)
            data = replace(data, inputs=first[0].inputs, label=first[0].label)
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
    fits: Sequence[Fit], *, advance: Callable[[int], None] = lambda _: None
) -> list[Mapping[str, Any] | Diverged]:
    """One epoch of every fit: learned in one pass, then judged each by itself.

    Returns:
        What the log says about the epoch of each, or how it came to its end.
    """
    begun = perf_counter()
    work = [fit.work() for fit in fits]
    stats = iter(train_together([pair for pairs in work for pair in pairs], advance=advance))

    def judged(fit: Fit, found: list[EpochStats]) -> Mapping[str, Any] | Diverged:
        try:
            return fit.conclude(found, begun)
        except Diverged as error:
            return error

    found = [[next(stats) for _ in pairs] for pairs in work]
    return [judged(fit, each) for fit, each in zip(fits, found, strict=True)]


def _train(sessions: Sequence[Session], callbacks: Callbacks) -> None:
    while active := [session for session in sessions if not session.fit.done]:
        fits = [session.fit for session in active]
        records = epoch_of_all(fits, advance=callbacks.on_step)
        for session, record in zip(active, records, strict=True):
            if isinstance(record, Diverged):
                session.diverged(record)
            else:
                session.record(record)
        for record in records:
            if isinstance(record, Diverged):
                raise record
