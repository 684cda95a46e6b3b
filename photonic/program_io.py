"""A program as one JSON file: exact, readable, and free of any model code.

Numbers are written with the digits that bring back the same float32, so saving and loading a
program leaves every bit of it as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from photonic.errors import ProgramError
from photonic.files import atomic_write_text
from photonic.program import Input, Layer, Program, step_from_dict, step_to_dict

SCHEMA_VERSION = 1


def structure_to_dict(program: Program) -> dict[str, Any]:
    """The computation without its numbers: inputs, ordered steps, name of the output."""
    return {
        "schema_version": SCHEMA_VERSION,
        "inputs": [asdict(spec) for spec in program.inputs],
        "steps": [step_to_dict(step) for step in program.steps],
        "output": program.output,
    }


def structure_from_dict(data: Mapping[str, Any], layers: Mapping[str, Layer]) -> Program:
    """Inverse of :func:`structure_to_dict`, with the layers' values from elsewhere.

    Raises:
        ProgramError: another schema version, missing or unknown fields, or steps and layers that
            do not fit together.
    """
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ProgramError(
            f"program of schema version {version!r}; this release reads {SCHEMA_VERSION}"
        )
    try:
        inputs = tuple(Input(**spec) for spec in data["inputs"])
        steps = tuple(step_from_dict(step) for step in data["steps"])
        return Program(inputs=inputs, steps=steps, output=data["output"], layers=dict(layers))
    except (KeyError, TypeError, AttributeError) as error:
        raise ProgramError(f"program: {type(error).__name__}: {error}") from None


def program_to_dict(program: Program) -> dict[str, Any]:
    """The whole program: :func:`structure_to_dict` and every layer's matrix, bias and gain."""
    layers = [
        {
            "name": layer.name,
            "gain": float(layer.gain),
            "matrix": layer.matrix.astype(np.float32).tolist(),
            "bias": layer.bias.astype(np.float32).tolist(),
        }
        for layer in program.layers_in_order()
    ]
    return structure_to_dict(program) | {"layers": layers}


def program_from_dict(data: Mapping[str, Any]) -> Program:
    """Inverse of :func:`program_to_dict`.

    Raises:
        ProgramError: another schema version, or fields that are missing, unknown or misshapen.
    """
    try:
        layers = {layer["name"]: _layer(layer) for layer in data["layers"]}
    except (KeyError, TypeError, ValueError) as error:
        raise ProgramError(f"program: layers: {type(error).__name__}: {error}") from None
    return structure_from_dict(data, layers)


def _layer(data: Mapping[str, Any]) -> Layer:
    matrix = np.asarray(data["matrix"], dtype=np.float32)
    bias = np.asarray(data["bias"], dtype=np.float32)
    if matrix.ndim != 2 or bias.shape != matrix.shape[:1]:
        raise ProgramError(
            f"layer {data['name']!r}: matrix {matrix.shape} and bias {bias.shape}; "
            "expected (out, in) and (out,)"
        )
    return Layer(name=data["name"], matrix=matrix, bias=bias, gain=float(data["gain"]))


def save_program(program: Program, path: str | Path) -> None:
    """Write ``program`` to ``path`` as JSON, whole or not at all."""
    atomic_write_text(path, json.dumps(program_to_dict(program), indent=1) + "\n")


def load_program(path: str | Path) -> Program:
    """Read a program that :func:`save_program` wrote.

    Raises:
        ProgramError: not JSON, another schema version, or fields that do not fit.
        OSError: the file cannot be read.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ProgramError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise ProgramError(f"{path}: a program is a JSON object, not {type(data).__name__}")
    try:
        return program_from_dict(data)
    except ProgramError as error:
        raise ProgramError(f"{path}: {error}") from None
