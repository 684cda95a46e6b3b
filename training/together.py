"""Epochs of several learners in one pass: their parameters are the rows of one matrix.

A student has a few hundred parameters, so a step of training mostly starts operations; members of a
population share that cost. Each draws its batches, its dropout and its noise from its own streams
as it would alone, and has its own plan, rate, clipping and averaging. After an epoch everything is
back in the learners, so that they may be judged, saved or trained alone as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from photonic.layers import ExactCore
from photonic.students import Student
from photonic.students.injection import Injection
from training.augment import BeatAugmenter
from training.loop import EpochPlan, EpochStats, Learner
from training.optim import Adam, clip_norm, learning_rates

Work = tuple[Learner, EpochPlan]


def can_stack(learner: Learner) -> bool:
    """Whether a learner's epoch can be a row of a matrix.

    The exact core can, with plain noise too. Cores with bits or chips keep tensors per layer, and a
    teacher's objective has parameters of its own: those learners train one after the other.
    """
    exact = type(learner.student.core) is ExactCore
    plain = learner.disturbance is None or isinstance(learner.disturbance, Injection)
    return exact and plain and not isinstance(learner.objective, nn.Module)


def train_together(
    work: Sequence[Work], *, advance: Callable[[int], None] = lambda _: None
) -> list[EpochStats]:
    """One epoch of every learner, each by its own plan.

    Args:
        work: learners of equal students and options, with their plans.
        advance: called with the number of optimiser steps that were made.

    Returns:
        What :meth:`Learner.train_epoch` returns, for each of them.
    """
    stats: dict[int, EpochStats] = {}
    groups: dict[tuple, list[int]] = {}
    for k, (learner, _) in enumerate(work):
        alone = () if can_stack(learner) else (k,)
        key = id(learner.samples), id(learner.objective), *alone
        groups.setdefault(key, []).append(k)
    for members in groups.values():
        if len(members) == 1:
            learner, plan = work[members[0]]
            found = [learner.train_epoch(plan, advance)]
        else:
            found = _stacked([work[k] for k in members], advance)
        stats |= zip(members, found, strict=True)
    return [stats[k] for k in range(len(work))]


def _stacked(work: list[Work], advance: Callable[[int], None]) -> list[EpochStats]:
    """Epochs of learners as rows, those with most steps first, so that who is done drops off."""
    order = sorted(range(len(work)), key=lambda k: -work[k][0].steps)
    learners, plans = [work[k][0] for k in order], [work[k][1] for k in order]
    first, options = learners[0], learners[0].options
    device, steps = first.index.device, [learner.steps for learner in learners]
    drawn = torch.stack(
        [
            _padded(learner.draw(plan), steps[0])
            for learner, plan in zip(learners, plans, strict=True)
        ],
        dim=1,
    )
    rates = torch.stack(
        [
            _padded(_rates(learner, plan), steps[0])
            for learner, plan in zip(learners, plans, strict=True)
        ],
        dim=1,
    ).to(device)
    weights = torch.tensor([plan.class_weights for plan in plans], device=device)
    rows = torch.stack([learner.parameters.value.detach() for learner in learners])
    averages = torch.stack([learner.average for learner in learners])
    everyone = Adam.stack([learner.optimizer for learner in learners], rows, options)
    totals, squares = torch.zeros(len(work), device=device), torch.zeros_like(rows)
    at_once = getattr(first.objective, "of_members", None)  # the same losses in fewer operations
    num_active = 0
    for step, (batch, rate) in enumerate(zip(drawn, rates, strict=True)):
        if num_active != (num_active := sum(count > step for count in steps)):
            active = slice(num_active)
            optimizer, raw = everyone[active], rows[active].requires_grad_()
            student = _program_of(learners[active])
        logits, features = student(_inputs(learners[active], batch[active]), raw)
        if at_once is not None:
            losses = at_once(logits, batch[active], weights[active])
        else:
            rows_of = (logits.unbind(), features.unbind(), batch[active], weights[active], plans)
            losses = torch.stack([first.objective(*row) for row in zip(*rows_of, strict=False)])
        (grad,) = torch.autograd.grad(losses.sum(), raw)
        with torch.no_grad():
            squares[active].addcmul_(grad, grad)
            totals[active] += losses
            if options.clip_norm:
                clip_norm(grad, options.clip_norm)
            optimizer.step(grad, rate[active])
            if options.ema_decay:
                averages[active].lerp_(rows[active], 1.0 - options.ema_decay)
        for learner in learners[active]:
            if learner.disturbance is not None:
                learner.disturbance.advance()
        advance(num_active)
    found: dict[int, EpochStats] = {}
    for row, (k, learner) in enumerate(zip(order, learners, strict=True)):
        learner.parameters.load(rows[row])
        learner.average.copy_(averages[row])
        learner.optimizer.load_state(everyone[row].state())
        found[k] = learner.stats(totals[row], squares[row])
    return [found[k] for k in range(len(work))]


def _rates(learner: Learner, plan: EpochPlan) -> Tensor:
    rates = learning_rates(plan.schedule, plan.lr, plan.epoch, plan.num_epochs, learner.steps)
    return torch.tensor(rates, dtype=torch.float32)[:, None]


def _padded(values: Tensor, length: int) -> Tensor:
    """``values`` continued by zeros that nobody reads."""
    return torch.cat([values, values.new_zeros(length - len(values), *values.shape[1:])])


def _program_of(learners: Sequence[Learner]) -> Student:
    injections = [each.disturbance for each in learners if isinstance(each.disturbance, Injection)]
    student = learners[0].student.rows([each.dropout for each in learners], injections)
    return student.train()


def _inputs(learners: Sequence[Learner], batch: Tensor) -> dict[str, Tensor]:
    """Inputs ``(members, batch, ...)`` of each member's samples."""
    first = learners[0]
    if isinstance(first.transform, BeatAugmenter):
        generators = [learner.generator for learner in learners]
        return first.transform.of_members(first.samples.inputs, batch, generators)
    if first.transform is None:
        taken = first.inputs(batch.flatten())
        return {name: x.unflatten(0, batch.shape) for name, x in taken.items()}
    parts = [learner.inputs(own) for learner, own in zip(learners, batch, strict=True)]
    return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
