"""``kill -9`` at random moments: the run continues and ends with the weights of an unbroken one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NUM_KILLS = 20


def photonic(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "photonic.cli.main", *arguments, "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def num_lines(out: Path) -> int:
    log = out / "train_log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def test_killed_twenty_times_and_still_the_same_weights(ecg_options, tmp_path):
    options = [
        "--data", str(ecg_options["data"]), "--labels", "aami-binary", "--split", "by-record",
        "--max_epochs", "100", "--min_epochs", "100", "--batch_size", "4", "--dropout", "0.1",
    ]  # fmt: skip
    assert photonic("train", "ecg", *options, "--out", str(tmp_path / "whole")).wait() == 0

    # Lives end by progress, not by the clock: a start takes longer than an epoch.
    out, draw, kills = tmp_path / "killed", random.Random(0), 0
    while kills < NUM_KILLS and not (out / "checkpoint.json").is_file():
        again = ["train", "resume", str(out)] if out.is_dir() else [
            "train", "ecg", *options, "--out", str(out)
        ]  # fmt: skip
        process, goal = photonic(*again), num_lines(out) + draw.randint(1, 2)
        while process.poll() is None and num_lines(out) < goal:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.2))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    if not (out / "checkpoint.json").is_file():
        assert photonic("train", "resume", str(out)).wait() == 0
    assert kills == NUM_KILLS
    for name in ("checkpoint.safetensors", "program.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(out.glob(".*partial*"))
