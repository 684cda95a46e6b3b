"""What every test can rely on: one arithmetic thread, the real records where they are at hand."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

# NumPy and torch, not imported yet, read these: two workers with one thread each fill two cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# Timing depends on what else the machine does; laws do not. Every run draws other examples.
settings.register_profile("photonic", deadline=None, max_examples=25)
settings.load_profile("photonic")

# A tenth of the time went into walks through the libraries' objects, which stay anyway.
gc.set_threshold(50_000, 20, 100)

REPOSITORY = Path(__file__).parent.parent


def pytest_collection_finish() -> None:
    """What was imported and collected is no garbage: the collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _beats_cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither use nor fill the user's cache of beats."""
    os.environ["PHOTONIC_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def mitdb_dir() -> Path:
    """The MIT-BIH records: ``mitdb/`` in $PHOTONIC_DATA, else in ../shared/data of the checkout."""
    data = Path(os.environ.get("PHOTONIC_DATA", REPOSITORY.parent / "shared" / "data"))
    folder = data / "mitdb"
    if not (folder / "100.hea").is_file():
        pytest.skip(f"no MIT-BIH records in {folder}; set PHOTONIC_DATA to the folder above them")
    return folder
