"""Members of a population learn what they would learn alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from photonic.students import PatchConfig, patch_student
from training.augment import AugmentOptions, BeatAugmenter
from training.fit import Fit
from training.loop import Samples
from training.noise import NoisePlan
from training.together import can_stack, train_together

STEPS = 20


def patch_problem(problem, **options):
    """The patch student with all that its recipe disturbs training by."""
    toy = problem(steps_per_epoch=STEPS, max_epochs=3, **options)
    beat = toy.samples.inputs["beat"]
    draw = torch.Generator().manual_seed(0)
    inputs = {
        "beat": torch.cat([beat, torch.rand(beat.shape, generator=draw)], dim=-1),
        "rhythm": torch.rand(len(beat), 2, 4, generator=draw),
    }
    stage = replace(
        toy.stages[0],
        noise=NoisePlan(weight_sigma=0.05, activation_sigma=0.05, warmup_epochs=1),
    )
    return replace(
        toy,
        samples=Samples(inputs=inputs, label=toy.samples.label),
        build=lambda g: patch_student(PatchConfig(num_classes=2), g),
        transform=BeatAugmenter(AugmentOptions(augment_noise=0.1, augment_amplitude=0.2)),
        stages=(stage,),
    )


def segment_problem(problem, **options):
    return problem(dropout=0.1, steps_per_epoch=STEPS, max_epochs=3, **options)


def fits(base, seeds=(0, 1, 2)):
    return [Fit(replace(base, seed=seed)) for seed in seeds]


def assert_alike(ours, alone):
    for a, b in zip(ours, alone, strict=True):
        assert torch.allclose(a.parameters.value, b.parameters.value, rtol=0, atol=1e-4)
        assert torch.allclose(a.average, b.average, rtol=0, atol=1e-4)
        assert int(a.optimizer.steps) == int(b.optimizer.steps)
        assert torch.equal(a.generator.get_state(), b.generator.get_state())
        assert torch.equal(a.dropout.get_state(), b.dropout.get_state())


@pytest.mark.parametrize("problem_of", [segment_problem, patch_problem])
@pytest.mark.parametrize("options", [{}, {"optimizer": "adamw", "ema_decay": 0.9}])
def test_twenty_steps_together_are_twenty_steps_alone(problem, problem_of, options):
    base = problem_of(problem, schedule="onecycle", **options)
    ours, alone = fits(base), fits(base)
    for _ in range(2):
        begun = [fit.learners[0].parameters.value.detach().clone() for fit in ours]
        work = [pair for fit in ours for pair in fit.work()]
        found = train_together(work)
        expected = [learner.train_epoch(plan) for fit in alone for learner, plan in fit.work()]
        for a, b in zip(found, expected, strict=True):
            assert a.loss == pytest.approx(b.loss, abs=1e-4)
            assert dict(a.grad_norms) == pytest.approx(dict(b.grad_norms), abs=1e-3)
        assert_alike([f.learners[0] for f in ours], [f.learners[0] for f in alone])
        for fit, before in zip(ours, begun, strict=True):
            assert not torch.allclose(fit.learners[0].parameters.value, before, atol=1e-2)
    values = [fit.learners[0].parameters.value for fit in ours]
    assert not torch.allclose(values[0], values[1], atol=1e-2)


def test_members_with_fewer_steps_and_other_plans_drop_off(problem):
    base = problem(folds=True, dropout=0.1, max_epochs=3, batch_size=8)
    ours, alone = fits(base, (0, 1)), fits(base, (0, 1))
    for group in (ours, alone):  # another length and another plan for each
        for k, learner in enumerate(learner for fit in group for learner in fit.learners):
            learner.index = learner.index[: len(learner.index) - 16 * k]
            learner.label = learner.label[: len(learner.index)]
            learner.steps -= 2 * k
    work = [pair for fit in ours for pair in fit.work()]
    plans = [
        replace(plan, lr=0.01 * (k + 1), class_weights=(1.0, 1.0 + k), drawing=drawing)
        for k, ((_, plan), drawing) in enumerate(
            zip(work, ("shuffle", "balanced", "weighted") * 2, strict=True)
        )
    ]
    learners = [learner for learner, _ in work]
    assert len({learner.steps for learner in learners}) == len(learners)
    found = train_together(list(zip(learners, plans, strict=True)))
    others = [learner for fit in alone for learner in fit.learners]
    expected = [m.train_epoch(plan) for m, plan in zip(others, plans, strict=True)]
    assert [s.loss for s in found] == pytest.approx([s.loss for s in expected], abs=1e-4)
    assert_alike(learners, others)


def test_who_cannot_share_a_pass_learns_alone(problem):
    from photonic.layers import ExactCore

    class OtherCore(ExactCore):
        """Not the exact core itself."""

    base = segment_problem(problem)
    ours, alone = fits(base), fits(base)
    for fit in (*ours, *alone):
        if fit.problem.seed == 1:
            fit.learners[0].enter(OtherCore())
    assert [can_stack(fit.learners[0]) for fit in ours] == [True, False, True]
    train_together([pair for fit in ours for pair in fit.work()])
    for fit in alone:
        fit.step()
    assert_alike([f.learners[0] for f in ours], [f.learners[0] for f in alone])


def test_steps_are_counted(problem):
    ours, seen = fits(segment_problem(problem)), []
    train_together([pair for fit in ours for pair in fit.work()], advance=seen.append)
    assert np.sum(seen) == 3 * STEPS
