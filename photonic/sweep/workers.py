"""Executors of our own: this process, or a pool of processes that outlives neither us nor a kill.

Any other ``concurrent.futures.Executor`` can be given to a sweep instead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from photonic.threads import available_cores

# Below this much work, starting workers (a second or two of importing torch each) costs more than
# it brings.
CHIP_BEATS_FOR_ONE_PROCESS = 1_000_000


class SameProcess(Executor):
    """Runs each call when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished call; what it raises is raised here, where an interrupt is not lost."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def process_pool(num_workers: int) -> Iterator[Executor]:
    """A pool of fresh interpreters; when the block ends badly, their work is not waited for.

    Spawned, not forked: a fork of a process whose libraries hold threads can deadlock.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown()


def default_workers(chip_beats: int) -> int:
    """As many workers as cores, or one where the work is small."""
    return 1 if chip_beats <= CHIP_BEATS_FOR_ONE_PROCESS else available_cores()


def _start_worker() -> None:
    # Ctrl-C is for the parent, which stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker waits for work for ever, also when its parent was killed: so it looks."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
