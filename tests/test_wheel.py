"""The wheel carries the four packages and nothing else, and works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PACKAGES = {"photonic", "training", "export", "hw_profiles"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository) -> Path:
    """A wheel built from the checkout with what is installed, so without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    done = subprocess.run([*command, repository], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def members(wheel) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_top_level_names(members):
    names = {member.partition("/")[0] for member in members}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES
    assert len(names) == len(PACKAGES) + 1


def test_every_module_and_profile_of_the_checkout_is_in_it(members, repository):
    files = {
        str(path.relative_to(repository))
        for package in PACKAGES
        for suffix in ("*.py", "*.toml", "py.typed", "*.schema.json")
        for path in (repository / package).rglob(suffix)
    }
    assert files - set(members) == set()


def test_no_tests_caches_or_data_are_in_it(members):
    odd = [
        name for name in members if not name.endswith((".py", ".toml", "py.typed", ".schema.json"))
    ]
    assert all(".dist-info/" in name for name in odd), odd


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """``bin`` folder of a fresh environment with the wheel.

    The dependencies are those of the running environment, through a path entry, so that nothing
    is downloaded. Path files inside that entry, such as the one of an editable install, have no
    effect there: the packages can only come from the wheel.
    """
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, with_pip=False)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = environment / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index"]
    subprocess.run([*command, "--no-deps", "--quiet", wheel], check=True)
    return environment / "bin"


def run_elsewhere(command: list, folder: Path) -> str:
    """What a command prints there, wherever this interpreter takes its modules from."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=plain, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_wheel_lists_its_profiles_from_another_folder(installed, tmp_path, repository):
    code = "import photonic, hw_profiles; print(photonic.__file__, hw_profiles.__file__)"
    for origin in run_elsewhere([installed / "python", "-c", code], tmp_path).split():
        assert not Path(origin).is_relative_to(repository)
        assert Path(origin).is_relative_to(installed.parent)
    listed = run_elsewhere([installed / "photonic", "profiles", "list"], tmp_path)
    for profile in (repository / "hw_profiles").glob("*.toml"):
        assert profile.stem in listed


def test_an_installed_wheel_runs_the_demo_from_another_folder(installed, tmp_path):
    answers = json.loads(run_elsewhere([installed / "photonic", "demo", "--json"], tmp_path))
    assert answers["verify"]["verdict"] == "pass"
    assert answers["verify"]["quantized_lsb_mismatches"] == 0
    assert answers["check"]["verdict"] != "fail"
    assert answers["stream"]["num_beats"] > 400
    assert (tmp_path / "photonic-demo" / "bundle" / "manifest.json").is_file()
