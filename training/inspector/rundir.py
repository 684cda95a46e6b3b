"""What stands in a run directory beside the log: checkpoint, configuration, evaluations, siblings.

Everything may be missing: the rules say what that means. What is there but damaged is an error.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from photonic.decision import Decision
from photonic.errors import ConfigError, RunError
from training.inspector.evidence import Evaluation, Member, RunFiles
from training.inspector.finding import Source
from training.inspector.history import public
from training.inspector.identity import ROW, identity_keys, rows_hash
from training.inspector.predictions import PREFIX, read_arrays

META, WEIGHTS, CONFIG = "checkpoint.json", "checkpoint.safetensors", "config.toml"
EVALUATION = "evaluation_"
MOST_SIBLINGS = 256


def read_files(folder: Path) -> RunFiles:
    """Everything beside log and predictions.

    Raises:
        RunError: a file that is damaged.
    """
    meta = read_object(folder / META) if (folder / META).is_file() else {}
    weights = folder / WEIGHTS
    there = weights.is_file()
    return RunFiles(
        meta=meta,
        meta_source=Source(META) if meta else None,
        checkpoint=_sha256(weights) if there else None,
        checkpoint_modified=weights.stat().st_mtime if there else None,
        num_parameters=_num_parameters(meta, weights),
        config=read_config(folder),
        evaluations=_evaluations(folder, meta),
    )


def read_decision(meta: Mapping[str, Any]) -> Decision | None:
    """The decision that a checkpoint states.

    Raises:
        RunError: one that makes no sense.
    """
    if "decision" not in meta:
        return None
    try:
        return Decision.from_dict(meta["decision"])
    except (ConfigError, AttributeError, TypeError) as error:
        raise RunError(f"{META}: {error}") from None


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        RunError: unreadable, not JSON, or no object.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"{file}: not readable JSON: {error}") from None
    if not isinstance(data, dict):
        raise RunError(f"{file}: {type(data).__name__}; expected one JSON object")
    return data


def read_config(folder: Path) -> dict[str, Any]:
    """The leaves of ``config.toml`` by name; empty where there is none.

    Raises:
        RunError: not TOML.
    """
    file = folder / CONFIG
    if not file.is_file():
        return {}
    try:
        return dict(_leaves(tomllib.loads(file.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"{file}: not valid TOML: {error}") from None


def find_group(folder: Path) -> tuple[Member, ...]:
    """The finished runs beside this one, itself included, that share its configuration.

    Seed and places (data, output, device) may differ. A sibling that cannot be read is none.

    Raises:
        RunError: this run's own files are damaged.
    """
    own = read_config(folder)
    if not own or "seed" not in own or not (folder / META).is_file():
        return ()
    wanted, members = public(own), [_member(folder, own)]
    siblings = sorted(path for path in folder.absolute().parent.iterdir() if path.is_dir())
    for path in siblings[:MOST_SIBLINGS]:
        if path == folder.absolute() or not (path / META).is_file():
            continue
        try:
            config = read_config(path)
            if public(config) == wanted and "seed" in config:
                members.append(_member(path, config))
        except (RunError, ValueError):
            continue
    return tuple(sorted(members, key=lambda member: (member.seed, member.name)))


def _member(folder: Path, config: Mapping[str, Any]) -> Member:
    metrics = read_object(folder / META).get("metrics", {})
    figures = {
        str(subset): {k: float(v) for k, v in values.items() if isinstance(v, (int, float))}
        for subset, values in metrics.items()
        if isinstance(values, dict)
    }
    return Member(
        name=folder.absolute().name,
        seed=int(config["seed"]),
        figures=figures,
        test_hash=_test_hash(folder),
    )


def _test_hash(folder: Path) -> str | None:
    file = folder / f"{PREFIX}test.npz"
    if not file.is_file():
        return None
    keys = identity_keys(read_arrays(file))
    return rows_hash(keys[ROW].astype(str).tolist()) if ROW in keys else None


def _leaves(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, value in table.items():
        leaves += _leaves(value) if isinstance(value, Mapping) else [(name, value)]
    return leaves


def _evaluations(folder: Path, meta: Mapping[str, Any]) -> dict[str, Evaluation]:
    """Evaluations by subset: their own files, else what the checkpoint states."""
    found: dict[str, Evaluation] = {}
    for file in sorted(folder.glob(f"{EVALUATION}*.json")):
        subset = file.stem.removeprefix(EVALUATION)
        data = read_object(file)
        rows = data.get("baselines") or ()
        found[subset] = Evaluation(
            subset=subset,
            source=Source(file.name),
            metrics=data.get("metrics") or {},
            baselines=tuple(row for row in rows if isinstance(row, dict)),
            checkpoint=data.get("checkpoint"),
        )
    stated = meta.get("metrics")
    for subset, metrics in (stated if isinstance(stated, dict) else {}).items():
        if isinstance(metrics, dict) and subset not in found:
            found[subset] = Evaluation(
                subset=subset, source=Source(META), metrics=metrics, baselines=(), checkpoint=None
            )
    return found


def _num_parameters(meta: Mapping[str, Any], weights: Path) -> tuple[int, Source] | None:
    stated = meta.get("num_parameters")
    if isinstance(stated, int):
        return stated, Source(META)
    if not weights.is_file():
        return None
    try:
        with safe_open(weights, framework="numpy") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    except SafetensorError as error:
        raise RunError(f"{weights}: damaged: {error}") from None
    return int(sum(np.prod(shape, dtype=np.int64) for shape in shapes)), Source(WEIGHTS)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
