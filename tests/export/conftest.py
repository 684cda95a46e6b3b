"""Small finished runs and bundles, made without training."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement

from export.run_directory import read_run
from export.write import write_bundle
from photonic.decision import Decision
from photonic.profile import HardwareProfile, load_profile
from photonic.program import Activation, Concat, Input, Layer, Linear, Patch, Program
from photonic.program_io import save_program
from photonic.students.patch import PatchConfig, patch_student
from photonic.students.segment import SegmentConfig, segment_student


def write_run(
    folder: Path, program: Program, *, num_samples: int = 24, seed: int = 0, **checkpoint: Any
) -> Path:
    """A run directory as training leaves it, with random inputs as its sample."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    save_program(program, folder / "program.json")
    (folder / "checkpoint.safetensors").write_bytes(b"weights")
    sample = {
        spec.name: generator.uniform(-1, 1, (num_samples, spec.tokens, spec.channels)).astype(
            np.float32
        )
        for spec in program.inputs
    }
    sample["label"] = generator.integers(0, program.num_classes, num_samples)
    sample["record"] = np.array(["100"] * num_samples)
    sample["sample"] = np.arange(num_samples) * 300
    np.savez(folder / "sample.npz", **sample)
    hashed = ("checkpoint.safetensors", "program.json", "sample.npz")
    classes = tuple("NVSO"[: program.num_classes])
    if len(classes) == 2:
        decision = Decision(kind="threshold", classes=classes, threshold=0.4)
    else:
        decision = Decision(kind="argmax", classes=classes)
    content = {
        "schema_version": 1,
        "workload": "ecg",
        "classes": classes,
        "decision": decision.to_dict(),
        "labels": "seed-binary",
        "split": {"name": "seed", "note": "", "num_train": 10, "num_val": 5, "num_test": 5},
        "input": {"fs_hz": 360, "window": 360, "names": [s.name for s in program.inputs]},
        "metrics": {"test": {"f1": 0.5}},
        "seed": 0,
        "profile": None,
        "epoch": 3,
        "versions": {"python": "3.11"},
        "sha256": {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in hashed},
    }
    (folder / "checkpoint.json").write_text(json.dumps(content | checkpoint))
    return folder


def segment_program(*, num_classes: int = 2, activation: str = "tanh", seed: int = 0) -> Program:
    """The segment-aware student as it is initialised."""
    config = SegmentConfig(num_classes=num_classes, activation=activation)
    return segment_student(config, torch.Generator().manual_seed(seed)).program()


def patch_program(*, num_classes: int = 2, seed: int = 0) -> Program:
    """The patch student as it is initialised: two inputs, a layer of twelve tiles."""
    config = PatchConfig(num_classes=num_classes)
    return patch_student(config, torch.Generator().manual_seed(seed)).program()


def tiled_program(*, num_classes: int = 3, seed: int = 0, gain: float = 1.7) -> Program:
    """Two inputs, layers of several tiles that the core's size does not divide: 6→5, 15→classes."""
    generator = np.random.default_rng(seed)

    def layer(name: str, out: int, fan_in: int) -> Layer:
        matrix = generator.uniform(-1, 1, (out, fan_in)).astype(np.float32)
        bias = generator.uniform(-1, 1, out).astype(np.float32)
        return Layer(name=name, matrix=matrix, bias=bias, gain=gain)

    return Program(
        inputs=(
            Input(name="beat", tokens=6, channels=2),
            Input(name="rhythm", tokens=1, channels=5),
        ),
        steps=(
            Patch(out="patches", source="beat", size=3, stride=3),
            Linear(out="sums", source="patches", layer="merge"),
            Activation(out="features", source="sums", kind="tanh"),
            Linear(out="rhythm_sums", source="rhythm", layer="rhythm"),
            Activation(out="rhythm_features", source="rhythm_sums", kind="identity"),
            Concat(out="tokens", sources=("features", "rhythm_features")),
            Patch(out="whole", source="tokens", size=3, stride=3),
            Linear(out="logits", source="whole", layer="head"),
        ),
        output="logits",
        layers={
            "merge": layer("merge", 5, 6),
            "rhythm": layer("rhythm", 5, 5),
            "head": layer("head", num_classes, 15),
        },
    )


def profile_with_bits(bits: int, base: str = "generic_8bit") -> HardwareProfile:
    """A shipped profile with all three converters of one width."""
    profile = load_profile(base)
    for stage in ("weight", "input", "output"):
        profile = profile.with_value(f"{stage}.bits", bits)
    return profile


@pytest.fixture(scope="session", name="make_run")
def make_run_fixture() -> Callable[..., Path]:
    """:func:`write_run`."""
    return write_run


@pytest.fixture(scope="session", name="segment_program")
def segment_program_fixture() -> Callable[..., Program]:
    """:func:`segment_program`."""
    return segment_program


@pytest.fixture(scope="session", name="patch_program")
def patch_program_fixture() -> Callable[..., Program]:
    """:func:`patch_program`."""
    return patch_program


@pytest.fixture(scope="session", name="tiled_program")
def tiled_program_fixture() -> Callable[..., Program]:
    """:func:`tiled_program`."""
    return tiled_program


@pytest.fixture(scope="session", name="bits_profile")
def bits_profile_fixture() -> Callable[..., HardwareProfile]:
    """:func:`profile_with_bits`."""
    return profile_with_bits


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the segment-aware student."""
    return write_run(tmp_path_factory.mktemp("runs") / "segment", segment_program())


@pytest.fixture(scope="session")
def lab_bundle(tmp_path_factory: pytest.TempPathFactory, run_dir: Path) -> Path:
    """Its bundle for the lab's 5-bit profile; not to be changed."""
    path = tmp_path_factory.mktemp("bundles") / "lab"
    write_bundle(read_run(run_dir), load_profile("lab_ecg_5bit"), path)
    return path


_BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
{code}
"""


def in_base_install(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a new interpreter that has the base install and nothing else of this one.

    What the base install has stands in the package's own metadata; no other module is importable.
    """
    text = _BLOCK.format(absent=absent_modules(), code=code)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


def command_in_base_install(*words: object) -> subprocess.CompletedProcess[str]:
    """Run ``photonic WORDS…`` there."""
    given = [str(word) for word in words]
    return in_base_install(f"from photonic.cli.main import run\nsys.exit(run({given!r}))")


@cache
def absent_modules() -> frozenset[str]:
    """Top-level modules that are installed here and not in the base install."""
    there = base_distributions()
    return frozenset(
        module
        for module, distributions in packages_distributions().items()
        if not there & {_normalised(name) for name in distributions}
    )


def base_distributions() -> set[str]:
    """The package, what it requires without extras, and what that requires."""
    found: set[str] = set()
    pending = ["photonic-deploy"]
    while pending:
        name = _normalised(pending.pop())
        if name in found:
            continue
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        requirements = map(Requirement, lines)
        pending += [
            r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})
        ]
    return found


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="session", name="in_base_install")
def in_base_install_fixture() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """:func:`in_base_install`."""
    return in_base_install


@pytest.fixture(scope="session", name="command_in_base_install")
def command_in_base_install_fixture() -> Callable[..., subprocess.CompletedProcess[str]]:
    """:func:`command_in_base_install`."""
    return command_in_base_install
