"""``python -m photonic.kernels.compile_all`` compiles every kernel, so that no first run waits."""

from __future__ import annotations

import importlib
import importlib.util
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click

from photonic.threads import available_cores

PACKAGES = ("photonic", "training")
SUFFIX = "_kernel.py"


def kernel_modules() -> list[str]:
    """Full names of all modules of compiled functions, the largest first."""
    files: dict[str, int] = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            for file in folder.rglob(f"*{SUFFIX}"):
                name = ".".join((package, *file.relative_to(folder).with_suffix("").parts))
                files[name] = file.stat().st_size
    return sorted(files, key=lambda name: -files[name])


def main() -> None:
    """Import each of them, which compiles it and keeps the result on disk."""
    if importlib.util.find_spec("numba") is None:
        click.echo("numba is not installed: torch's operations take the place of the kernels")
        return
    modules = kernel_modules()
    workers = min(available_cores(), len(modules))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for module in pool.map(_import, modules):
            click.echo(f"compiled {module}")


def _import(module: str) -> str:
    importlib.import_module(module)
    return module


if __name__ == "__main__":
    main()
