"""What is to be learned and where learning stands: plain data, without a word about its origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from photonic.decision import Decision
from photonic.layers import Core
from photonic.students import Student
from training.config import OptimOptions
from training.data.splits import Split
from training.loop import BatchTransform, EpochPlan, Objective, Samples
from training.noise import NoisePlan
from training.optim import Plateau
from training.options import ImbalanceOptions
from training.policy import PolicyState, state_from_dict, state_to_dict
from training.policy_kd import KdState, kd_state_from_dict, kd_state_to_dict

if TYPE_CHECKING:
    from training.teaching import Teaching

WEIGHTS, BATCHES, NOISE = 0, 1, 3  # 2 is the teacher


def stream_seed(seed: int, purpose: int, part: int = 0) -> int:
    """A seed of 63 bits for each purpose of one seed."""
    state = np.random.SeedSequence((seed, purpose, part)).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def seeded(seed: int, purpose: int, part: int = 0) -> torch.Generator:
    """An independent stream for each purpose of one seed."""
    return torch.Generator().manual_seed(stream_seed(seed, purpose, part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of training with one core.

    Attributes:
        name: ``float``, or the hardware profile whose bits are trained with.
        core: what a product goes through; a new one per learner.
        lr: learning rate, or its peak.
        schedule: of the learning rate.
        max_epochs: most epochs.
        min_epochs: epochs before early stopping may act.
        start: number of the stage whose best weights it begins from; the one before if left out.
        teaches: whether the teacher's terms are in the loss.
        by_miss: choose the epoch by miss + 0.35·FPR, as distillation and its control do.
        noise: what disturbs training; epochs of its warm-up are never chosen.
        overflow_weight: weight in the loss of what leaves the range of the core's ADC.
    """

    name: str
    core: Callable[[], Core]
    lr: float
    schedule: str
    max_epochs: int
    min_epochs: int
    start: int | None = None
    teaches: bool = False
    by_miss: bool = False
    noise: NoisePlan | None = None
    overflow_weight: float = 0.0

    @property
    def first_choice(self) -> int:
        """The first epoch that may be chosen."""
        return self.noise.warmup_epochs if self.noise else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Samples, student, loss and the rules by which weights and decision are chosen.

    Attributes:
        samples: every sample, on the training device.
        classes: their names, the normal one first.
        split: who trains, chooses and tests.
        imbalance: rebalancing, thresholds, selection.
        optim: optimiser and schedule.
        stages: float first, then with the hardware's bits.
        build: a fresh student from a generator.
        objective: the loss.
        seed: of weights and batches.
        teaching: the teacher and what it says, where there is one.
        transform: changes the inputs of every training batch, where there is one.
        record: name of each sample's record, where records are balanced.
        part_objectives: the losses of the folds' learners and of the refit, where they differ.
    """

    samples: Samples
    classes: tuple[str, ...]
    split: Split
    imbalance: ImbalanceOptions
    optim: OptimOptions
    stages: tuple[Stage, ...]
    build: Callable[[torch.Generator], Student]
    objective: Objective
    seed: int
    teaching: Teaching | None = None
    transform: BatchTransform | None = None
    record: np.ndarray | None = None
    part_objectives: tuple[Objective, ...] = ()

    def objective_of(self, part: int) -> Objective:
        """The loss of one learner: that of a fold, or of the refit, whose number comes after."""
        return self.part_objectives[part] if self.part_objectives else self.objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a stage stands.

    Attributes:
        epoch: epochs done.
        best_epoch: number of the best one, -1 before the first.
        best_score: its selection score.
        waited: epochs since then, or since early stopping was reset.
        plateau: the learning rate.
        policy: state of the rebalancing policy.
        decision: decision of the best epoch.
        plans: what every epoch did.
        kd: state of the gate of distillation, in the stage that it is for.
        good_epoch: the last epoch whose weights are good to come back to, -1 before the first.
        restores: whether the next epoch comes back to them.
    """

    epoch: int = 0
    best_epoch: int = -1
    best_score: float = -np.inf
    waited: int = 0
    plateau: Plateau
    policy: PolicyState
    decision: Decision | None = None
    plans: tuple[EpochPlan, ...] = ()
    kd: KdState | None = None
    good_epoch: int = -1
    restores: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "waited": self.waited,
            "plateau": asdict(self.plateau),
            "policy": state_to_dict(self.policy),
            "decision": None if self.decision is None else self.decision.to_dict(),
            "plans": [asdict(plan) for plan in self.plans],
            "kd": None if self.kd is None else kd_state_to_dict(self.kd),
            "good_epoch": self.good_epoch,
            "restores": self.restores,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Progress:
        """Inverse of :meth:`to_dict`."""
        decision = data["decision"]
        return cls(
            **{name: data[name] for name in _PLAIN if name in data},
            plateau=Plateau(**data["plateau"]),
            policy=state_from_dict(data["policy"]),
            decision=None if decision is None else Decision.from_dict(decision),
            plans=tuple(_plan_from_dict(plan) for plan in data["plans"]),
            kd=None if data["kd"] is None else kd_state_from_dict(data["kd"]),
        )


_PLAIN = ("epoch", "best_epoch", "best_score", "waited", "good_epoch", "restores")


def _plan_from_dict(data: Mapping[str, Any]) -> EpochPlan:
    sequences = {name: tuple(data[name]) for name in ("class_weights", "multipliers")}
    return EpochPlan(**{**data, **sequences})
