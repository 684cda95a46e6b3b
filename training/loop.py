"""The inner loop: one model, tensors in memory, an epoch of indices drawn at once.

Nothing here knows of a workload, of files or of a terminal. What an epoch does is decided
elsewhere and handed in as an :class:`EpochPlan`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from photonic.layers import Core
from photonic.students import Student
from training.config import OptimOptions
from training.noise import Disturbance, NoisePlan
from training.optim import Adam, FlatParameters, learning_rates
from training.samplers import balanced_indices, shuffled_indices, weighted_indices

Drawing = Literal["shuffle", "weighted", "balanced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPlan:
    """What one epoch does.

    Attributes:
        epoch: its number within its stage, from 0.
        num_epochs: most epochs that the stage may have, the length of a one-cycle schedule.
        schedule: learning rate over time, as in :class:`OptimOptions`.
        lr: learning rate, or its peak.
        class_weights: weight of each class in the loss.
        multipliers: how much more often than in a plain shuffle each class is drawn.
        drawing: how the epoch's indices are drawn.
        alpha: weight of the labels in the loss.
        beta: weight of the teacher's logits.
        gamma: weight of the teacher's features.
        begins_after: number of the epoch whose weights it goes back to, with a fresh optimiser, or
            -1 for the first ones of the stage; None where it goes on from the epoch before.
    """

    epoch: int
    num_epochs: int
    schedule: str
    lr: float
    class_weights: tuple[float, ...]
    multipliers: tuple[float, ...]
    drawing: Drawing = "shuffle"
    alpha: float = 1.0
    beta: float = 0.0
    gamma: float = 0.0
    begins_after: int | None = None


BatchTransform = Callable[[Mapping[str, Tensor], torch.Generator], Mapping[str, Tensor]]
"""Another version of the inputs of a batch, drawn from the learner's generator (on the CPU)."""


class Objective(Protocol):
    """The loss of a batch."""

    def __call__(
        self,
        logits: Tensor,
        features: Tensor,
        batch: Tensor,
        class_weights: Tensor,
        plan: EpochPlan,
    ) -> Tensor:
        """Scalar loss of the samples whose indices are ``batch``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Inputs by name ``(n, tokens, channels)`` and labels ``(n,)``, on the training device."""

    inputs: Mapping[str, Tensor]
    label: Tensor

    def to(self, device: torch.device | str) -> Samples:
        """The same samples on ``device``."""
        inputs = {name: x.to(device) for name, x in self.inputs.items()}
        return Samples(inputs=inputs, label=self.label.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStats:
    """Mean training loss and its terms, and the root mean square gradient norm of every module.

    ``adc_overflow`` is the mean overflow of the core's ADC, where it has one; ``loss`` is without
    its penalty.
    """

    loss: float
    grad_norms: Mapping[str, float] = field(default_factory=dict)
    loss_terms: Mapping[str, float] = field(default_factory=dict)
    adc_overflow: float | None = None


class Learner:
    """A student, its optimiser and its random stream.

    Args:
        student: is trained in place.
        samples: every sample; ``index`` says which of them are learned from.
        index: indices of the training samples.
        objective: the loss; where it is a module, its parameters are trained along.
        options: optimiser, batch size, clipping, averaging.
        generator: draws the batches; on the CPU whatever the device is.
        transform: changes the inputs of every training batch; nothing if left out.
        sample_weights: (len(index),) how much likelier than others of its class a sample is drawn.
    """

    def __init__(
        self,
        student: Student,
        samples: Samples,
        index: np.ndarray,
        objective: Objective,
        options: OptimOptions,
        generator: torch.Generator,
        *,
        transform: BatchTransform | None = None,
        sample_weights: np.ndarray | None = None,
    ) -> None:
        self.student, self.samples, self.objective = student, samples, objective
        self.options, self.generator = options, generator
        self.transform, self.sample_weights = transform, sample_weights
        self.index = torch.as_tensor(index, device=samples.label.device)
        self.label = samples.label[self.index].cpu().numpy()
        self.steps = options.steps_per_epoch or max(1, round(len(index) / options.batch_size))
        self.dropout = torch.Generator(samples.label.device)
        self.dropout.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        student.generator = self.dropout
        self.parameters = FlatParameters(
            student, objective if isinstance(objective, nn.Module) else None
        )
        self.average = self.parameters.value.detach().clone()
        self.optimizer = Adam(self.parameters.value.data, options)
        self.disturbance: Disturbance | None = None
        self.overflow_weight = 0.0

    def enter(
        self,
        core: Core,
        noise: NoisePlan | None = None,
        *,
        noise_seed: int = 0,
        overflow_weight: float = 0.0,
    ) -> None:
        """Work on another core from now on, disturbed while training where there is a plan.

        Args:
            core: what products go through.
            noise: what disturbs them.
            noise_seed: its seed.
            overflow_weight: weight in the loss of what leaves the range of the core's ADC.
        """
        self.student.core, self.student.injection, self.disturbance = core, None, None
        self.student.overflow, self.overflow_weight = None, overflow_weight
        if noise is not None:
            self.disturbance = noise.disturb(
                self.student, seed=noise_seed, steps_per_epoch=self.steps, on=self.index.device
            )

    def restart(self, weights: Tensor) -> None:
        """Begin anew from these weights, with a fresh optimiser."""
        self.parameters.load(weights)
        self.average.copy_(weights)
        self.optimizer = Adam(self.parameters.value.data, self.options)

    def train_epoch(
        self, plan: EpochPlan, advance: Callable[[int], None] = lambda _: None
    ) -> EpochStats:
        """One epoch; ``advance(1)`` is called after every step."""
        batches = self.draw(plan)
        label = self.samples.label
        weights = torch.tensor(plan.class_weights, dtype=torch.float32, device=label.device)
        rates = learning_rates(plan.schedule, plan.lr, plan.epoch, plan.num_epochs, self.steps)
        parameters = self.parameters
        total = torch.zeros((), device=label.device)
        squares = torch.zeros_like(parameters.value)
        overflows: list[Tensor] = []
        self.student.train()
        for batch, lr in zip(batches, rates.tolist(), strict=True):
            parameters.zero_grad()
            logits, features = self.student(self.inputs(batch), parameters.of_module)
            loss = self.objective(logits, features, batch, weights, plan)
            overflow = self.student.overflow
            if overflow is None:
                loss.backward()
            else:
                overflows.append(overflow.detach())
                (loss + self.overflow_weight * overflow).backward()
            with torch.no_grad():
                squares.addcmul_(parameters.grad, parameters.grad)
                total += loss.detach()
            parameters.clip_grad(self.options.clip_norm)
            self.optimizer.step(parameters.grad, lr)
            if self.options.ema_decay:
                self.average.lerp_(parameters.value.detach(), 1.0 - self.options.ema_decay)
            if self.disturbance is not None:
                self.disturbance.advance()
            advance(1)
        return replace(
            self.stats(total, squares),
            adc_overflow=float(torch.stack(overflows).mean()) if overflows else None,
        )

    def stats(self, total: Tensor, squares: Tensor) -> EpochStats:
        """What an epoch came to: its summed loss, and the summed squares of its gradients."""
        return EpochStats(
            loss=float(total) / self.steps,
            grad_norms=self.parameters.by_module(squares / self.steps),
            loss_terms=getattr(self.objective, "take_terms", dict)(),
        )

    def weights(self) -> Tensor:
        """A copy of the weights to keep: the averaged ones where averaging is on."""
        kept = self.average if self.options.ema_decay else self.parameters.value.detach()
        return kept.clone()

    def predict(self, index: np.ndarray | Tensor) -> np.ndarray:
        """Logits ``(len(index), classes)`` of the weights to keep, without dropout."""
        current = self.parameters.value.detach().clone()
        self.parameters.load(self.weights())
        logits = predict(self.student, self.samples.inputs, index)
        self.parameters.load(current)
        return logits

    def state(self) -> dict[str, Tensor]:
        """Everything that the next epoch depends on."""
        noise = {} if self.disturbance is None else self.disturbance.noise.state()
        return {
            "value": self.parameters.value.detach().clone(),
            "average": self.average.clone(),
            "generator": self.generator.get_state(),
            "dropout": self.dropout.get_state(),
            **{f"optimizer.{name}": x for name, x in self.optimizer.state().items()},
            **{f"noise.{name}": x for name, x in noise.items()},
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`, on the core that the state is from."""
        self.restart(state["value"])
        self.average.copy_(state["average"])
        self.generator.set_state(state["generator"].cpu())
        self.dropout.set_state(state["dropout"].cpu())
        self.optimizer.load_state(_under("optimizer.", state))
        if self.disturbance is not None:
            self.disturbance.noise.load_state(_under("noise.", state))

    def inputs(self, batch: Tensor) -> Mapping[str, Tensor]:
        """Inputs of the samples whose indices are ``batch``, as they are trained on."""
        inputs = {name: x.index_select(0, batch) for name, x in self.samples.inputs.items()}
        return inputs if self.transform is None else self.transform(inputs, self.generator)

    def draw(self, plan: EpochPlan) -> Tensor:
        """Indices of the samples of every batch of an epoch, ``(steps, batch)``."""
        return self.index[self._drawn(plan).to(self.index.device)]

    def _drawn(self, plan: EpochPlan) -> Tensor:
        size = self.options.batch_size
        if plan.drawing == "balanced":
            return balanced_indices(self.label, self.steps, size, self.generator)
        if plan.drawing == "weighted":
            weights = np.asarray(plan.multipliers)[self.label]
            if self.sample_weights is not None:
                weights = weights * self.sample_weights
            return weighted_indices(weights, self.steps, size, self.generator)
        return shuffled_indices(len(self.label), self.steps, size, self.generator)


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries whose names begin so, without that beginning."""
    return {n.removeprefix(prefix): x for n, x in state.items() if n.startswith(prefix)}


@torch.no_grad()
def predict(
    student: Student,
    inputs: Mapping[str, Tensor],
    index: np.ndarray | Tensor | None = None,
    *,
    batch_size: int = 2048,
) -> np.ndarray:
    """Logits ``(n, classes)``, float32, of the student as it stands, without dropout.

    Args:
        student: the model; its training mode is left as it was.
        inputs: each input by name, ``(n, tokens, channels)``.
        index: which samples; all of them if left out.
        batch_size: samples at once, where the student's operations are taken one by one.
    """
    count = len(next(iter(inputs.values())))
    chosen = torch.arange(count) if index is None else torch.as_tensor(index)
    was_training = student.training
    student.eval()
    at_once = student.tiled_logits(inputs, chosen)
    parts = [] if at_once is None else [at_once.numpy()]
    for part in chosen.split(batch_size) if at_once is None else ():
        logits, _ = student({name: x[part.to(x.device)] for name, x in inputs.items()})
        parts.append(logits.cpu().numpy())
    student.train(was_training)
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
