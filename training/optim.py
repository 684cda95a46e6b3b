"""Optimiser over one flat vector of parameters, and learning rates over time.

The students have a few hundred parameters in two dozen tensors: handled one by one, clipping and
updating them costs more than the arithmetic. All of them therefore live in one vector, of which
the module's parameters and their gradients are views; saving, averaging and comparing weights then
is one tensor too.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from training.config import OptimOptions


class FlatParameters:
    """The learned parameters of a module as views of one vector, with their gradients.

    Args:
        module: its parameters that require a gradient move into :attr:`value` and stay there.
        extra: another module whose parameters are trained along, named ``objective.…``.
    """

    def __init__(self, module: nn.Module, extra: nn.Module | None = None) -> None:
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if extra is not None:
            named += [(f"objective.{n}", p) for n, p in extra.named_parameters() if p.requires_grad]
        self.value = nn.Parameter(torch.cat([p.detach().reshape(-1) for _, p in named]))
        self.value.grad = torch.zeros_like(self.value)
        self.slices: dict[str, slice] = {}
        own = sum(p.numel() for p in module.parameters() if p.requires_grad)
        self.of_module = self.value if extra is None else self.value[:own]
        start = 0
        for name, parameter in named:
            stop = start + parameter.numel()
            parameter.data = self.value.data[start:stop].view_as(parameter)
            parameter.grad = self.value.grad[start:stop].view_as(parameter)
            self.slices[name] = slice(start, stop)
            start = stop

    @property
    def grad(self) -> Tensor:
        """Gradient of the loss, as one vector."""
        assert self.value.grad is not None
        return self.value.grad

    def zero_grad(self) -> None:
        """Set the gradient to zero, in place so that the views stay views."""
        self.grad.zero_()

    @torch.no_grad()
    def clip_grad(self, max_norm: float) -> None:
        """Scale the gradient down to the norm ``max_norm``; 0 leaves it."""
        if max_norm:
            clip_norm(self.grad, max_norm)

    @torch.no_grad()
    def load(self, value: Tensor) -> None:
        """Copy a vector into the parameters."""
        self.value.copy_(value)

    def not_finite(self) -> str | None:
        """Name of the first module with a weight that is not finite, if there is one."""
        if bool(torch.isfinite(self.value).all()):
            return None
        bad = (~torch.isfinite(self.value.detach())).float()
        return next(name for name, size in self.by_module(bad).items() if size)

    def by_module(self, squares: Tensor) -> dict[str, float]:
        """Root of the sum of ``squares`` (one per parameter) for each module that has any."""
        sums: dict[str, float] = {}
        for name, where in self.slices.items():
            module = name.rpartition(".")[0]
            sums[module] = sums.get(module, 0.0) + float(squares[where].sum())
        return {name: math.sqrt(value) for name, value in sums.items()}


def clip_norm(grad: Tensor, max_norm: float) -> None:
    """Scale each vector ``(..., n)`` down to the norm ``max_norm``, in place."""
    norm = torch.linalg.vector_norm(grad, dim=-1, keepdim=True)
    grad.mul_((max_norm / (norm + 1e-6)).clamp_(max=1.0))


class Adam:
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019), on vectors ``(..., n)``.

    The same numbers as ``torch.optim``'s. Written here because a leading axis may hold members of a
    population, each with its own learning rate, and because a step of torch's takes as long as the
    forward pass of a student.
    """

    BETA1, BETA2, EPS = 0.9, 0.999, 1e-8

    def __init__(self, value: Tensor, options: OptimOptions) -> None:
        self.value = value
        self.decay, self.decoupled = options.weight_decay, options.optimizer == "adamw"
        self.steps: int | Tensor = 0
        self.mean = torch.zeros_like(value)
        self.square = torch.zeros_like(value)

    @torch.no_grad()
    def step(self, grad: Tensor, lr: float | Tensor) -> None:
        """One step down ``grad``; ``lr`` is a number, or one per vector ``(..., 1)``."""
        self.steps += 1
        if self.decoupled:
            self.value.mul_(1.0 - lr * self.decay)
        elif self.decay:
            grad = grad.add(self.value, alpha=self.decay)
        self.mean.lerp_(grad, 1.0 - self.BETA1)
        self.square.mul_(self.BETA2).addcmul_(grad, grad, value=1.0 - self.BETA2)
        root = self.square.sqrt().mul_((1.0 - self.BETA2**self.steps) ** -0.5).add_(self.EPS)
        size = lr / (1.0 - self.BETA1**self.steps)
        if isinstance(size, Tensor):
            self.value.sub_(size * self.mean / root)
        else:
            self.value.addcdiv_(self.mean, root, value=-size)

    @classmethod
    def stack(cls, optimizers: Sequence[Adam], value: Tensor, options: OptimOptions) -> Adam:
        """Several as one, for the rows of ``value``; each goes on from its own state."""
        stacked = cls(value, options)
        steps = [int(each.steps) for each in optimizers]
        stacked.steps = torch.tensor(steps, dtype=torch.float64, device=value.device)[:, None]
        stacked.mean = torch.stack([each.mean for each in optimizers])
        stacked.square = torch.stack([each.square for each in optimizers])
        return stacked

    def __getitem__(self, rows: int | slice) -> Adam:
        """Some of the rows, sharing their state."""
        assert isinstance(self.steps, Tensor)
        part = copy.copy(self)
        part.value, part.mean, part.square = self.value[rows], self.mean[rows], self.square[rows]
        part.steps = self.steps[rows]
        return part

    def state(self) -> dict[str, Tensor]:
        """What the next step depends on."""
        return {
            "step": torch.as_tensor(int(self.steps)),
            "mean": self.mean.clone(),
            "square": self.square.clone(),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`."""
        self.steps = int(state["step"])
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """State of a learning rate that drops when the loss stops falling.

    As ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with its default relative threshold of 1e-4,
    but without an optimiser: one rate may serve several models, and it resumes from JSON.
    """

    lr: float
    best: float = math.inf
    waited: int = 0

    def after(self, loss: float, *, patience: int, factor: float) -> Plateau:
        """The state after an epoch with this validation loss."""
        if loss < self.best * (1.0 - 1e-4):
            return replace(self, best=loss, waited=0)
        if self.waited < patience:
            return replace(self, waited=self.waited + 1)
        return replace(self, lr=self.lr * factor, waited=0)


def learning_rates(schedule: str, lr: float, epoch: int, num_epochs: int, steps: int) -> np.ndarray:
    """Learning rate of every step of an epoch; ``lr`` is the rate, or the peak of ``onecycle``."""
    if schedule == "onecycle":
        return one_cycle(lr, epoch, num_epochs, steps)
    return np.full(steps, lr)


def one_cycle(peak: float, epoch: int, num_epochs: int, steps: int) -> np.ndarray:
    """Learning rate of every step of an epoch: up to ``peak`` over 30 %, then down, both cosines.

    The one-cycle policy (Smith and Topin, "Super-convergence", 2018) with the constants of
    ``torch.optim.lr_scheduler.OneCycleLR``: from peak/25 to peak to peak/250 000.

    Args:
        peak: the largest rate.
        epoch: number of the epoch, from 0.
        num_epochs: epochs of the whole cycle.
        steps: steps of an epoch.
    """
    total = num_epochs * steps
    step = np.arange(epoch * steps, (epoch + 1) * steps)
    top = max(0.3 * total - 1.0, 1e-9)
    start, end = peak / 25.0, peak / 25.0 / 1e4

    def cosine(low: float, high: float, share: np.ndarray) -> np.ndarray:
        return high + (low - high) * (1.0 + np.cos(np.pi * np.clip(share, 0.0, 1.0))) / 2.0

    rising = cosine(start, peak, step / top)
    falling = cosine(peak, end, (step - top) / max(total - 1.0 - top, 1e-9))
    return np.where(step <= top, rising, falling)
