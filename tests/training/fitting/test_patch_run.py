"""The patch student from data to run directory: its recipe, its inputs, its place in the loop."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from photonic.errors import ConfigError
from photonic.rhythm import POST_SLOTS
from training.fit import Fit
from training.run import load_run, read_arrays, read_log
from training.setup import build_problem
from training.train import train
from training.workloads import workload

ECG = workload("ecg")
SHORT = {"student": "patch", "steps_per_epoch": 3, "max_epochs": 2, "min_epochs": 2}


@pytest.fixture(scope="module")
def options(ecg_options):
    return {**ecg_options, **SHORT}


@pytest.fixture(scope="module")
def data(options):
    return ECG.load(ECG.resolve(options), lambda source: None)


def finished(fit: Fit) -> Fit:
    while not fit.done:
        fit.step()
    return fit


def weights(fit: Fit) -> torch.Tensor:
    return fit.learners[0].parameters.value.detach()


def test_a_run_holds_the_last_epoch_and_says_what_its_inputs_are(options, tmp_path):
    run = train("ecg", ECG.resolve(options), tmp_path / "run")
    assert run.meta["num_parameters"] == 393
    assert run.meta["epoch"] == 1
    assert run.meta["input"]["names"] == ["beat", "rhythm"]
    assert run.meta["input"]["causal"] is False
    sample = read_arrays(run.path / "sample.npz")
    assert sample["beat"].shape[1:] == (360, 2)
    start = read_log(run.path)[0]
    assert start["expected_mix"] == pytest.approx([0.7, 0.3])
    names = [b["name"] for b in json.loads((run.path / "evaluation_test.json").read_text())[
        "baselines"]]  # fmt: skip
    assert names == ["all-normal", "timing-only", "waveform-only", "timing-only, next R peak too"]
    assert load_run(run.path).config == ECG.resolve(options)


def test_a_causal_student_is_given_nothing_of_the_next_beat(options, data):
    causal = ECG.load(ECG.resolve({**options, "causal": True}), lambda source: None)
    assert causal.contract["causal"]
    for token, channel in POST_SLOTS:
        assert not causal.inputs["rhythm"][:, token, channel].any()
        assert data.inputs["rhythm"][:, token, channel].any()
    assert np.array_equal(causal.inputs["beat"], data.inputs["beat"])


def test_a_fit_with_augmentation_and_balance_continues_to_the_same_weights(options, data):
    problem = build_problem("ecg", ECG.resolve(options), data)
    unbroken = finished(Fit(problem))
    fit = Fit(problem)
    while not fit.done:
        plain, tensors = fit.state()
        plain, tensors = json.loads(json.dumps(plain)), {n: x.clone() for n, x in tensors.items()}
        fit.step()  # is lost
        fit = Fit(problem)
        fit.load_state(plain, tensors)
        fit.step()
    assert torch.equal(weights(fit), weights(unbroken))
    assert fit.decision == unbroken.decision


def test_augmentation_changes_training_and_nothing_else(options, data):
    problem = build_problem("ecg", ECG.resolve(options), data)
    seen = []

    def transform(inputs, generator):
        seen.append(inputs["beat"])
        return problem.transform(inputs, generator)

    fit = Fit(replace(problem, transform=transform))
    fit.learners[0].predict(fit.folds[0])
    assert not seen
    fit.step()
    assert len(seen) == 3 * len(fit.learners)
    assert not torch.equal(transform({"beat": seen[0]}, torch.Generator())["beat"], seen[0])


def test_record_balance_decides_what_is_drawn(options, data):
    config = ECG.resolve({**options, "record_balance": 1.0, "steps_per_epoch": 200})
    fit = Fit(build_problem("ecg", config, data))
    learner, plan = fit.work()[0]
    drawn = learner.draw(plan).flatten().numpy()
    for label in (0, 1):
        chosen = drawn[data.label[drawn] == label]
        _, counts = np.unique(data.record[chosen], return_counts=True)
        assert counts.max() / counts.min() < 1.15


def test_the_recipe_is_the_students_and_a_preset_that_is_asked_for_beats_it():
    given = {"data": "x", "student": "patch", "labels": "seed-binary"}
    assert ECG.resolve(given).sampler.target_mix == (0.7, 0.3)
    assert ECG.resolve({**given, "labels": "aami-4"}).sampler.target_mix == (0.55, 0.2, 0.2, 0.05)
    stable = ECG.resolve({**given, "strategy_preset": "stable"})
    assert not stable.sampler.use_weighted_sampler
    assert stable.optim.schedule == "onecycle"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipe": "founding"}, "choose one of ours"),
        ({"num_mlp_layers": 4}, "num_mlp_layers: for the segment student only"),
        ({"force_balanced_batches": True}, "record_balance needs weighted draws"),
    ],
)
def test_options_that_a_patch_student_cannot_honour_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        ECG.resolve({"data": "x", "student": "patch", "labels": "seed-binary", **given})
