"""Data for a bundle is read as the manifest says, and refused where it does not fit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export.bundle import Bundle, open_bundle
from photonic.cli.bundle_data import bundle_data
from photonic.errors import ConfigError, DataError


@pytest.fixture
def bundle(lab_bundle: Path) -> Bundle:
    return open_bundle(lab_bundle)


@pytest.fixture
def asked(monkeypatch) -> dict:
    """What the workload is asked for; its data are five beats, three of them for testing."""
    seen: dict = {"inputs": {"beat": np.zeros((5, 360, 1), np.float32)}, "test": [0, 2, 4]}

    def load(config: dict, on_source: object) -> SimpleNamespace:
        return SimpleNamespace(
            inputs=seen["inputs"],
            label=np.arange(5),
            split=SimpleNamespace(name="seed"),
            subset=lambda name: np.array(seen[name], dtype=int),
        )

    def workload(name: str) -> SimpleNamespace:
        seen["workload"] = name
        return SimpleNamespace(resolve=lambda given: seen.update(given), load=load)

    monkeypatch.setattr("training.workloads.workload", workload)
    return seen


def test_without_data_it_is_the_reference_sample(bundle):
    data = bundle_data(bundle, None, None)
    assert data.inputs is None
    assert data.source == "reference sample of the bundle"
    with pytest.raises(ConfigError, match="give the folder with --data"):
        bundle_data(bundle, None, "val")


def test_data_are_read_as_in_training(bundle, asked, tmp_path):
    data = bundle_data(bundle, tmp_path, None)
    assert list(data.label) == [0, 2, 4]
    assert data.inputs["beat"].shape == (3, 360, 1)
    assert data.source == f"test samples of {tmp_path}"
    assert (asked["workload"], asked["labels"], asked["split"]) == ("ecg", "seed-binary", "seed")
    assert (asked["seed"], asked["data"]) == (0, tmp_path)


def test_data_that_do_not_fit(bundle, asked, tmp_path):
    asked["inputs"] = {"image": np.zeros((5, 4, 1), np.float32)}
    with pytest.raises(ConfigError, match="takes beat; the data gives image"):
        bundle_data(bundle, tmp_path, "test")
    asked["test"] = []
    with pytest.raises(DataError, match="split seed has no test samples"):
        bundle_data(bundle, tmp_path, "test")
