"""Importing the core, or asking for help, loads no heavy library: seen in a new interpreter."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import photonic
from photonic.cli.main import COMMANDS

PERIPHERAL = {"brevitas", "onnx", "onnxruntime", "wfdb", "pandas", "matplotlib"}
HEAVY = PERIPHERAL | {"torch", "scipy", "sklearn"}
TORCH_FREE = [
    "errors", "units", "files", "threads", "beats", "rhythm",
    "program", "execute", "quantize", "profile", "decision",
]  # fmt: skip
TORCH_CORE = ["layers", "simulate", "chips", "devices.generic", "students.segment"]

REPORT = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
HELP = """
from photonic.cli.main import run
assert run(["--help"]) == 0
print()
"""


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after ``code`` ran in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_importing_photonic_loads_nothing_heavy():
    assert not loaded_by("import photonic") & (HEAVY | {"numpy", "pydantic"})


def test_the_check_reports_heavy_imports():
    assert loaded_by("import wfdb") & HEAVY


def test_the_torch_free_part_loads_no_torch():
    code = "\n".join(f"import photonic.{module}" for module in TORCH_FREE)
    assert not loaded_by(code) & HEAVY


@pytest.mark.slow
def test_the_core_loads_torch_and_nothing_peripheral():
    loaded = loaded_by("\n".join(f"import photonic.{module}" for module in TORCH_CORE))
    assert "torch" in loaded
    assert not loaded & PERIPHERAL


def test_help_loads_nothing_heavy():
    assert not loaded_by(HELP) & (HEAVY | {"numpy", "pydantic", "rich"})


@pytest.fixture(scope="module")
def loaded_for_help() -> dict[str, set[str]]:
    """What is in memory after the help of each command, in one interpreter, one after the other."""
    code = f"""
import json, sys
from photonic.cli.main import run
loaded = {{}}
for command in {list(COMMANDS)!r}:
    assert run([command, "--help"]) == 0
    loaded[command] = sorted({{name.partition(".")[0] for name in sys.modules}})
print()
print(json.dumps(loaded))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    return {command: set(names) for command, names in answer.items()}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_loads_no_torch(loaded_for_help, command):
    assert not loaded_for_help[command] & HEAVY


@pytest.mark.parametrize("name", photonic.__all__)
def test_public_names_resolve(name):
    assert getattr(photonic, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'pickle_everything'"):
        photonic.pickle_everything  # noqa: B018


def test_public_names_are_those_of_their_modules():
    for name, module in photonic._MODULE_OF_NAME.items():
        assert getattr(photonic, name) is getattr(importlib.import_module(module), name)
