"""Sweeps on a dask cluster: an executor, and the job held by every worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from photonic.errors import ConfigError, RunError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from distributed import Client

    from photonic.sweep.job import SweepJob
    from photonic.sweep.run import Share

CONNECT_TIMEOUT_S = 10.0


@contextmanager
def dask_client(address: str, timeout_s: float = CONNECT_TIMEOUT_S) -> Iterator[Client]:
    """A client of the scheduler at ``address``, e.g. ``tcp://10.0.0.1:8786``.

    Raises:
        ConfigError: that is no address, or nobody answers there.
        RunError: the cluster lost a task for good.
    """
    from distributed import Client, KilledWorker
    from distributed.comm.addressing import get_address_host_port

    try:
        # A client that was given no address hangs for a while at its end, and complains.
        get_address_host_port(address if "://" in address else f"tcp://{address}", strict=True)
    except ValueError:
        raise ConfigError(
            f"executor dask:{address}: write the scheduler's address, dask:tcp://HOST:PORT"
        ) from None
    try:
        client = Client(address, timeout=timeout_s, set_as_default=False)
    except OSError as error:
        raise ConfigError(
            f"executor dask:{address}: no scheduler answers there within {timeout_s:g} s "
            f"({type(error).__name__}); start one with `dask scheduler` and give its address"
        ) from None
    try:
        yield client
    except KilledWorker as error:
        raise RunError(
            f"dask workers died again and again on one task ({error.task}); out of memory? What "
            "was finished is kept: run the sweep again with a smaller memory_mb"
        ) from None
    finally:
        client.close()


def cluster_executor(client: Client) -> tuple[Executor, Share, int]:
    """An executor, how a job gets to the workers once, and how many tasks run at a time.

    Raises:
        ConfigError: a cluster without workers.
    """
    threads = cast(dict[str, int], client.nthreads())
    if not threads:
        raise ConfigError(
            "executor dask: the scheduler has no workers yet; start some with `dask worker`"
        )

    def share(job: SweepJob) -> Any:
        return client.scatter(job, broadcast=True)

    # Counts are pure, but a sweep that is run again must not meet the tasks of an earlier one.
    return client.get_executor(pure=False), share, sum(threads.values())
