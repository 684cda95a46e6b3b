"""The one place that sets how many threads torch and its like use.

The students are tiny: on two cores, threads inside an operator cost more than they bring, and the
sum of workers times threads must not exceed the cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from photonic.errors import ConfigError

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Where those libraries look when they are loaded."""


def available_cores() -> int:
    """Number of cores this process may run on (at least 1), not the number the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(num_threads: int) -> Iterator[None]:
    """Let torch use ``num_threads`` threads per operator inside the block, then as before.

    torch is imported on entry, not with this module.

    Raises:
        ConfigError: ``num_threads`` is below 1.
    """
    if num_threads < 1:
        raise ConfigError(f"{num_threads} threads asked for; at least 1 is needed")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let NumPy's linear algebra use one thread inside the block.

    On matrices of a few columns its threads mostly wait for each other: the logistic regressions
    of the baselines take several times as long on two.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def inherited_threads(num_threads: int) -> Iterator[None]:
    """Let processes that are started inside the block use so many threads in every library.

    Torch is not the only one that has threads: a linear algebra library takes one per core in every
    worker, and they wait for each other by spinning.
    """
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, str(num_threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
