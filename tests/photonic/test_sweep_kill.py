"""``kill -9`` of a whole sweep: its workers go, too, and the next run ends at the same table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [
    sys.executable, "-m", "photonic.cli.main", "sweep",
    "--vary", "weight.programming_sigma=0,0.05,0.1", "--chips", "1500", "--memory-mb", "64",
]  # fmt: skip


def children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``, and theirs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found += [int(stat.parent.name), *children(int(stat.parent.name))]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_killed_sweep_goes_on_to_the_same_table(small_bundle, tmp_path):
    whole = [*COMMAND, small_bundle, "--out", tmp_path / "whole", "--workers", "1"]
    subprocess.run(whole, check=True, capture_output=True)
    cut = tmp_path / "cut"
    command = [*COMMAND, small_bundle, "--out", cut, "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert wait_until(lambda: len(list(cut.rglob("[0-9]*-*.npy"))) >= 3)
        workers = children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert len(workers) >= 2
    assert wait_until(lambda: not any(alive(pid) for pid in workers), seconds=10)
    assert not (cut / "table.csv").exists()
    parts = set(cut.rglob("[0-9]*-*.npy"))
    subprocess.run(command, check=True, capture_output=True)
    assert parts <= set(cut.rglob("[0-9]*-*.npy"))
    assert (cut / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()
    assert not list(cut.rglob("job-*"))
