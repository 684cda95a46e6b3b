"""Against ``bxb`` itself, where the WFDB Software Package is installed (the product needs it not).

Every record of MIT-BIH, its reference annotations against perturbed copies: shifted, relabelled,
thinned out, with extra beats, shutdowns and flutter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import wfdb

from training.data.labels import is_beat, label_map
from training.data.records import Annotations, list_records, read_annotations, read_header
from training.ec57 import beat_marks, match

BXB = shutil.which("bxb")
EC57 = label_map("aami-5", escape="S")
JITTER = (0, 10, 40, 80)


def perturbed(annotations: Annotations, jitter: float, rng: np.random.Generator) -> Annotations:
    samples, symbols = annotations.samples.copy(), annotations.symbols.copy()
    beat = is_beat(symbols, samples, "a")
    samples[beat] += np.rint(rng.normal(0.0, jitter, beat.sum())).astype(np.int64)
    wrong = beat & (rng.random(len(samples)) < 0.2)
    symbols[wrong] = rng.choice(list("NAVFQ"), wrong.sum())
    kept = ~beat | (rng.random(len(samples)) > 0.07)
    extra = rng.integers(1, samples.max(), 150)
    unreadable = rng.integers(1, samples.max() - 3000, 4)
    flutter = rng.integers(1, samples.max() - 3000, 1)
    parts = [
        (samples[kept], symbols[kept], annotations.subtypes[kept]),
        (extra, rng.choice(list("NAVFQ"), len(extra)), np.zeros(len(extra), np.int64)),
        (unreadable, np.repeat("~", 4), np.repeat(0x33, 4)),
        (unreadable + 2900, np.repeat("~", 4), np.repeat(0, 4)),
        (flutter, np.array(["["]), np.array([0])),
        (flutter + 2900, np.array(["]"]), np.array([0])),
    ]
    samples, symbols, subtypes = (np.concatenate(column) for column in zip(*parts, strict=True))
    samples, first = np.unique(np.clip(samples, 1, None), return_index=True)
    return Annotations(samples=samples, symbols=symbols[first], subtypes=subtypes[first])


def bxb(folder: Path, record: str) -> np.ndarray:
    """The matrix that ``bxb -S`` prints: rows N S V F Q O X, columns n s v f q o x."""
    report = subprocess.run(
        [str(BXB), "-r", record, "-a", "atr", "tst", "-S", "-"],
        cwd=folder,
        env={**os.environ, "WFDB": "."},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = [line.split("|") for line in report.splitlines() if "|" in line]
    counts = np.zeros((7, 7), dtype=np.int64)
    for name, values in rows:
        numbers = [int(value) for value in values.split()]
        counts["NSVFQOX".index(name.strip()), : len(numbers)] = numbers
    return counts


@pytest.mark.slow
@pytest.mark.skipif(BXB is None, reason="bxb of the WFDB Software Package is not installed")
@pytest.mark.parametrize("jitter", JITTER)
def test_matrices_are_those_of_bxb(mitdb_dir, tmp_path, jitter):
    rng = np.random.default_rng(jitter)
    for name in list_records(mitdb_dir):
        header = read_header(mitdb_dir, name)
        reference = read_annotations(mitdb_dir, header)
        test = perturbed(reference, jitter, rng)
        for suffix in ("hea", "atr"):
            shutil.copy(mitdb_dir / f"{name}.{suffix}", tmp_path)
        wfdb.wrann(
            name,
            "tst",
            test.samples,
            symbol=test.symbols.tolist(),
            subtype=test.subtypes,
            fs=360,
            write_dir=str(tmp_path),
        )
        marks = [beat_marks(a, EC57, name) for a in (reference, test)]
        counts = match(*marks, num_samples=header.num_samples)
        np.testing.assert_array_equal(counts, bxb(tmp_path, name), err_msg=name)
