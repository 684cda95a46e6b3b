"""A small fit that any test may train, in memory, and a finished run on synthetic records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from photonic.layers import ExactCore
from photonic.students import SegmentConfig, segment_student
from training.config import OptimOptions
from training.data.splits import Split
from training.data.synthetic import write_records
from training.loop import Samples
from training.presets import resolve
from training.problem import Problem, Stage
from training.setup import objective_of
from training.train import train
from training.workloads import workload


def toy_samples(n: int = 240, seed: int = 0) -> Samples:
    """One abnormal beat in four, with a wide bump instead of a narrow one."""
    generator = np.random.default_rng(seed)
    label = (np.arange(n) % 4 == 0).astype(np.int64)
    time = np.arange(360) - 180
    width = np.where(label == 1, 30.0, 8.0)[:, None]
    beat = np.exp(-((time / width) ** 2)) + 0.1 * generator.standard_normal((n, 360))
    beat = np.clip(beat, -1, 1).astype(np.float32)
    inputs = {"beat": torch.from_numpy(beat[..., None])}
    return Samples(inputs=inputs, label=torch.from_numpy(label))


def toy_problem(*, folds=False, seed=0, core=ExactCore, dropout=0.0, **options) -> Problem:
    samples = toy_samples()
    parts = np.array_split(np.arange(200), 3)
    split = Split(
        name="toy",
        train=np.concatenate(parts[1:]),
        val=parts[0],
        test=np.arange(200, 240),
        folds=tuple(parts) if folds else (),
        note="",
    )
    optim = OptimOptions(
        **{"lr": 0.01, "batch_size": 32, "max_epochs": 4, "min_epochs": 1, **options}
    )
    imbalance = resolve("binary", overrides={"early_stop_patience": 3})
    stage = Stage(
        name="float",
        core=ExactCore,
        lr=optim.lr,
        schedule=optim.schedule,
        max_epochs=optim.max_epochs,
        min_epochs=optim.min_epochs,
    )
    return Problem(
        samples=samples,
        classes=("normal", "abnormal"),
        split=split,
        imbalance=imbalance,
        optim=optim,
        stages=(stage,) if core is ExactCore else (stage, replace(stage, name="bits", core=core)),
        build=lambda g: segment_student(SegmentConfig(num_classes=2, dropout=dropout), g),
        objective=objective_of(samples, imbalance),
        seed=seed,
    )


@pytest.fixture
def problem():
    """The factory of toy problems."""
    return toy_problem


@pytest.fixture(scope="session")
def ecg_options(tmp_path_factory):
    """Options of a run on short synthetic records that takes a second."""
    folder = tmp_path_factory.mktemp("records") / "records"
    write_records(folder, num_records=4, minutes=0.75, seed=0)
    return {
        "data": folder,
        "labels": "aami-binary",
        "split": "by-record",
        "max_epochs": 2,
        "min_epochs": 1,
        "batch_size": 32,
        "figures": False,
    }


@pytest.fixture(scope="session")
def typed():
    """``typed(options)``: options as they are typed on the command line."""

    def arguments(options):
        words = []
        for name, value in options.items():
            if value is False:
                words.append(f"--no-{name}")
            else:
                text = ",".join(value) if isinstance(value, list | tuple) else str(value)
                words += [f"--{name}", text]
        return words

    return arguments


@pytest.fixture(scope="session")
def ecg_run(ecg_options, tmp_path_factory):
    """A finished run directory with its figures; copy it before changing it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train("ecg", workload("ecg").resolve({**ecg_options, "figures": True}), out)
    return out
