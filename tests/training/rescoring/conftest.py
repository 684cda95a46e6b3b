"""Finished runs on synthetic records, small enough to be trained in a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.data.synthetic import write_records
from training.run import Run
from training.train import train
from training.workloads import workload


@pytest.fixture(scope="session")
def six_minutes(tmp_path_factory) -> Path:
    """Six synthetic records of five and a half minutes: long enough for EC57."""
    folder = tmp_path_factory.mktemp("long") / "records"
    write_records(folder, num_records=6, minutes=5.5, seed=1)
    return folder


@pytest.fixture(scope="session")
def make_run(tmp_path_factory, six_minutes) -> Callable[..., Run]:
    """``make_run(labels="aami-5")``: a run of two epochs; the same options give the same run."""
    made: dict[tuple, Run] = {}

    def make(**options: Any) -> Run:
        key = tuple(sorted(options.items()))
        if key not in made:
            given = {
                "data": six_minutes,
                "labels": "aami-4",
                "split": "by-record",
                "max_epochs": 2,
                "min_epochs": 1,
                "batch_size": 256,
                "lr": 0.02,
                "figures": False,
                **options,
            }
            out = tmp_path_factory.mktemp("run") / "run"
            made[key] = train("ecg", workload("ecg").resolve(given), out)
        return made[key]

    return make


@pytest.fixture(scope="session")
def ecg_records(tmp_path_factory):
    """A folder of short synthetic records."""
    folder = tmp_path_factory.mktemp("records")
    write_records(folder, num_records=4, minutes=0.75, seed=0)
    return folder


@pytest.fixture(scope="session")
def ecg_options(ecg_records):
    """Options of a run on them that takes a second."""
    return {
        "data": ecg_records,
        "labels": "aami-binary",
        "split": "by-record",
        "max_epochs": 2,
        "min_epochs": 1,
        "batch_size": 32,
        "figures": False,
    }


@pytest.fixture(scope="session")
def ecg_run(ecg_options, tmp_path_factory):
    """A finished run directory; copy it before changing it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train("ecg", workload("ecg").resolve(ecg_options), out)
    return out


@pytest.fixture(scope="session")
def orphan(make_run, six_minutes, tmp_path_factory) -> Run:
    """A run whose training data is gone: no baseline can be fitted beside it."""
    copy = tmp_path_factory.mktemp("gone") / "records"
    shutil.copytree(six_minutes, copy)
    run = make_run(data=copy)
    shutil.rmtree(copy)
    return run
