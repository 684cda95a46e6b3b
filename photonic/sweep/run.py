"""The sweep itself: which chips are missing, who counts them, and what to do when a worker dies."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from photonic.devices import device_for
from photonic.errors import ConfigError, RunError
from photonic.execute import check_inputs, grids
from photonic.profile import HardwareProfile
from photonic.program import Program
from photonic.scores import score
from photonic.sweep.budget import chips_in_memory, chips_per_task, missing_chips
from photonic.sweep.grid import GridPoint, grid_points
from photonic.sweep.job import StoredJob, SweepData, SweepJob, count_chips, store_job
from photonic.sweep.parts import PartStore
from photonic.sweep.points import SweepPoint
from photonic.sweep.workers import SameProcess, default_workers, process_pool
from photonic.tallies import tally
from photonic.threads import torch_threads

TASKS_IN_FLIGHT_PER_WORKER = 3
# Workers that die again and again, with nothing finished in between, die of the task.
DEATHS_WITHOUT_PROGRESS = 3

Share = Callable[[SweepJob], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Who computes, with how much memory, and where results are kept.

    Attributes:
        memory_mb: working memory of each worker.
        num_workers: processes on this machine; ``None`` chooses. With ``executor``, how many
            workers it has.
        executor: any other executor, e.g. of a cluster.
        share: gives the executor what stands for the job in its tasks, e.g. data that a cluster
            holds already. Without it the job is stored in ``folder``, which all workers must see;
            without a folder it travels with every task.
        folder: keeps finished parts, so that an interrupted sweep goes on; nothing is kept
            without it.
        on: torch device, e.g. ``cuda``.
    """

    memory_mb: float = 512.0
    num_workers: int | None = None
    executor: Executor | None = None
    share: Share | None = None
    folder: Path | None = None
    on: str = "cpu"


@dataclass(slots=True, kw_only=True)
class _Work:
    """Counts as they come in."""

    job: SweepJob
    points: Sequence[GridPoint]
    counts: list[np.ndarray]
    done: list[np.ndarray]
    store: PartStore | None
    on_chips: Callable[[int], None]
    keys: list[str] = field(default_factory=list)

    def finish(self, index: int, chips: range, counts: np.ndarray) -> None:
        """Take in a part."""
        rows = slice(chips.start, chips.stop)
        self.counts[index][rows] = counts
        self.done[index][rows] = True
        if self.store is not None:
            self.store.save(self.keys[index], chips, counts)
        self.on_chips(len(chips))

    def tasks(self, size: int) -> Iterator[tuple[int, range]]:
        """What is missing, as points and ranges of chips."""
        for index, done in enumerate(self.done):
            for chips in missing_chips(done, size):
                yield index, chips


def sweep(
    program: Program,
    profile: HardwareProfile,
    data: SweepData,
    *,
    vary: Mapping[str, Sequence[Any]],
    num_chips: int,
    seed: int = 0,
    resources: Resources | None = None,
    on_chips: Callable[[int], None] = lambda chips: None,
) -> list[SweepPoint]:
    """Scores of ``num_chips`` chips at every point of the grid over hardware values.

    The same chips (static errors of ``(seed, chip)``) are used at every point, so that points
    differ by the hardware and not by the draw. The counts behind the scores are the same whoever
    computes them, in whatever chunks, with or without interruptions.

    Args:
        program: the model.
        profile: hardware that the grid departs from.
        data: what is scored.
        vary: values by dotted profile key, e.g. ``{"weight.programming_sigma": [0, 0.05]}``, by
            ``profile`` and by ``seed``.
        num_chips: chips per point.
        seed: of chips and read noise.
        resources: who computes; by default this process or a pool of processes.
        on_chips: called with the number of chips (of a point) that were finished or found.

    Raises:
        ConfigError: no chips, an empty grid, an unknown metric, or too little memory.
        ProfileError: an unknown key or a value out of range.
        ProgramError: inputs that do not fit, or a model that this hardware cannot run.
        RunError: workers died; what was finished is kept.
    """
    resources = resources or Resources()
    if num_chips < 1:
        raise ConfigError(f"chips {num_chips}: at least 1")
    if not len(data.labels):
        raise ConfigError("no samples to score")
    points = grid_points(profile, vary, seed)
    metric = score(data.metric, data.decision.classes)
    check_inputs(program, data.inputs)
    grids(program.inputs, program.steps)
    for point in points:
        device_for(point.profile)
    most = chips_in_memory(program, len(data.labels), resources.memory_mb)
    job = SweepJob(
        program=program,
        inputs=data.inputs,
        labels=data.labels,
        decision=data.decision,
        tally=metric.tally,
        on=resources.on,
    )
    work = _found_work(job, points, num_chips, resources.folder, on_chips)
    missing = sum(int((~done).sum()) for done in work.done)
    workers = resources.num_workers or default_workers(missing * len(data.labels))
    size = chips_per_task(max(1, missing), len(data.labels), workers, most)
    if missing:
        with torch_threads(1):
            _count(work, resources, workers, size)
    return [
        SweepPoint(params=point.params, counts=counts, metric=metric, classes=data.decision.classes)
        for point, counts in zip(points, work.counts, strict=True)
    ]


def _found_work(
    job: SweepJob,
    points: Sequence[GridPoint],
    num_chips: int,
    folder: Path | None,
    on_chips: Callable[[int], None],
) -> _Work:
    """What there is to do, with what an earlier sweep left in ``folder``."""
    shape = (num_chips, *tally(job.tally, len(job.decision.classes)).shape)
    work = _Work(
        job=job,
        points=points,
        counts=[np.zeros(shape, dtype=np.int64) for _ in points],
        done=[np.zeros(num_chips, dtype=bool) for _ in points],
        store=None if folder is None else PartStore(folder),
        on_chips=on_chips,
    )
    if work.store is not None:
        work.keys = [job.key(point) for point in points]
        for key, counts, done in zip(work.keys, work.counts, work.done, strict=True):
            done[:] = work.store.load(key, counts)
            on_chips(int(done.sum()))
    return work


def _count(work: _Work, resources: Resources, num_workers: int, size: int) -> None:
    """Count what is missing; a pool of our own whose worker died is opened again."""
    deaths = 0
    while any(not done.all() for done in work.done):
        before = sum(int(done.sum()) for done in work.done)
        try:
            with _shared(work.job, resources, num_workers) as (executor, job):
                _drain(work, executor, job, TASKS_IN_FLIGHT_PER_WORKER * num_workers, size)
        except CancelledError:
            raise RunError(
                "the cluster gave up its tasks; what was finished is kept, run the sweep again"
            ) from None
        except BrokenExecutor as error:
            progress = sum(int(done.sum()) for done in work.done) > before
            deaths = 1 if progress else deaths + 1
            if resources.executor is not None or deaths >= DEATHS_WITHOUT_PROGRESS:
                raise RunError(
                    f"a worker died ({error}); out of memory? What was finished is kept: run the "
                    "sweep again, with fewer workers or a smaller memory_mb"
                ) from None


@contextmanager
def _shared(
    job: SweepJob, resources: Resources, num_workers: int
) -> Iterator[tuple[Executor, SweepJob | StoredJob | Any]]:
    """An executor, and what stands for the job in its tasks."""
    if resources.executor is not None:
        if resources.share is not None:
            yield resources.executor, resources.share(job)
        elif resources.folder is not None:
            with _stored(job, resources.folder) as stored:
                yield resources.executor, stored
        else:
            yield resources.executor, job
    elif num_workers == 1:
        yield SameProcess(), job
    else:
        with _stored(job, resources.folder) as stored, process_pool(num_workers) as pool:
            yield pool, stored


@contextmanager
def _stored(job: SweepJob, folder: Path | None) -> Iterator[StoredJob]:
    """The job on disk for as long as workers need it; a sweep that was killed finds it again."""
    if folder is None:
        with tempfile.TemporaryDirectory() as parent:
            yield store_job(job, Path(parent, "job"))
        return
    target = folder / f"job-{job.digest[:16]}"
    try:
        yield store_job(job, target)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _drain(work: _Work, executor: Executor, job: Any, in_flight: int, size: int) -> None:
    """Keep a few tasks per worker in flight, so that memory does not grow with their number."""
    pending: dict[Future[np.ndarray], tuple[int, range]] = {}
    try:
        for index, chips in work.tasks(size):
            point = work.points[index]
            future = executor.submit(count_chips, job, point.profile, point.seed, chips)
            pending[future] = (index, chips)
            if len(pending) >= in_flight:
                _collect(work, pending)
        while pending:
            _collect(work, pending)
    except BaseException:
        for future in pending:
            future.cancel()
        raise


def _collect(work: _Work, pending: dict[Future[np.ndarray], tuple[int, range]]) -> None:
    finished, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in finished:
        index, chips = pending.pop(future)
        work.finish(index, chips, future.result())
