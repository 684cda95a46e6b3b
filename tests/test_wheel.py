"""The wheel carries the four packages and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
        for suffix in ("*.py", "*.toml", "py.typed")
        for path in (repository / package).rglob(suffix)
    }
    assert files - set(members) == set()


def test_no_tests_caches_or_data_are_in_it(members):
    odd = [name for name in members if not name.endswith((".py", ".toml", "py.typed"))]
    assert all(".dist-info/" in name for name in odd), odd
