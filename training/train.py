"""One run from configuration to run directory: load, fit, score, write; resumable at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from photonic.errors import ConfigError, RunError
from photonic.files import atomic_directory, atomic_write
from training.config import RunConfig, read_config, to_toml
from training.epochs import Diverged
from training.fit import Fit
from training.inspector import inspect_run, write_report
from training.mirror import check_logger, open_mirror
from training.outcome import finish, start_record
from training.run import CONFIG, LOG, META, RESUME, SCHEMA_VERSION, Run, load_run, read_log
from training.setup import build_problem
from training.workloads import Dataset, workload


def _nothing(*_: Any) -> None:
    """A callback that is not wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """How a caller follows a run; nothing below knows of a terminal.

    Attributes:
        on_source: name of every record (file, …) that was read.
        on_data: the data, before training.
        on_message: what the rebalancing plan and the policy have to say.
        on_step: called with 1 after every optimiser step.
        on_epoch: what the log says about an epoch.
    """

    on_source: Callable[[str], None] = _nothing
    on_data: Callable[[Dataset], None] = _nothing
    on_message: Callable[[str], None] = _nothing
    on_step: Callable[[int], None] = _nothing
    on_epoch: Callable[[Mapping[str, Any]], None] = _nothing


def train(name: str, config: RunConfig, out: Path, callbacks: Callbacks = Callbacks()) -> Run:
    """Train a workload and write its run directory.

    Args:
        name: of the workload.
        config: complete configuration.
        out: the run directory to make.
        callbacks: who follows.

    Raises:
        ConfigError: ``out`` is not empty, or options that cannot be honoured.
        DataError: data that is missing, damaged or unfit.
    """
    refuse_occupied(out)
    check_logger(config.logging.logger)
    data = workload(name).load(config, callbacks.on_source)
    callbacks.on_data(data)
    fit = Fit(build_problem(name, config, data, callbacks.on_step), callbacks.on_step)
    for message in fit.messages:
        callbacks.on_message(message)
    with atomic_directory(out) as folder:
        begin(folder, name, config, data, fit)
    return _carry_on(Session(name, config, out, data, fit, callbacks))


def resume(out: Path, callbacks: Callbacks = Callbacks()) -> Run:
    """Continue a run that was interrupted; it ends with the weights of an unbroken one.

    Raises:
        RunError: nothing to resume, or a damaged state.
    """
    if (out / META).is_file() and not (out / RESUME).is_file():
        return load_run(out)
    clear_partial(out)
    name, plain, tensors = load_state(out)
    config = read_config(out / CONFIG, workload(name).config)
    data = workload(name).load(config, callbacks.on_source)
    callbacks.on_data(data)
    fit = Fit(build_problem(name, config, data, callbacks.on_step), callbacks.on_step)
    fit.load_state(plain["fit"], tensors)
    os.truncate(out / LOG, plain["log_bytes"])
    return _carry_on(Session(name, config, out, data, fit, callbacks))


def refuse_occupied(out: Path) -> None:
    """Refuse to write over anything.

    Raises:
        ConfigError: ``out`` is a file or a folder that is not empty.
    """
    if (out / RESUME).is_file() and not (out / META).is_file():
        raise ConfigError(
            f"{out} holds an unfinished run: continue it with `photonic train resume {out}`, or "
            "name another folder"
        )
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(f"{out} is not empty: remove it or name another folder")


def clear_partial(out: Path) -> None:
    """Remove what a kill left behind."""
    for partial in out.glob(".*.partial*"):
        partial.unlink()


def begin(folder: Path, name: str, config: RunConfig, data: Dataset, fit: Fit) -> None:
    """Write what a run directory holds before the first epoch."""
    (folder / CONFIG).write_text(to_toml(config), encoding="utf-8")
    (folder / LOG).write_text(_line(start_record(name, config, data, fit)), encoding="utf-8")
    _save_state(folder, name, fit)


class Session:
    """A run that is being trained: its directory follows its fit, epoch by epoch."""

    def __init__(
        self,
        name: str,
        config: RunConfig,
        out: Path,
        data: Dataset,
        fit: Fit,
        callbacks: Callbacks,
    ) -> None:
        self.name, self.config, self.out, self.data, self.fit = name, config, out, data, fit
        self.callbacks = callbacks
        self.begun = perf_counter()
        self.mirror = open_mirror(config.logging.logger, out, read_log(out))

    def record(self, record: Mapping[str, Any]) -> None:
        """Log an epoch and save the state after it."""
        _append(self.out, record)
        self.mirror.add(record)
        _save_state(self.out, self.name, self.fit)
        self.callbacks.on_epoch(record)
        for message in record.get("messages", ()):
            self.callbacks.on_message(message)

    def diverged(self, error: Diverged) -> None:
        """Log how the run came to its end."""
        _append(self.out, error.record)

    def finish(self) -> Run:
        """Score, write and inspect what came of it."""
        self.mirror.close()
        finish(self.name, self.config, self.out, self.data, self.fit)
        seconds, epoch = perf_counter() - self.begun, self.fit.chosen[-1].best_epoch
        _append(self.out, {"event": "end", "epoch": epoch, "seconds": seconds})
        (self.out / RESUME).unlink()
        report = inspect_run(self.out)
        write_report(report, self.out)
        self.callbacks.on_message(f"inspection: {report.summary()}")
        return load_run(self.out)


def _carry_on(session: Session) -> Run:
    while not session.fit.done:
        try:
            record = session.fit.step()
        except Diverged as error:
            session.diverged(error)
            raise
        session.record(record)
    return session.finish()


def _append(out: Path, record: Mapping[str, Any]) -> None:
    with (out / LOG).open("a", encoding="utf-8") as log:
        log.write(_line(record))


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _save_state(folder: Path, name: str, fit: Fit) -> None:
    """The state and the length of the log that belongs to it, as one file."""
    plain, tensors = fit.state()
    document = {
        "schema_version": SCHEMA_VERSION,
        "workload": name,
        "fit": plain,
        "log_bytes": (folder / LOG).stat().st_size,
    }
    with atomic_write(folder / RESUME) as temporary:
        plain_tensors = {key: tensor.cpu().clone().contiguous() for key, tensor in tensors.items()}
        temporary.write_bytes(save(plain_tensors, {"state": json.dumps(document)}))


def load_state(folder: Path) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Workload, state and tensors of an unfinished run.

    Raises:
        RunError: there is none, or it is damaged or of another schema version.
    """
    file = folder / RESUME
    if not file.is_file():
        raise RunError(f"{file}: missing; there is no interrupted run to continue")
    try:
        with safe_open(file, framework="pt") as stored:
            document = json.loads(stored.metadata()["state"])
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise RunError(f"{file}: damaged: {error}") from None
    if document.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"{file}: state of schema version {document.get('schema_version')!r}, this release "
            f"reads {SCHEMA_VERSION}: train again"
        )
    return document["workload"], document, tensors
