"""What makes a sample this sample: keys that no two splits may share, and a hash over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROW = "row"
"""Key of the whole sample, made of its record and its place there unless it was saved."""
FOLD = "fold"
"""Key of out-of-fold predictions: the fold that held a sample out. It identifies nothing."""
GROUP_KEYS = ("patient", "record", "pair", "chrom", "chromosome", "cell", ROW, FOLD)
"""Keys of identity by name; ``sample`` says where in a record and identifies nothing alone."""


def identity_keys(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The identity columns among some arrays ``(samples,)``, with the row where it follows."""
    keys = {name: arrays[name] for name in GROUP_KEYS if name in arrays}
    if ROW not in keys and {"record", "sample"} <= arrays.keys():
        records = np.char.add(arrays["record"].astype(str), "@")
        keys[ROW] = np.char.add(records, arrays["sample"].astype(str))
    return keys


def rows_hash(rows: Iterable[str]) -> str:
    """SHA-256 over the sorted names of rows: the same for the same samples in any order."""
    digest = hashlib.sha256()
    for row in sorted(rows):
        digest.update(row.encode() + b"\n")
    return digest.hexdigest()


def split_hash(rows: Mapping[str, Iterable[str]]) -> str:
    """Hash of a split: which rows belong to which subset.

    Args:
        rows: names of the rows (``record@sample``) of each subset.
    """
    return rows_hash(f"{subset} {rows_hash(names)}" for subset, names in rows.items())
