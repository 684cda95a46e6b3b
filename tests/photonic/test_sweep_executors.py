"""Whoever counts, the counts are the same: threads, process pools, a dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from photonic.errors import ConfigError, RunError
from photonic.profile import load_profile
from photonic.sweep import Resources, sweep

distributed = pytest.importorskip("distributed", reason="needs the extra cluster")

from photonic.sweep.cluster import cluster_executor, dask_client  # noqa: E402

PROFILE = load_profile("generic_8bit")
VARY = {
    "seed": [0, 1],
    "profile": ["generic_8bit", "lab_ecg_5bit"],
    "output.noise_sigma": [0.0, 0.02],
}


@pytest.fixture(scope="module")
def alone(sweep_model):
    """Counts of this process, all chips at once."""
    return counts_with(sweep_model, Resources(num_workers=1))


def counts_with(model, resources: Resources) -> list[np.ndarray]:
    program, data = model
    points = sweep(program, PROFILE, data, vary=VARY, num_chips=5, resources=resources)
    return [point.counts for point in points]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def thread_cluster() -> Iterator[str]:
    """A scheduler on the loopback with four workers, as threads of this process."""
    with distributed.LocalCluster(
        n_workers=4, threads_per_worker=1, processes=False, dashboard_address=":0",
        protocol="tcp", host="127.0.0.1",
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def test_any_executor_with_or_without_a_folder(sweep_model, alone, tmp_path):
    with ThreadPoolExecutor(2) as threads:
        assert same(counts_with(sweep_model, Resources(executor=threads, num_workers=2)), alone)
        kept = Resources(executor=threads, num_workers=2, folder=tmp_path)
        assert same(counts_with(sweep_model, kept), alone)
    assert not list(tmp_path.glob("job-*"))


@pytest.mark.slow
def test_seeds_profiles_noise_and_chips_on_a_cluster_of_four(sweep_model, alone, thread_cluster):
    with dask_client(thread_cluster) as client:
        executor, share, num_workers = cluster_executor(client)
        assert num_workers == 4
        resources = Resources(executor=executor, share=share, num_workers=num_workers)
        assert same(counts_with(sweep_model, resources), alone)


def test_a_scheduler_that_does_not_answer_is_a_clear_line():
    with (
        pytest.raises(ConfigError, match=r"dask:tcp://127.0.0.1:1: no scheduler answers"),
        dask_client("tcp://127.0.0.1:1", timeout_s=0.5),
    ):
        pass


@pytest.mark.parametrize("address", ["nowhere", "tcp://host", "host:port", "moon://host:1"])
def test_an_address_that_is_none_is_a_clear_line(address):
    with pytest.raises(ConfigError, match="dask:tcp://HOST:PORT"), dask_client(address):
        pass


def test_a_cluster_without_workers_is_a_clear_line():
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address=":0", protocol="tcp", host="127.0.0.1"
        ) as cluster,
        dask_client(cluster.scheduler_address) as client,
        pytest.raises(ConfigError, match="no workers yet"),
    ):
        cluster_executor(client)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_a_pool_of_any_size(sweep_model, alone, tmp_path, num_workers):
    resources = Resources(num_workers=num_workers, folder=tmp_path)
    assert same(counts_with(sweep_model, resources), alone)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_killed_worker_of_the_pool_is_replaced(sweep_model, alone, tmp_path):
    stop = threading.Event()
    killed = []

    def kill_one_worker() -> None:
        while not stop.is_set() and not killed:
            if list(tmp_path.rglob("*-*.npy")):
                victim = multiprocessing.active_children()[0].pid
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            time.sleep(0.002)

    killer = threading.Thread(target=kill_one_worker)
    killer.start()
    try:
        counts = counts_with(sweep_model, Resources(num_workers=2, folder=tmp_path))
    finally:
        stop.set()
        killer.join()
    assert killed
    assert same(counts, alone)


@pytest.mark.slow
def test_workers_that_die_of_the_task_end_the_sweep(sweep_model, tmp_path, monkeypatch):
    monkeypatch.setattr("photonic.sweep.run.count_chips", die)
    with pytest.raises(RunError, match=r"a worker died .* run the sweep again"):
        counts_with(sweep_model, Resources(num_workers=2, folder=tmp_path))
    assert not list(tmp_path.rglob("*.npy"))


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_is_replaced(sweep_model, alone, tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=4, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
        ) as cluster,
        dask_client(cluster.scheduler_address) as client,
    ):
        pids = list(client.run(os.getpid).values())
        executor, share, num_workers = cluster_executor(client)
        killed = []

        def kill_one(_: int) -> None:
            if not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        program, data = sweep_model
        points = sweep(
            program, PROFILE, data, vary=VARY, num_chips=5, on_chips=kill_one,
            resources=Resources(executor=executor, share=share, num_workers=num_workers),
        )  # fmt: skip
    assert killed
    assert same([point.counts for point in points], alone)
