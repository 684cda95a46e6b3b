"""What training left in a run directory, as far as export reads it: no torch, no checkpoint opened.

The program stands in ``program.json``, what else a bundle tells in ``checkpoint.json``, and a fixed
sample of real inputs in ``sample.npz``. ``checkpoint.json`` holds the SHA-256 of the others.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from export.formats import first_fault, read_npz
from photonic.decision import Decision
from photonic.errors import BundleError, ConfigError, ProgramError, RunError
from photonic.execute import check_inputs, run_float
from photonic.program import Program
from photonic.program_io import load_program

SCHEMA_VERSION = 1
HASHED = ("checkpoint.safetensors", "program.json", "sample.npz")
# Training computes in float32: 6e-8 per operation, amplified by the gains of the layers.
TRAINED_TOLERANCE = 1e-4
FILE_NAME = re.compile(r"[A-Za-z0-9_]+")


class Checkpoint(BaseModel):
    """The parts of ``checkpoint.json`` that a bundle carries on."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    schema_version: Literal[1]
    workload: str
    classes: tuple[str, ...] = Field(min_length=2)
    decision: dict[str, Any]
    labels: str
    split: dict[str, Any]
    input: dict[str, Any]
    metrics: dict[str, Any]
    versions: dict[str, str]
    sha256: dict[str, str]
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Real inputs by name, ``(n, tokens, channels)`` float32, and what is known of each."""

    inputs: dict[str, np.ndarray]
    about: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run: its program, decision and sample."""

    path: Path
    checkpoint: Checkpoint
    program: Program
    decision: Decision
    sample: Sample


def read_run(path: str | Path) -> Run:
    """Read and check a run directory.

    Raises:
        RunError: the folder is no finished run, or one of its files is missing, damaged, of
            another schema version, or does not fit the others; the message names the file.
    """
    folder = Path(path)
    checkpoint = _checkpoint(folder)
    for name in HASHED:
        _check_hash(folder / name, checkpoint.sha256.get(name))
    try:
        program = load_program(folder / "program.json")
        decision = Decision.from_dict(checkpoint.decision)
    except (ProgramError, ConfigError) as error:
        raise RunError(f"{folder}: {error}") from None
    if not len(checkpoint.classes) == len(decision.classes) == program.num_classes:
        raise RunError(
            f"{folder}: {program.num_classes} logits, {len(checkpoint.classes)} classes and a "
            f"decision between {len(decision.classes)}: checkpoint.json is not of this program"
        )
    _check_layers(folder / "program.json", program)
    sample = _sample(folder / "sample.npz", program)
    return Run(
        path=folder, checkpoint=checkpoint, program=program, decision=decision, sample=sample
    )


def _checkpoint(folder: Path) -> Checkpoint:
    path = folder / "checkpoint.json"
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; give the run directory that training wrote")
    if not path.is_file():
        raise RunError(f"{folder}: no checkpoint.json; not a run directory, or not finished")
    try:
        return Checkpoint.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = first_fault(error)
        if fault.startswith("schema_version"):
            fault = f"another schema version ({fault}); this release reads {SCHEMA_VERSION}"
        raise RunError(f"{path}: {fault}") from None


def _check_hash(path: Path, expected: str | None) -> None:
    if expected is None:
        raise RunError(f"{path.parent / 'checkpoint.json'}: no SHA-256 of {path.name}")
    if not path.is_file():
        raise RunError(f"{path}: missing; the run directory is incomplete")
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise RunError(
            f"{path}: damaged or changed: its SHA-256 is not the one in checkpoint.json; "
            "restore the file or train again"
        )


def _check_layers(path: Path, program: Program) -> None:
    """Names become file names, and what is not finite has no code."""
    names = [*program.layers, *(step.out for step in program.steps)]
    for name in names:
        if not FILE_NAME.fullmatch(name):
            raise RunError(f"{path}: name {name!r}: only letters, digits and _ are allowed")
    for layer in program.layers_in_order():
        numbers = (layer.matrix, layer.bias, np.float64(layer.gain))
        if not all(np.isfinite(values).all() for values in numbers):
            raise RunError(f"{path}: layer {layer.name!r} holds a NaN or an infinity; train again")


def _sample(path: Path, program: Program) -> Sample:
    try:
        arrays = read_npz(path.read_bytes(), str(path))
    except BundleError as error:
        raise RunError(str(error)) from None
    names = [spec.name for spec in program.inputs]
    inputs = {name: arrays[name] for name in names if name in arrays}
    try:
        check_inputs(program, inputs)
    except ProgramError as error:
        raise RunError(f"{path}: {error}") from None
    lengths = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
    if len(lengths) != 1 or not all(x.dtype == np.float32 and x.ndim == 3 for x in inputs.values()):
        raise RunError(f"{path}: the inputs must be float32 (n, tokens, channels), one n for all")
    about = {name: array for name, array in arrays.items() if name not in names}
    _check_logits(path, program, inputs, about.pop("logits", None))
    return Sample(inputs=inputs, about=about)


def _check_logits(
    path: Path, program: Program, inputs: dict[str, np.ndarray], logits: np.ndarray | None
) -> None:
    """Where training left its own logits, the program must give them again."""
    if logits is None:
        return
    size = max(1.0, float(np.abs(logits).max(initial=0.0)))
    difference = np.abs(run_float(program, inputs) - logits).max(initial=0.0) / size
    if not difference <= TRAINED_TOLERANCE:
        raise RunError(
            f"{path}: the program gives logits that differ by {difference:.2g} of their size from "
            f"the trained model's (allowed {TRAINED_TOLERANCE:g}): program.json is not the "
            "trained model"
        )
