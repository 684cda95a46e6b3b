"""``kill -9`` at random moments: the run continues and ends with the weights of an unbroken one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

NUM_KILLS = 20


def photonic(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "photonic.cli.main", *arguments, "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_twenty_times_and_still_the_same_weights(ecg_options, tmp_path):
    options = [
        "--data", str(ecg_options["data"]), "--labels", "aami-binary", "--split", "by-record",
        "--max_epochs", "40", "--min_epochs", "40", "--batch_size", "4", "--dropout", "0.1",
    ]  # fmt: skip
    begun = time.monotonic()
    whole = photonic("train", "ecg", *options, "--out", str(tmp_path / "whole"))
    assert whole.wait() == 0
    seconds = time.monotonic() - begun

    out, draw, kills = tmp_path / "killed", random.Random(0), 0
    process = photonic("train", "ecg", *options, "--out", str(out))
    while kills < NUM_KILLS:
        time.sleep(draw.uniform(0.1, 0.45) * seconds)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        if (out / "checkpoint.json").is_file():
            break
        again = ["train", "resume", str(out)] if out.is_dir() else [
            "train", "ecg", *options, "--out", str(out)
        ]  # fmt: skip
        process = photonic(*again)
    if process.poll() is None:
        assert process.wait() == 0
    assert kills >= 3
    for name in ("checkpoint.safetensors", "program.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(out.glob(".*partial*"))
