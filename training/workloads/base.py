"""What a workload is: data, student and defaults; loop and run directory know only this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from photonic.students import Student
from training.config import RunConfig, resolve_config
from training.data.splits import Split
from training.loop import BatchTransform
from training.options import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Samples of a workload in memory.

    Attributes:
        inputs: each program input by name, float32 ``(n, tokens, channels)`` in [-1, 1].
        label: class index ``(n,)``.
        record: name of the record (patient, table, …) of each sample, ``(n,)``.
        sample: where in the record, ``(n,)``.
        classes: class names, the normal one first.
        split: who trains, chooses and tests.
        labels: name of the label map.
        contract: what an input is, for whoever feeds the exported model.
        baseline_features: features ``(n, k)`` by the name of the baseline that sees only them.
        facts: what the start of the log says about the data.
        reseeded: the same samples as a run of another seed divides them; None where only loading
            them again tells.
    """

    inputs: Mapping[str, np.ndarray]
    label: np.ndarray
    record: np.ndarray
    sample: np.ndarray
    classes: tuple[str, ...]
    split: Split
    labels: str
    contract: Mapping[str, Any]
    baseline_features: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    reseeded: Callable[[int], Dataset] | None = None

    def subset(self, name: str) -> np.ndarray:
        """Indices of ``train``, ``val``, ``test`` or ``all``.

        With folds every selection sample trains the final student and validates one of the fold
        students, so it is in ``train`` and in ``val``. Beats of a companion lead are learned from
        but never scored.
        """
        if name == "all":
            return np.setdiff1d(np.arange(len(self.label)), self.split.companions)
        if name != "test" and self.split.folds:
            return self.split.selection
        train = np.setdiff1d(self.split.train, self.split.companions)
        return {"train": train, "val": self.split.val, "test": self.split.test}[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of task: how its data is read and its student built.

    Attributes:
        name: ``photonic train NAME``.
        config: its configuration.
        recipes: defaults by recipe, by leaf name, from the options given.
        classes: class names from the options given, before any data is read.
        load: the data; the second argument is called with the name of each source that is done.
        build: a fresh student for that many classes.
        transform: what changes the inputs of every training batch, if anything does.
    """

    name: str
    config: type[RunConfig]
    recipes: Callable[[Mapping[str, Any]], Mapping[str, Mapping[str, Any]]]
    classes: Callable[[Mapping[str, Any]], tuple[str, ...]]
    load: Callable[[Any, Callable[[str], None]], Dataset]
    build: Callable[[Any, int, torch.Generator], Student]
    transform: Callable[[Any], BatchTransform | None] = lambda config: None

    def resolve(self, given: Mapping[str, Any]) -> RunConfig:
        """The complete configuration from what the user gave, by leaf name.

        Raises:
            ConfigError: unknown names, bad values or contradictions.
        """
        classes = self.classes(given)
        return resolve_config(
            self.config,
            given,
            task=task_of(classes),
            num_classes=len(classes),
            recipes=self.recipes(given),
        )


def task_of(classes: tuple[str, ...]) -> Task:
    """The kind of task that these classes make."""
    return Task.BINARY if len(classes) == 2 else Task.FOUR_CLASS
