"""Everything that the rules may look at, read once and handed to them as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.inspector.finding import Source
from training.inspector.history import Entry
from training.inspector.log import Log

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Saved predictions of one subset.

    Attributes:
        subset: train, val, test or another domain.
        classes: one name per column.
        probs: probabilities ``(samples, classes)``.
        truth: which classes are true ``(samples, classes)``.
        predicted: which classes are called ``(samples, classes)``.
        logits: ``(samples, classes)``, or None where they were not saved.
        keys: what identifies a sample, by name ``(samples,)``.
        exclusive: one class per sample; else labels are independent of each other.
        checkpoint: SHA-256 of the checkpoint that made them, or None where it is not said.
        modified: when the file was written, seconds since the epoch.
    """

    subset: str
    source: Source
    classes: tuple[str, ...]
    probs: FloatArray
    truth: BoolArray
    predicted: BoolArray
    logits: FloatArray | None
    keys: Mapping[str, NDArray[Any]]
    exclusive: bool
    checkpoint: str | None
    modified: float

    def __len__(self) -> int:
        return len(self.probs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A saved evaluation of one subset: figures, and the baselines beside them."""

    subset: str
    source: Source
    metrics: Mapping[str, Any]
    baselines: tuple[Mapping[str, Any], ...]
    checkpoint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Outputs of the training path and of the prediction path on the same samples.

    Attributes:
        pairs: what is compared, by name: two arrays of one shape.
        reason: why there is nothing to compare, where ``pairs`` is empty.
    """

    pairs: Mapping[str, tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=dict)
    source: Source | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A run of the group that shares a config.

    Attributes:
        name: of its directory.
        seed: of its config.
        figures: metric by subset and name, from its evaluation.
        test_hash: hash of the identity of its test samples, or None where it saved none.
    """

    name: str
    seed: int
    figures: Mapping[str, Mapping[str, float]]
    test_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """What stands in a run directory beside the log; everything may be missing."""

    meta: Mapping[str, Any] = field(default_factory=dict)
    meta_source: Source | None = None
    checkpoint: str | None = None
    checkpoint_modified: float | None = None
    num_parameters: tuple[int, Source] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known about a run.

    Attributes:
        own: the run directory is one of ours, which says when training has finished.
        ids: identity columns by subset and key, from files that the plan names.
        history: earlier runs, or None where no history was given.
    """

    run: str
    log: Log
    own: bool = False
    files: RunFiles = RunFiles()
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    probe: Probe = Probe(reason="no probe batch was saved")
    group: tuple[Member, ...] = ()
    ids: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    history: tuple[Entry, ...] | None = None

    @property
    def unfinished(self) -> bool:
        """One of our runs whose training has not come to its end."""
        return self.own and not self.files.meta
