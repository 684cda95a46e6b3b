"""A run directory that is damaged, incomplete or of another kind is refused by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.run_directory import read_run
from photonic.errors import RunError
from photonic.execute import run_float
from photonic.program import Program
from photonic.program_io import save_program


@pytest.fixture
def run(make_run, tiled_program, tmp_path) -> Path:
    return make_run(tmp_path / "run", tiled_program())


def edit(run: Path, **values: Any) -> None:
    checkpoint = json.loads((run / "checkpoint.json").read_text())
    (run / "checkpoint.json").write_text(json.dumps(checkpoint | values))


def rehash(run: Path) -> None:
    names = ("checkpoint.safetensors", "program.json", "sample.npz")
    edit(run, sha256={n: hashlib.sha256((run / n).read_bytes()).hexdigest() for n in names})


def test_a_sound_run_is_read(run):
    read = read_run(run)
    assert read.program.num_classes == 3
    assert set(read.sample.inputs) == {"beat", "rhythm"}
    assert set(read.sample.about) == {"label", "record", "sample"}


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "program.json", "sample.npz"])
def test_damaged_and_missing_files_are_named(run, name):
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RunError, match=rf"{name}: damaged or changed"):
        read_run(run)
    (run / name).unlink()
    with pytest.raises(RunError, match=rf"{name}: missing"):
        read_run(run)


def test_no_run(tmp_path, run):
    with pytest.raises(RunError, match="no such folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"no checkpoint\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema_version": 7}, "another schema version.*this release reads 1"),
        ({"classes": ["N"]}, "classes"),
        ({"classes": ["N", "V"]}, "3 logits, 2 classes"),
        ({"decision": {"kind": "dice", "classes": ["N", "V", "S"]}}, "decision 'dice'"),
        ({"sha256": {}}, r"no SHA-256 of checkpoint\.safetensors"),
        ({"split": 3}, "split"),
    ],
)
def test_a_checkpoint_that_does_not_fit(run, values, message):
    edit(run, **values)
    with pytest.raises(RunError, match=message):
        read_run(run)


def test_checkpoint_is_not_json(run):
    (run / "checkpoint.json").write_text("{")
    with pytest.raises(RunError, match="Invalid JSON"):
        read_run(run)


def test_a_program_of_another_version(run):
    program = json.loads((run / "program.json").read_text()) | {"schema_version": 2}
    (run / "program.json").write_text(json.dumps(program))
    rehash(run)
    with pytest.raises(RunError, match="program of schema version 2"):
        read_run(run)


def test_values_that_have_no_code_and_names_that_are_no_file_names(run, tiled_program):
    program = tiled_program()
    layers = dict(program.layers)
    layers["head"] = dataclasses.replace(layers["head"], bias=layers["head"].bias * np.nan)
    bad = Program(inputs=program.inputs, steps=program.steps, output=program.output, layers=layers)
    save_program(bad, run / "program.json")
    rehash(run)
    with pytest.raises(RunError, match="layer 'head' holds a NaN"):
        read_run(run)
    text = json.dumps(json.loads((run / "program.json").read_text())).replace("head", "../head")
    (run / "program.json").write_text(text)
    rehash(run)
    with pytest.raises(RunError, match=r"name '\.\./head': only letters"):
        read_run(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("rhythm"), "input 'rhythm' is missing"),
        (lambda s: s.update(beat=s["beat"][:, :5]), r"it must end in \(6, 2\)"),
        (lambda s: s.update(beat=s["beat"].astype(np.float64)), "must be float32"),
        (lambda s: s.update(beat=s["beat"][:3]), "one n for all"),
    ],
)
def test_a_sample_that_does_not_fit(run, change, message):
    arrays = dict(np.load(run / "sample.npz"))
    change(arrays)
    np.savez(run / "sample.npz", **arrays)
    rehash(run)
    with pytest.raises(RunError, match=message):
        read_run(run)


def test_a_sample_that_would_have_to_be_unpickled(run):
    np.savez(run / "sample.npz", beat=np.array([{}], dtype=object))
    rehash(run)
    with pytest.raises(RunError, match="not an archive of NumPy arrays"):
        read_run(run)


def test_logits_of_the_trained_model_must_come_out_again(run):
    arrays = dict(np.load(run / "sample.npz"))
    sound = read_run(run)
    logits = run_float(sound.program, sound.sample.inputs)
    np.savez(run / "sample.npz", logits=logits.astype(np.float32), **arrays)
    rehash(run)
    read_run(run)
    size = max(1.0, float(np.abs(logits).max()))
    np.savez(run / "sample.npz", logits=logits + 1e-3 * size, **arrays)
    rehash(run)
    with pytest.raises(RunError, match=r"differ by 0\.001 of their size from the trained"):
        read_run(run)
