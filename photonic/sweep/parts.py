"""Counts on disk, so that a sweep which was interrupted goes on where it stopped.

A part is the counts of some consecutive chips at one point, in a file that appears whole or not at
all. Its folder is named after everything that the counts depend on: a sweep takes what fits from
there, be it cut in other chunks, over more points or of more chips, and leaves the rest alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from photonic.files import atomic_write

_NAME = re.compile(r"(\d+)-(\d+)\.npy")


class PartStore:
    """Parts below one folder.

    Args:
        folder: made when the first part is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, key: str, chips: range, counts: np.ndarray) -> None:
        """Keep the counts ``(len(chips), ...)`` of ``chips`` at the point ``key``."""
        with atomic_write(self.folder / key / f"{chips.start}-{chips.stop}.npy") as path:
            np.save(path, counts)

    def load(self, key: str, counts: np.ndarray) -> np.ndarray:
        """Fill ``counts (chips, ...)`` with what is there; which chips are, bool ``(chips,)``.

        A part that is damaged or of another shape is passed over: its chips are counted again.
        """
        done = np.zeros(len(counts), dtype=bool)
        folder = self.folder / key
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match is None:
                continue
            first, stop = int(match[1]), int(match[2])
            part = _read(path)
            if part is None or part.shape != (stop - first, *counts.shape[1:]):
                continue
            chips = slice(first, min(stop, len(counts)))
            counts[chips] = part[: max(0, len(counts) - first)]
            done[chips] = True
        return done


def _read(path: Path) -> np.ndarray | None:
    try:
        part = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return part if part.dtype == np.int64 else None
