"""What every task of a sweep shares, and the task itself: counts of some chips at one point.

A task runs in this process, in a pool or on a cluster, and its result depends on none of that:
beats are read in fixed blocks, each with its own read noise, and counts are whole numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from photonic.decision import Decision
from photonic.files import atomic_directory
from photonic.profile import HardwareProfile
from photonic.program import Program
from photonic.program_io import load_program, program_to_dict, save_program
from photonic.tallies import tally
from photonic.threads import torch_threads

if TYPE_CHECKING:
    from photonic.sweep.grid import GridPoint

BEATS_PER_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepData:
    """What a sweep scores: inputs ``(n, tokens, channels)``, labels, decision rule and metric."""

    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray
    decision: Decision
    metric: str


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """A model, the beats it is given, and what is counted.

    Attributes:
        program: the model.
        inputs: ``(n, tokens, channels)`` by name.
        labels: true class ``(n,)``.
        decision: from logits to a class.
        tally: name of what is counted.
        on: torch device that tasks compute on.
    """

    program: Program
    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray
    decision: Decision
    tally: str
    on: str = "cpu"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that counts depend on, besides point and chips."""
        about = {
            "program": program_to_dict(self.program),
            "decision": self.decision.to_dict(),
            "tally": self.tally,
            "on": self.on.partition(":")[0],
            "beats_per_block": BEATS_PER_BLOCK,
            "versions": {name: version(name) for name in ("photonic-deploy", "torch", "numpy")},
        }
        hashed = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for name, array in sorted({**self.inputs, "": self.labels}.items()):
            hashed.update(f"{name}{array.dtype}{array.shape}".encode())
            hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()

    def key(self, point: GridPoint) -> str:
        """Name under which the counts of a point can be found again."""
        text = f"{self.digest} {point.profile.hash()} {point.seed}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job in a folder that workers can read; each maps the beats, so that they share memory."""

    folder: str

    def load(self) -> SweepJob:
        """The job, read once per process."""
        return _load(self.folder)


def store_job(job: SweepJob, folder: Path) -> StoredJob:
    """Write ``job`` to ``folder``, where it does not stand already."""
    if not folder.is_dir():
        with atomic_directory(folder) as temporary:
            save_program(job.program, temporary / "program.json")
            np.save(temporary / "labels.npy", job.labels)
            about = {
                "decision": job.decision.to_dict(),
                "tally": job.tally,
                "on": job.on,
                "inputs": list(job.inputs),
            }
            for i, array in enumerate(job.inputs.values()):
                np.save(temporary / f"input{i}.npy", array)
            (temporary / "job.json").write_text(json.dumps(about), encoding="utf-8")
    return StoredJob(folder=str(folder))


@lru_cache(maxsize=1)
def _load(folder: str) -> SweepJob:
    path = Path(folder)
    about = json.loads((path / "job.json").read_text(encoding="utf-8"))
    return SweepJob(
        program=load_program(path / "program.json"),
        inputs={
            name: np.load(path / f"input{i}.npy", mmap_mode="r", allow_pickle=False)
            for i, name in enumerate(about["inputs"])
        },
        labels=np.load(path / "labels.npy", allow_pickle=False),
        decision=Decision.from_dict(about["decision"]),
        tally=about["tally"],
        on=about["on"],
    )


def count_chips(
    job: SweepJob | StoredJob, profile: HardwareProfile, seed: int, chips: range
) -> np.ndarray:
    """Counts of each of ``chips`` over all beats, int64 ``(chips, *tally shape)``: one task.

    Raises:
        ProgramError: the program does not run on this hardware.
    """
    from photonic.simulate import simulate

    loaded = job.load() if isinstance(job, StoredJob) else job
    counting = tally(loaded.tally, len(loaded.decision.classes))
    total = np.zeros((len(chips), *counting.shape), dtype=np.int64)
    # One arithmetic thread: workers share the cores, and sums must not depend on their number.
    with torch_threads(1):
        for part, first in enumerate(range(0, len(loaded.labels), BEATS_PER_BLOCK)):
            block = slice(first, first + BEATS_PER_BLOCK)
            # A copy: mapped files are read-only, which torch warns about.
            inputs = {name: np.array(x[block]) for name, x in loaded.inputs.items()}
            logits = simulate(
                loaded.program, profile, inputs, chips=chips, seed=seed, part=part, on=loaded.on
            )
            total += counting.count(loaded.labels[block], logits, loaded.decision)
    return total
