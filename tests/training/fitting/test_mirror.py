"""The log mirrored to TensorBoard: the same numbers, after an interruption too."""

from __future__ import annotations

import shutil

import pytest

from photonic.cli.main import run as photonic
from training.mirror import FOLDER, numbers
from training.run import LOG, META, read_log
from training.train import Callbacks, resume, train
from training.workloads import workload

pytestmark = pytest.mark.slow
accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(run):
    """Steps and values of every scalar in the event files of a run."""
    events = accumulator.EventAccumulator(str(run / FOLDER), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def logged(run):
    """The same of the log."""
    found: dict[str, list[tuple[int, float]]] = {}
    step = 0
    for record in read_log(run):
        if record["event"] == "end":  # what comes after training is not mirrored
            continue
        for name, value in numbers(record):
            found.setdefault(name, []).append((step, value))
        step += record["event"] == "epoch"
    return found


class Killed(BaseException):
    """As a kill: nothing catches it."""


@pytest.fixture(scope="module")
def config(ecg_options):
    return workload("ecg").resolve({**ecg_options, "logger": "tensorboard", "max_epochs": 3})


def test_the_event_file_holds_what_the_log_holds(config, tmp_path):
    run = train("ecg", config, tmp_path / "run").path
    assert scalars(run) == logged(run)
    assert {"train_loss", "val/f1", "lr", "val/per_class/abnormal/f1"} <= scalars(run).keys()


def test_a_resumed_run_carries_on_with_every_epoch_once(config, tmp_path):
    def kill(record):
        if record["epoch"] == 1:
            raise Killed

    out = tmp_path / "run"
    with pytest.raises(Killed):
        train("ecg", config, out, Callbacks(on_epoch=kill))
    assert not (out / META).is_file()
    shutil.rmtree(out / FOLDER)  # as if it had been killed before anything was flushed
    resume(out)
    assert scalars(out) == logged(out)


def test_without_a_logger_there_is_none(ecg_run):
    assert (ecg_run / LOG).is_file()
    assert not (ecg_run / FOLDER).exists()


def test_a_missing_package_is_named_before_anything_is_written(
    ecg_options, typed, tmp_path, capsys, monkeypatch
):
    def missing():
        raise ModuleNotFoundError("No module named 'tensorboard'", name="tensorboard")

    monkeypatch.setattr("training.mirror._writer_type", missing)
    out = tmp_path / "run"
    arguments = ["train", "ecg", *typed(ecg_options), "--logger", "tensorboard", "--out", str(out)]
    assert photonic(arguments) == 2
    assert "photonic-deploy[tensorboard]" in capsys.readouterr().err
    assert not out.exists()
