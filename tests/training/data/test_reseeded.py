"""Samples divided by another seed are those that a run of that seed loads."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.synthetic import write_records
from training.workloads import workload


def check_reseeding(given):
    spec = workload("ecg")
    first = spec.load(spec.resolve({**given, "seed": 0}), lambda _: None)
    loaded = spec.load(spec.resolve({**given, "seed": 5}), lambda _: None)
    assert first.reseeded is not None
    again = first.reseeded(5)
    for name in ("train", "val", "test"):
        np.testing.assert_array_equal(again.subset(name), loaded.subset(name))
    assert again.facts == loaded.facts
    assert again.contract == loaded.contract
    for name, values in loaded.inputs.items():
        np.testing.assert_array_equal(again.inputs[name], values)
    return first, again


def test_records_are_divided_alike_whatever_the_seed(tmp_path):
    write_records(tmp_path / "records", num_records=3, minutes=0.5, seed=4)
    first, again = check_reseeding(
        {
            "data": tmp_path / "records",
            "student": "patch",
            "labels": "aami-binary",
            "split": "by-record",
        }
    )
    np.testing.assert_array_equal(first.split.val, again.split.val)


@pytest.mark.slow
def test_a_random_share_is_that_of_the_seed(mitdb_dir):
    first, again = check_reseeding({"data": mitdb_dir, "labels": "seed-binary", "split": "seed"})
    assert not np.array_equal(first.split.val, again.split.val)
