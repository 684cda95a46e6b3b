"""A log of 100 MB is read in bounded memory, and what it says at its end is still found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEGABYTES = 100
MOST_MEMORY_MB = 500
READ = """
import sys
from training.inspector import inspect_run
report = inspect_run(sys.argv[1])
# Of this process alone; getrusage would tell the memory of the one that started it.
lines = open("/proc/self/status", encoding="ascii").read().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
print(report.finding("N1").message, "|", report.finding("C1").status, "|", peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_a_log_of_100_megabytes(tmp_path):
    path = tmp_path / "train_log.jsonl"
    size, epoch = 0, 0
    with path.open("w", encoding="utf-8") as log:
        while size < MEGABYTES * 1_000_000:
            row = {"epoch": epoch, "train_loss": 1.0 / (epoch + 1), "val": {"auroc": 0.9}}
            size += log.write(json.dumps(row | {"grad_norms": {"a": 0.1}, "note": "x" * 40}) + "\n")
            epoch += 1
        log.write('{"epoch": %d, "train_loss": 0.0, "grad_norms": {"a": NaN}}\n' % epoch)  # noqa: UP031
    done = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True
    )
    message, status, peak = done.stdout.rsplit("|", 2)
    assert f"nan at epoch {epoch}" in message
    assert status.strip() == "ok"
    assert int(peak) < MOST_MEMORY_MB
