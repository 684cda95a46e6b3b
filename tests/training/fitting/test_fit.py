"""Fitting: it learns, it is reproducible, and broken off it still ends with the same weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from photonic.errors import ConfigError, DataError
from training.epochs import Diverged
from training.fit import Fit
from training.loop import predict
from training.presets import resolve


def finished(fit: Fit) -> Fit:
    while not fit.done:
        fit.step()
    return fit


def weights(fit: Fit) -> torch.Tensor:
    return fit.learners[0].parameters.value.detach()


def test_a_fit_learns_and_its_decision_separates(problem):
    fit = finished(Fit(problem(max_epochs=15)))
    test = fit.problem.split.test
    logits = predict(fit.student, fit.problem.samples.inputs, test)
    assert (fit.decision(logits) == fit.label[test]).mean() > 0.95


def test_the_kept_weights_are_those_of_the_best_epoch(problem):
    fit = Fit(problem(max_epochs=6))
    scores = []
    while not fit.done:
        scores.append(fit.step()["selection_score"])
    assert fit.chosen[-1].best_epoch == int(np.argmax(scores))
    assert np.array_equal(fit.learners[0].predict(fit.validation), fit.pooled)


def test_what_a_verdict_would_refuse_is_refused_before_the_first_step(problem):
    plain = problem()
    one_sided = replace(plain.split, val=plain.split.val[plain.split.val % 4 > 0])
    with pytest.raises(DataError, match="selection needs both"):
        Fit(replace(plain, split=one_sided))
    alone = replace(plain.split, test=plain.split.test[:0])
    for name in ("use_generalization_score", "use_generalization_rescue", "use_blended_thresholds"):
        options = resolve("binary", overrides={name: True})
        Fit(replace(plain, imbalance=options))
        with pytest.raises(ConfigError, match="split toy has no test records"):
            Fit(replace(plain, imbalance=options, split=alone))


def test_the_first_batch_is_the_one_that_is_learned_from(problem):
    looked, plain = Fit(problem()), Fit(problem())
    first = looked.first_batch()
    assert np.array_equal(first, looked.first_batch())
    ((learner, plan),) = plain.work()
    assert np.array_equal(first, learner.draw(plan)[0])
    assert not np.array_equal(np.sort(first), np.sort(looked.problem.split.train[: len(first)]))
    assert torch.equal(weights(finished(looked)), weights(finished(Fit(problem()))))


def test_the_log_has_the_rate_that_an_epoch_ended_with(problem):
    fit = Fit(problem(max_epochs=8, min_epochs=8, schedule="onecycle"))
    rates = [fit.step()["lr"] for _ in range(8)]
    assert max(rates) > 0.008
    assert rates[-1] < 1e-3 * max(rates)


def test_early_stopping_waits_for_the_least_number_of_epochs(problem):
    fit = Fit(problem(max_epochs=40, min_epochs=12, lr=1e-9))
    count = 0
    while not fit.done:
        fit.step()
        count += 1
    assert 12 <= count < 40


@pytest.mark.parametrize("folds", [False, True])
def test_the_same_seed_gives_the_same_weights_and_another_one_others(problem, folds):
    one, two = finished(Fit(problem(folds=folds))), finished(Fit(problem(folds=folds)))
    other = finished(Fit(problem(folds=folds, seed=1)))
    assert torch.equal(weights(one), weights(two))
    assert one.decision == two.decision
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize(
    ("folds", "options"),
    [(False, {"dropout": 0.2}), (True, {}), (False, {"ema_decay": 0.9, "schedule": "onecycle"})],
)
def test_a_fit_broken_off_anywhere_continues_to_the_same_weights(problem, folds, options):
    unbroken = finished(Fit(problem(folds=folds, **options)))
    fit = Fit(problem(folds=folds, **options))
    while not fit.done:
        plain, tensors = fit.state()
        plain, tensors = json.loads(json.dumps(plain)), {n: x.clone() for n, x in tensors.items()}
        fit.step()  # is lost
        fit = Fit(problem(folds=folds, **options))
        fit.load_state(plain, tensors)
        fit.step()
    assert torch.equal(weights(fit), weights(unbroken))
    assert fit.decision == unbroken.decision
    assert np.array_equal(fit.pooled, unbroken.pooled)


def collapsed_after_two_epochs(problem, **options):
    """A fit whose third epoch ends with everything called abnormal."""
    fit = Fit(problem(steps_per_epoch=20, max_epochs=6, min_epochs=6, **options))
    records = [fit.step(), fit.step()]
    good = [learner.weights() for learner in fit.learners]
    with torch.no_grad():
        for learner in fit.learners:
            head = learner.student.layers["head"]
            head.raw_weight.zero_()
            head.raw_bias.copy_(torch.tensor([-9.0, 9.0]))
    records.append(fit.step())
    return fit, good, records


@pytest.mark.parametrize("folds", [False, True])
def test_a_collapse_goes_back_to_the_last_good_weights_with_a_fresh_optimiser(problem, folds):
    fit, good, records = collapsed_after_two_epochs(problem, folds=folds)
    assert [one["policy"]["actions"]["restore_weights"] for one in records] == [False, False, True]
    assert "collapse to positive" in records[-1]["messages"][0]
    plain, tensors = fit.state()
    work = fit.work()
    assert fit.work()[0][1].begins_after == 1
    for (learner, _), weights_then in zip(work, good, strict=True):
        assert torch.equal(learner.weights(), weights_then)
        assert not learner.optimizer.mean.any()
    again = Fit(problem(steps_per_epoch=20, max_epochs=6, min_epochs=6, folds=folds))
    again.load_state(json.loads(json.dumps(plain)), {n: x.clone() for n, x in tensors.items()})
    record = fit.step()
    assert record["begins_after"] == 1
    assert record["val"]["miss"] < 0.5
    assert again.step()["train_loss"] == record["train_loss"]
    assert torch.equal(weights(again), weights(fit))
    assert fit.step()["begins_after"] is None


def test_the_refit_goes_back_where_choosing_did(problem):
    def kept_to_the_last(**options):
        chosen = resolve("binary", overrides={"kept_epoch": "last"})
        return replace(problem(**options), imbalance=chosen)

    fit, _, _ = collapsed_after_two_epochs(kept_to_the_last, folds=True)
    while not fit.refitting:
        fit.step()
    assert [plan.begins_after for plan in fit.chosen[0].plans] == [None] * 3 + [1] + [None] * 2
    ends = []
    while not fit.done:
        begun = fit.work()[0][0].weights()
        ends.append((begun, fit.step(), weights(fit).clone()))
    assert torch.equal(ends[3][0], ends[1][2])
    assert not torch.equal(ends[3][0], ends[2][2])


def test_folds_choose_on_samples_that_nobody_learned_from_and_refit_on_all(problem):
    fit = Fit(problem(folds=True))
    for learner, fold in zip(fit.learners, fit.folds, strict=True):
        assert not set(learner.index.tolist()) & set(fold.tolist())
    fit = finished(fit)
    assert len(fit.learners) == 1
    assert set(fit.learners[0].index.tolist()) == set(range(200))
    assert len(fit.pooled) == 200


def test_a_second_stage_begins_from_the_best_weights_of_the_first(problem):
    from photonic.profile import load_profile
    from training.quantized import BrevitasCore

    fit = Fit(problem(core=lambda: BrevitasCore(load_profile("generic_8bit")), max_epochs=2))
    while fit.number == 0:
        fit.step()
    assert isinstance(fit.student.core, BrevitasCore)
    assert torch.equal(weights(fit), fit.best[0])
    finished(fit)
    assert [len(progress.plans) > 0 for progress in fit.chosen] == [True, True]


def test_divergence_is_told_with_the_module(problem):
    fit = Fit(problem(clip_norm=0.0))
    with torch.no_grad():
        fit.student.layers["mlp1"].raw_weight.fill_(float("inf"))
        fit.student.layers["mlp1"].raw_gain.fill_(float("nan"))
    with pytest.raises(Diverged, match="not finite any more; lower the learning rate") as caught:
        fit.step()
    assert caught.value.record["event"] == "diverged"
    json.dumps(caught.value.record, allow_nan=False)


def test_test_samples_choose_nothing(problem):
    one = problem(max_epochs=3)
    fit = finished(Fit(one))
    spoiled = problem(max_epochs=3)
    spoiled.samples.inputs["beat"][200:] = 0.0
    spoiled.samples.label[200:] = 0
    other = finished(Fit(spoiled))
    assert torch.equal(weights(fit), weights(other))
    assert fit.decision == other.decision
