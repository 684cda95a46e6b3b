"""The run directory: what training leaves behind, written whole or not at all, checked when read.

``checkpoint.json`` is written last; a directory without it is an unfinished run, which holds
``resume.safetensors`` instead.
"""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from photonic.decision import Decision
from photonic.errors import ConfigError, ProgramError, RunError
from photonic.files import atomic_write, atomic_write_text
from photonic.profile import load_profile
from photonic.program import Program
from photonic.program_io import load_program, save_program
from photonic.students import Student
from training.config import RunConfig, read_config
from training.evaluate import Predictions
from training.noise import deployed_core
from training.problem import WEIGHTS, seeded
from training.workloads import workload

SCHEMA_VERSION = 1
CONFIG, LOG, RESUME = "config.toml", "train_log.jsonl", "resume.safetensors"
META, WEIGHTS_FILE, PROGRAM, SAMPLE = (
    "checkpoint.json",
    "checkpoint.safetensors",
    "program.json",
    "sample.npz",
)
SUBSETS = ("train", "val", "test")
_PACKAGES = ("photonic-deploy", "torch", "numpy", "brevitas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run directory.

    Attributes:
        path: the directory.
        config: its complete configuration.
        meta: what ``checkpoint.json`` holds.
        decision: how a class is chosen.
        program: the float model.
    """

    path: Path
    config: RunConfig
    meta: Mapping[str, Any]
    decision: Decision
    program: Program

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, the normal one first."""
        return self.decision.classes

    def student(self) -> Student:
        """The student with its weights, on the exact core.

        Raises:
            RunError: weights that do not fit the configuration.
        """
        file = self.path / WEIGHTS_FILE
        student = workload(self.meta["workload"]).build(
            self.config, len(self.classes), seeded(self.config.seed, WEIGHTS)
        )
        try:
            student.load_state_dict(load_file(file))
        except (RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{file}: not the weights of this run: {reason}") from None
        return student.eval()

    def deployed(self) -> Student:
        """The student as its decision was chosen: with the bits of its profile where it has one.

        Raises:
            RunError: weights that do not fit the configuration.
            ProfileError: the profile is not there any more.
        """
        student = self.student()
        if self.config.hardware.profile is not None:
            student.core = deployed_core(load_profile(self.config.hardware.profile))
        return student

    def predictions(self, subset: str) -> Predictions:
        """Saved probabilities of ``train``, ``val`` or ``test``.

        Raises:
            RunError: no or unreadable probabilities of this subset.
        """
        file = self.path / f"probs_{subset}.npz"
        arrays = read_arrays(file)
        try:
            return Predictions(**{field.name: arrays[field.name] for field in fields(Predictions)})
        except KeyError as error:
            raise RunError(f"{file}: array {error} missing") from None


def load_run(path: str | Path) -> Run:
    """Read a finished run directory and check that it is whole.

    Raises:
        RunError: missing, unfinished, damaged, or of another schema version.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run directory")
    file = folder / META
    if not file.is_file():
        if (folder / RESUME).is_file():
            raise RunError(
                f"{folder}: this run is not finished; continue it with "
                f"`photonic train resume {folder}`"
            )
        raise RunError(f"{file}: missing; this is no run directory")
    meta = _read_meta(file)
    for name, digest in meta["sha256"].items():
        if not (folder / name).is_file():
            raise RunError(f"{folder / name}: missing")
        if sha256(folder / name) != digest:
            raise RunError(f"{folder / name}: damaged or changed, its SHA-256 is not the one saved")
    try:
        return Run(
            path=folder,
            config=read_config(folder / CONFIG, workload(meta["workload"]).config),
            meta=meta,
            decision=Decision.from_dict(meta["decision"]),
            program=load_program(folder / PROGRAM),
        )
    except (ConfigError, ProgramError) as error:
        raise RunError(f"{folder}: {error}") from None


def _read_meta(file: Path) -> dict[str, Any]:
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file}: not valid JSON: {error}") from None
    found = meta.get("schema_version") if isinstance(meta, dict) else None
    if found != SCHEMA_VERSION:
        raise RunError(
            f"{file}: run directory of schema version {found!r}, this release reads "
            f"{SCHEMA_VERSION}: train again, or use the release that wrote it"
        )
    missing = {"workload", "decision", "classes", "sha256"} - set(meta)
    if missing:
        raise RunError(f"{file}: {', '.join(sorted(missing))} missing")
    return meta


def save_student(folder: Path, student: Student) -> str:
    """Write weights and program of a trained student; returns the SHA-256 of the weights."""
    weights = {n: p.detach().cpu().clone().contiguous() for n, p in student.named_parameters()}
    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(save(weights))
    save_program(student.program(), folder / PROGRAM)
    return sha256(folder / WEIGHTS_FILE)


def save_run(folder: Path, *, meta: Mapping[str, Any], sample: Mapping[str, np.ndarray]) -> None:
    """Write the reference sample, and the file that makes the directory a run.

    Args:
        folder: the run directory; configuration, weights and program are there already.
        meta: what ``checkpoint.json`` says, without versions and hashes.
        sample: reference sample for export.
    """
    write_arrays(folder / SAMPLE, sample)
    hashes = {name: sha256(folder / name) for name in (WEIGHTS_FILE, PROGRAM, SAMPLE, CONFIG)}
    document = {
        "schema_version": SCHEMA_VERSION,
        **meta,
        "versions": versions(),
        "sha256": hashes,
    }
    _write_json(folder / META, document)


def save_predictions(
    folder: Path, subset: str, predictions: Predictions, extra: Mapping[str, np.ndarray]
) -> None:
    """Write ``probs_{subset}.npz``; ``extra`` arrays go along."""
    names = [field.name for field in fields(Predictions)]
    arrays = {name: getattr(predictions, name) for name in names}
    write_arrays(folder / f"probs_{subset}.npz", {**arrays, **extra})


def save_evaluation(folder: Path, subset: str, scoring: Mapping[str, Any]) -> None:
    """Write ``evaluation_{subset}.json``: figures with baselines, and whose weights they are of."""
    checkpoint = sha256(folder / WEIGHTS_FILE)
    _write_json(folder / f"evaluation_{subset}.json", {**scoring, "checkpoint": checkpoint})


def _write_json(file: Path, document: Mapping[str, Any]) -> None:
    atomic_write_text(file, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Arrays of an NPZ file, nothing unpickled.

    Raises:
        RunError: missing or unreadable.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise RunError(f"{file}: missing") from None
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise RunError(f"{file}: not a readable NPZ file: {error}") from None


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as NPZ, whole or not at all."""
    with atomic_write(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of ``train_log.jsonl``.

    Raises:
        RunError: missing or not JSON lines.
    """
    file = folder / LOG
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise RunError(f"{file}: missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file}: not JSON lines: {error}") from None


def sha256(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def versions(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
