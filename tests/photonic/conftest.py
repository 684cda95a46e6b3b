"""A small model, beats that it labels itself, and its bundle: its float decisions are the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from export.run_directory import read_run
from export.write import write_bundle
from photonic.decision import Decision
from photonic.execute import run_float
from photonic.profile import load_profile
from photonic.program import Activation, Input, Layer, Linear, Mean, Patch, Program, Unit
from photonic.program_io import save_program
from photonic.students import SegmentConfig, segment_student
from photonic.sweep import SweepData


def two_layers(seed: int, *, fan_in: int = 4, kind: str = "tanh") -> Program:
    """Patches of 24 samples, a layer, a mean, a head of three classes: every kind of arithmetic."""
    rng = np.random.default_rng(seed)

    def layer(name: str, out: int, width: int) -> Layer:
        return Layer(
            name=name,
            matrix=rng.uniform(-1, 1, (out, width)).astype(np.float32),
            bias=rng.uniform(-1, 1, out).astype(np.float32),
            gain=float(rng.uniform(0.2, 4)),
        )

    steps = [
        Patch(out="patches", source="beat", size=fan_in, stride=fan_in),
        Linear(out="sums", source="patches", layer="encoder"),
        Activation(out="features", source="sums", kind=kind),
        Mean(out="pooled", source="features", ranges=((0, 24 // fan_in),)),
    ]
    if kind == "relu":
        steps.append(Unit(out="unit", source="pooled"))
    steps.append(Linear(out="logits", source=steps[-1].out, layer="head"))
    return Program(
        inputs=(Input(name="beat", tokens=24, channels=1),),
        steps=tuple(steps),
        output="logits",
        layers={"encoder": layer("encoder", 4, fan_in), "head": layer("head", 3, 4)},
    )


@pytest.fixture(scope="session", name="two_layers")
def two_layers_fixture() -> Callable[..., Program]:
    """:func:`two_layers`."""
    return two_layers


@pytest.fixture(scope="session")
def sweep_model() -> tuple[Program, SweepData]:
    """A student and 300 beats with as many of either class."""
    student = segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(0))
    program = student.program()
    rng = np.random.default_rng(0)
    beats = np.cumsum(rng.standard_normal((300, 360, 1)), axis=1)
    beats = (beats / np.abs(beats).max(axis=1, keepdims=True)).astype(np.float32)
    logits = run_float(program, {"beat": beats}, np.float32)
    margin = np.median(logits[:, 1] - logits[:, 0])
    threshold = float(1 / (1 + np.exp(-margin)))
    decision = Decision(kind="threshold", classes=("N", "A"), threshold=threshold)
    data = SweepData(
        inputs={"beat": beats}, labels=decision(logits), decision=decision, metric="f1"
    )
    return program, data


@pytest.fixture(scope="session")
def small_bundle(sweep_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that student for ``generic_8bit`` with 40 of the beats; not to be changed."""
    program, data = sweep_model
    folder = tmp_path_factory.mktemp("small")
    run = folder / "run"
    run.mkdir()
    save_program(program, run / "program.json")
    (run / "checkpoint.safetensors").write_bytes(b"weights")
    np.savez(
        run / "sample.npz",
        beat=data.inputs["beat"][:40],
        label=data.labels[:40],
        record=np.array(["100"] * 40),
        sample=np.arange(40) * 300,
    )
    hashed = ("checkpoint.safetensors", "program.json", "sample.npz")
    checkpoint = {
        "schema_version": 1,
        "workload": "ecg",
        "classes": data.decision.classes,
        "decision": data.decision.to_dict(),
        "labels": "seed-binary",
        "split": {"name": "by-record", "note": "", "num_train": 10, "num_val": 5, "num_test": 5},
        "input": {"fs_hz": 360, "window": 360, "names": ["beat"]},
        "metrics": {"test": {"f1": 0.5}},
        "seed": 0,
        "profile": None,
        "epoch": 3,
        "versions": {"python": "3.11"},
        "sha256": {n: hashlib.sha256((run / n).read_bytes()).hexdigest() for n in hashed},
    }
    (run / "checkpoint.json").write_text(json.dumps(checkpoint))
    write_bundle(read_run(run), load_profile("generic_8bit"), folder / "bundle")
    return folder / "bundle"
