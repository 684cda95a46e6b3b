"""`train --seeds`: a population becomes run directories like any other, and survives a kill."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from photonic.cli.main import run
from photonic.errors import ConfigError
from training.epochs import Diverged
from training.inspector.rundir import find_group
from training.population import resume_population, summarise, train_population
from training.run import load_run
from training.train import Callbacks, train
from training.workloads import workload


@pytest.fixture(scope="module")
def config(ecg_options):
    return workload("ecg").resolve({**ecg_options, "max_epochs": 3, "min_epochs": 3, "lr": 0.003})


@pytest.fixture(scope="module")
def population(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("population") / "out"
    train_population("ecg", config, (0, 1), out, Callbacks())
    return out


def weights(folder):
    return torch.cat([x.flatten() for x in load_file(folder / "checkpoint.safetensors").values()])


def test_every_member_is_a_run_of_its_seed_and_one_of_a_group(population, config, tmp_path):
    assert sorted(path.name for path in population.iterdir()) == ["seed_0", "seed_1"]
    group = find_group(population / "seed_1")
    assert [member.seed for member in group] == [0, 1]
    alone = train("ecg", config.model_copy(update={"seed": 1}), tmp_path / "alone")
    ours = load_run(population / "seed_1")
    assert ours.config == alone.config
    assert torch.allclose(weights(ours.path), weights(alone.path), rtol=0, atol=1e-3)
    test = ours.meta["metrics"]["test"]["auroc"], alone.meta["metrics"]["test"]["auroc"]
    assert test[0] == pytest.approx(test[1], abs=0.01)
    assert not torch.allclose(weights(ours.path), weights(population / "seed_0"), atol=1e-2)
    assert {path.name for path in alone.path.iterdir()} == {p.name for p in ours.path.iterdir()}


def test_a_population_that_was_interrupted_goes_on_with_every_member(
    population, config, tmp_path, capsys
):
    class Killed(Exception):
        """In the middle of saving the second epoch."""

    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 3:  # one member has saved the second epoch, the other has not
            raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        train_population("ecg", config, (0, 1), out, Callbacks(on_epoch=stop))
    with pytest.raises(ConfigError, match="not empty"):
        train_population("ecg", config, (0, 1), out, Callbacks())
    assert run(["train", "resume", str(out), "--workers", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    for k in (0, 1):
        ours = weights(out / f"seed_{k}")
        assert torch.allclose(ours, weights(population / f"seed_{k}"), rtol=0, atol=1e-4)
    members = resume_population(out, Callbacks())
    assert [member.path for member in members] == [out / f"seed_{k}" for k in said["seeds"]]
    values = [member.meta["metrics"]["test"]["auroc"] for member in members]
    figure = said["metrics"]["test"]["auroc"]
    assert figure["mean"] == pytest.approx(np.mean(values))
    assert figure["sd"] == pytest.approx(np.std(values, ddof=1))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--seeds", "3..1"], "at least 0, each named once"),
        (["--seeds", "1,1"], "each named once"),
        (["--seeds", "one"], "neither a range"),
        (["--seeds", "0..1", "--seed", "2"], "give one of them"),
        (["--workers", "2"], "give --seeds too"),
    ],
)
def test_seeds_that_are_none_are_refused(extra, message, tmp_path, capsys):
    arguments = ["train", "ecg", "--data", "x", "--out", str(tmp_path / "out"), *extra]
    assert run(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_workers_train_what_one_process_does_and_end_with_a_parent_that_is_killed(
    ecg_options, tmp_path
):
    options = [f"--data={ecg_options['data']}", "--labels=aami-binary", "--split=by-record"]
    options += ["--batch_size=32", "--max_epochs=30", "--min_epochs=30", "--seeds=0..3"]

    def photonic(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "photonic.cli.main", "train", *arguments, "--json"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    assert photonic("ecg", *options, "--workers=1", f"--out={tmp_path / 'one'}").wait() == 0
    out = tmp_path / "two"
    parent = photonic("ecg", *options, "--workers=2", f"--out={out}")
    logs = [out / f"seed_{k}" / "train_log.jsonl" for k in range(4)]

    def lines() -> int:
        return sum(log.read_bytes().count(b"\n") for log in logs if log.is_file())

    while lines() < 12:
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    time.sleep(2.0)
    stopped = lines()
    time.sleep(3.0)
    assert lines() == stopped, "workers must not outlive their parent"
    assert stopped < 4 * 31
    assert photonic("resume", str(out), "--workers=2").wait() == 0
    for k in range(4):
        ours, other = weights(out / f"seed_{k}"), weights(tmp_path / "one" / f"seed_{k}")
        assert torch.allclose(ours, other, rtol=0, atol=1e-2)
        assert load_run(out / f"seed_{k}").meta["epoch"] >= 0


def test_a_divergence_in_a_worker_reaches_its_parent():
    error = copy.copy(Diverged("training diverged", {"epoch": 3}))  # as pickle makes another
    assert str(error) == "training diverged"
    assert error.record == {"epoch": 3}


@pytest.mark.slow
def test_figures_on_real_records_are_as_far_from_single_runs_as_these_from_each_other(
    mitdb_dir, tmp_path
):
    given = {"data": mitdb_dir, "labels": "seed-binary", "split": "seed"}
    given |= {"max_epochs": 3, "min_epochs": 3}
    config = workload("ecg").resolve(given)
    seeds = (0, 1, 2)
    alone = [
        train("ecg", config.model_copy(update={"seed": seed}), tmp_path / f"alone_{seed}")
        for seed in seeds
    ]
    together = train_population("ecg", config, seeds, tmp_path / "together", Callbacks())
    for name in ("f1", "miss", "fpr", "auroc"):
        for subset in ("val", "test"):
            single = [member.meta["metrics"][subset][name] for member in alone]
            mean = summarise(together)[subset][name]["mean"]
            # Sums in another order end in another threshold: F1 of a member moves by .007.
            assert abs(mean - np.mean(single)) <= max(single) - min(single)
