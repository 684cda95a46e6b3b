"""Training on noise: fresh every step, never in an answer, and resumed to the same weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from export.signal_checks import output_statistics
from photonic.cli.main import run
from photonic.devices.core import DeviceCore
from photonic.errors import ConfigError
from photonic.layers import ExactCore
from photonic.profile import load_profile
from training.fit import Fit
from training.loop import predict
from training.noise import NoisePlan, deployed_core, has_noise
from training.quantized import BrevitasCore
from training.run import load_run, read_log
from training.setup import stages_of
from training.train import Callbacks, resume, train
from training.workloads import workload

CHIPS = {
    "generic": load_profile("lab_ecg_5bit"),
    "mzi": load_profile("shen_2017_mzi"),
    "mrr": load_profile("zhang_2022_mrr"),
    "pcm": load_profile("feldmann_2021_pcm"),
}
PLAIN = NoisePlan(weight_sigma=0.05, activation_sigma=0.05, warmup_epochs=1)


def on_noise(problem, plan: NoisePlan, **options):
    """A toy problem of one stage that ``plan`` disturbs."""
    made = problem(**{"max_epochs": 3, "dropout": 0.1, **options})
    core = ExactCore if plan.profile is None else lambda: deployed_core(plan.profile)
    return replace(made, stages=(replace(made.stages[0], noise=plan, core=core),))


def finished(fit: Fit) -> Fit:
    while not fit.done:
        fit.step()
    return fit


def weights(fit: Fit) -> torch.Tensor:
    return fit.learners[0].parameters.value.detach()


@pytest.mark.parametrize(
    ("plan", "folds"),
    [
        (PLAIN, False),
        (PLAIN, True),
        (NoisePlan(profile=CHIPS["generic"], num_chips=2, warmup_epochs=1), False),
        pytest.param(NoisePlan(profile=CHIPS["pcm"], num_chips=2), False, marks=pytest.mark.slow),
    ],
    ids=["plain", "plain, folds", "chips", "other chips"],
)
def test_noise_broken_off_anywhere_continues_to_the_same_weights(problem, plan, folds):
    options = {"folds": folds, "max_epochs": 2 if plan.profile else 3}
    unbroken = finished(Fit(on_noise(problem, plan, **options)))
    fit = Fit(on_noise(problem, plan, **options))
    while not fit.done:
        plain, tensors = fit.state()
        plain, tensors = json.loads(json.dumps(plain)), {n: x.clone() for n, x in tensors.items()}
        fit.step()  # is lost
        fit = Fit(on_noise(problem, plan, **options))
        fit.load_state(plain, tensors)
        fit.step()
    assert torch.equal(weights(fit), weights(unbroken))
    assert np.array_equal(fit.pooled, unbroken.pooled)
    assert fit.decision == unbroken.decision


@pytest.mark.parametrize("kind", CHIPS)
def test_every_kind_trains_on_its_chips_and_answers_with_its_bits(problem, kind):
    plan = NoisePlan(profile=CHIPS[kind], num_chips=2)
    fit = Fit(on_noise(problem, plan, max_epochs=1, dropout=0.0))
    core = fit.student.core
    assert isinstance(core, DeviceCore)
    assert fit.learners[0].disturbance is core
    fit.step()
    assert core.noise.step == fit.learners[0].steps
    index = np.arange(40)
    noisy = predict(fit.student, fit.problem.samples.inputs, index)
    fit.student.core = BrevitasCore(CHIPS[kind])
    assert np.array_equal(predict(fit.student, fit.problem.samples.inputs, index), noisy)


def test_the_learners_of_two_folds_have_chips_and_noise_of_their_own(problem):
    fit = Fit(on_noise(problem, NoisePlan(profile=CHIPS["generic"]), folds=True))
    seeds = {learner.disturbance.seed for learner in fit.learners}
    assert len(seeds) == len(fit.learners) == 3


def test_no_epoch_of_the_warm_up_is_chosen_and_the_noise_is_whole_after_it(problem):
    fit = Fit(on_noise(problem, replace(PLAIN, warmup_epochs=3), max_epochs=5, lr=1e-6))
    records = []
    while not fit.done:
        records.append(fit.step())
    strengths = [record["noise_strength"] for record in records]
    assert strengths == sorted(strengths)
    assert strengths[1] < 1.0 == strengths[2] == strengths[4]
    assert fit.chosen[0].best_epoch >= 3
    later = [record["selection_score"] for record in records[3:]]
    assert fit.chosen[0].best_score == max(later)


def test_noise_changes_what_is_learned_and_another_seed_changes_the_noise(problem):
    plain = finished(Fit(problem(max_epochs=2)))
    one = finished(Fit(on_noise(problem, PLAIN, max_epochs=2, dropout=0.0)))
    assert not torch.equal(weights(plain), weights(one))
    assert torch.equal(
        weights(one), weights(finished(Fit(on_noise(problem, PLAIN, max_epochs=2, dropout=0.0))))
    )


@pytest.mark.slow
def test_outputs_beyond_the_adc_are_trained_away(problem):
    """Confident samples push the head past an ADC where clipping costs no loss; the check sees."""
    tight = CHIPS["generic"].with_value("output.full_scale", 0.5)
    share, overflow = {}, {}
    for weight in (0.0, 1.0):
        made = on_noise(problem, NoisePlan(profile=tight), max_epochs=6, dropout=0.0)
        fit = Fit(replace(made, stages=(replace(made.stages[0], overflow_weight=weight),)))
        records = []
        while not fit.done:
            records.append(fit.step())
        inputs = {"beat": made.samples.inputs["beat"].numpy()}
        seen = output_statistics(fit.student.program(), tight.converters(), inputs)["head"]
        share[weight] = seen.spoilt / seen.values
        overflow[weight] = records[-1]["adc_overflow"]
    assert share[0.0] > tight.limits.max_clip_rate > share[1.0]
    assert overflow[0.0] > 5 * overflow[1.0]


def test_which_profiles_differ_from_chip_to_chip():
    assert all(map(has_noise, CHIPS.values()))
    ideal = load_profile("ideal")
    assert not has_noise(ideal)
    assert not has_noise(ideal.with_value("weight.bits", 5).with_value("output.bits", 5))
    for key in ("weight.programming_sigma", "output.offset_sigma", "output.gain_sigma",
                "input.noise_sigma", "input.snr_db"):  # fmt: skip
        assert has_noise(ideal.with_value(key, 0.1)), key


def config(**options):
    return workload("ecg").resolve({"data": "x", "labels": "aami-binary", **options})


def test_stages_from_options():
    (only,) = stages_of(config())
    assert only.noise is None
    (first,) = stages_of(config(weight_noise=0.05, max_epochs=2))
    assert first.noise == NoisePlan(weight_sigma=0.05, warmup_epochs=1)
    *_, control, distilled = stages_of(config(use_kd=True, activation_noise=0.1))
    assert control.noise == distilled.noise == NoisePlan(activation_sigma=0.1)
    _, last = stages_of(config(profile="shen_2017_mzi", noise_chips=8, noise_warmup_epochs=2))
    assert last.noise == NoisePlan(profile=CHIPS["mzi"], num_chips=8, warmup_epochs=2)
    _, last = stages_of(config(profile="lab_ecg_5bit", noise=False))
    assert last.noise is None
    assert isinstance(last.core(), BrevitasCore)
    assert (first.overflow_weight, last.overflow_weight) == (0.0, 1.0)
    _, last = stages_of(config(profile="lab_ecg_5bit", overflow_weight=0.25))
    assert last.overflow_weight == 0.25


def test_a_profile_of_noise_alone_is_trained_on_and_one_of_nothing_is_refused(tmp_path):
    text = 'name = "noisy"\ndescription = "x"\n[weight]\nprogramming_sigma = 0.1\n'
    (tmp_path / "noisy.toml").write_text(text, encoding="utf-8")
    options = {"profile": str(tmp_path / "noisy.toml")}
    _, last = stages_of(config(**options))
    assert last.noise is not None
    assert isinstance(last.core(), DeviceCore)
    with pytest.raises(ConfigError, match="gives no bits for input, weight and output, so"):
        stages_of(config(**options, noise=False))
    with pytest.raises(ConfigError, match=r"gives no bits .* and no errors or noise"):
        stages_of(config(profile="ideal"))


@pytest.mark.slow
def test_a_run_on_noise_says_what_fresh_chips_score_and_resumes(
    ecg_options, typed, tmp_path, capsys
):
    options = {
        **ecg_options, "max_epochs": 1, "profile": "lab_ecg_5bit", "qat_epochs": 2,
        "weight_noise": 0.05, "activation_noise": 0.05,
    }  # fmt: skip
    whole = tmp_path / "whole"
    assert run(["train", "ecg", *typed(options), "--out", str(whole)]) == 0
    assert "50 fresh chips of lab_ecg_5bit" in capsys.readouterr().out
    chips = load_run(whole).meta["chips"]
    assert 0.0 <= chips["p05"] <= chips["p50"] <= chips["p95"] <= 1.0
    assert all(e["noise_strength"] == 1.0 for e in read_log(whole) if e["event"] == "epoch")

    broken, seen = tmp_path / "broken", []

    def stop(record):
        seen.append(record)
        if len(seen) == 2:  # amid the stage on chips
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("ecg", workload("ecg").resolve(options), broken, Callbacks(on_epoch=stop))
    resume(broken)
    name = "checkpoint.safetensors"
    assert (broken / name).read_bytes() == (whole / name).read_bytes()
