"""An interrupted sweep goes on from what is on disk and gives the same counts."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from photonic.errors import ProgramError, RunError
from photonic.profile import load_profile
from photonic.sweep import Resources, SweepData, sweep
from photonic.sweep.job import SweepJob, count_chips, store_job
from photonic.sweep.parts import PartStore

PROFILE = load_profile("generic_8bit")
VARY = {"weight.programming_sigma": [0.0, 0.1]}


class Limited(Executor):
    """Runs a number of tasks, then fails as a pool does whose worker was killed."""

    def __init__(self, num_tasks: int, error: BaseException) -> None:
        self.left, self.error, self.ran = num_tasks, error, 0

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if self.left == 0:
            future.set_exception(self.error)
            return future
        self.left -= 1
        self.ran += 1
        future.set_result(fn(*args, **kwargs))
        return future


UNLIMITED = 10**9


def run(model, folder, executor, num_chips=6, vary=VARY, **changes):
    program, data = model
    resources = Resources(executor=executor, folder=folder, num_workers=1)
    return sweep(
        program, PROFILE, data, vary=vary, num_chips=num_chips, resources=resources, **changes
    )


@pytest.fixture(scope="module")
def whole(sweep_model):
    program, data = sweep_model
    return [p.counts for p in sweep(program, PROFILE, data, vary=VARY, num_chips=6)]


@pytest.mark.parametrize(
    "error", [BrokenProcessPool("a child process terminated abruptly"), KeyboardInterrupt()]
)
def test_a_sweep_that_was_cut_goes_on_and_counts_the_same(sweep_model, whole, tmp_path, error):
    with pytest.raises((RunError, KeyboardInterrupt)):
        run(sweep_model, tmp_path, Limited(3, error))
    rest = Limited(UNLIMITED, error)
    found = []
    points = run(sweep_model, tmp_path, rest, on_chips=found.append)
    assert 0 < sum(found[:2]) < 12  # what was there
    assert sum(found) == 12
    for point, counts in zip(points, whole, strict=True):
        assert np.array_equal(point.counts, counts)
    nobody = Limited(0, error)
    again = run(sweep_model, tmp_path, nobody)
    assert nobody.ran == 0
    assert all(np.array_equal(p.counts, c) for p, c in zip(again, whole, strict=True))


def test_nothing_but_finished_parts_is_left(sweep_model, tmp_path):
    run(sweep_model, tmp_path, Limited(UNLIMITED, KeyboardInterrupt()))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert all(path.suffix == ".npy" and not path.name.startswith(".") for path in files)
    assert len({path.parent for path in files}) == 2


def test_more_chips_and_more_points_keep_what_is_there(sweep_model, whole, tmp_path):
    first = Limited(UNLIMITED, KeyboardInterrupt())
    run(sweep_model, tmp_path, first, num_chips=4, vary={"weight.programming_sigma": [0.1]})
    found = []
    points = run(
        sweep_model, tmp_path, Limited(UNLIMITED, KeyboardInterrupt()), on_chips=found.append
    )
    assert found[:2] == [0, 4]
    assert all(np.array_equal(p.counts, c) for p, c in zip(points, whole, strict=True))


def test_another_seed_model_or_metric_does_not_take_the_parts_of_this_one(sweep_model, tmp_path):
    run(sweep_model, tmp_path, Limited(UNLIMITED, KeyboardInterrupt()), num_chips=2)
    program, data = sweep_model
    ranked = SweepData(
        inputs=data.inputs, labels=data.labels, decision=data.decision, metric="auroc"
    )
    fewer = SweepData(
        inputs={"beat": data.inputs["beat"][:100]},
        labels=data.labels[:100],
        decision=data.decision,
        metric="f1",
    )
    for model, changes in (
        ((program, data), {"seed": 1}),
        ((program, ranked), {}),
        ((program, fewer), {}),
    ):
        found = []
        other = Limited(UNLIMITED, KeyboardInterrupt())
        run(model, tmp_path, other, num_chips=2, on_chips=found.append, **changes)
        assert found[:2] == [0, 0]


@pytest.mark.parametrize(
    "damage",
    ["cut", "objects", *(pytest.param(d, marks=pytest.mark.slow) for d in ("text", "shape"))],
)
def test_a_damaged_part_is_counted_again(sweep_model, whole, tmp_path, damage):
    run(sweep_model, tmp_path, Limited(UNLIMITED, KeyboardInterrupt()))
    for path in tmp_path.rglob("*.npy"):
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-8])
        elif damage == "text":
            path.write_text("no array")
        elif damage == "shape":
            np.save(path, np.zeros((1, 3, 3), dtype=np.int64))
        else:
            np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    points = run(sweep_model, tmp_path, Limited(UNLIMITED, KeyboardInterrupt()))
    assert all(np.array_equal(p.counts, c) for p, c in zip(points, whole, strict=True))


def test_parts_of_any_cut_fill_the_chips_they_hold(tmp_path):
    store = PartStore(tmp_path)
    numbers = np.arange(10).reshape(10, 1, 1)
    for chips in (range(3), range(2, 5), range(7, 10)):
        store.save("key", chips, numbers[chips.start : chips.stop])
    counts = np.zeros((8, 1, 1), dtype=np.int64)
    done = store.load("key", counts)
    assert done.tolist() == [True] * 5 + [False] * 2 + [True]
    assert np.array_equal(counts[done], numbers[:8][done])
    assert not store.load("other", counts).any()


def test_a_fault_of_the_model_is_no_reason_to_try_again(sweep_model, tmp_path):
    executor = Limited(0, ProgramError("this hardware cannot run it"))
    with pytest.raises(ProgramError, match="cannot run it"):
        run(sweep_model, tmp_path, executor)


def test_a_stored_job_counts_as_the_job_itself(sweep_model, tmp_path):
    program, data = sweep_model
    job = SweepJob(
        program=program,
        inputs=data.inputs,
        labels=data.labels,
        decision=data.decision,
        tally="confusion",
    )
    stored = store_job(job, tmp_path / "job")
    assert stored.load().digest == job.digest
    chips = range(3, 5)
    assert np.array_equal(
        count_chips(stored, PROFILE, 0, chips), count_chips(job, PROFILE, 0, chips)
    )
