from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from photonic.errors import ConfigError
from photonic.threads import available_cores, inherited_threads, torch_threads


def test_threads_are_set_inside_and_restored_after():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="stop"), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError("stop")
    assert torch.get_num_threads() == before


def test_no_threads_are_refused():
    with pytest.raises(ConfigError, match="0 threads asked for"), torch_threads(0):
        pytest.fail("the block must not run")


def test_cores_are_those_of_the_process():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_processes_inherit_the_threads_of_the_block(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    ask = "import os; print(*(os.environ.get(f'{n}_NUM_THREADS') for n in ('OMP', 'OPENBLAS')))"

    def said():
        command = [sys.executable, "-S", "-c", ask]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    with inherited_threads(1):
        assert said() == ["1", "1"]
    assert said() == ["7", "None"]
