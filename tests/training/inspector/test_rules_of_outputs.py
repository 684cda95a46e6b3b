"""M1, N3 and P2: collapse, distribution of the outputs, one path."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from training.inspector.evidence import Probe
from training.inspector.plan import M1Limits
from training.inspector.rules.collapse import collapse_reasons

FOUR = ("N", "S", "V", "O")


def all_called(bench, column):
    predicted = np.zeros_like(bench.predictions("test").predicted)
    predicted[:, column] = True
    return bench.with_predictions("test", predicted=predicted)


def with_probs(bench, p):
    return bench.with_predictions("test", probs=np.stack([1.0 - p, p], axis=1), logits=None)


def at_chance(bench):
    return with_probs(bench, np.random.default_rng(0).random(600))


def logged(bench, confusions, **curves):
    """Evidence without predictions whose log holds validation confusion matrices."""
    cells = {
        f"val/confusion/{i}/{j}": [matrix[i][j] for matrix in confusions]
        for i in range(len(confusions[0]))
        for j in range(len(confusions[0]))
    }
    log = bench.log({**bench.CURVES, **cells, **curves})
    return bench.evidence(log=log, predictions={})


GOOD, BAD = [[300, 10], [20, 80]], [[310, 0], [100, 0]]
AUROC = (0.8,) * 7
CASES = {
    "M1 clean": ("M1", "ok", "all 2 classes are called", lambda b: b.evidence()),
    "M1 all positive": (
        "M1", "fail", "normal is never called; nearly everything is called abnormal",
        lambda b: all_called(b, 1)),
    "M1 all negative": ("M1", "fail", "abnormal is never called", lambda b: all_called(b, 0)),
    "M1 ranks at chance": ("M1", "fail", "ranking on test: AUROC 0.5.*at chance", at_chance),
    "M1 ranks upside down": (
        "M1", "fail", "upside down", lambda b: with_probs(b, b.predictions("test").probs[:, 0])),
    "M1 log only, clean": ("M1", "ok", "", lambda b: logged(b, [GOOD] * 7, **{"val/auroc": AUROC})),
    "M1 log only, collapsed at the end": (
        "M1", "fail", "at epoch 7 of 7",
        lambda b: logged(b, [GOOD] * 6 + [BAD], **{"val/auroc": AUROC})),
    "M1 log only, recovered": (
        "M1", "warn", "at epochs 2–3 of 7",
        lambda b: logged(b, [GOOD, BAD, BAD, *[GOOD] * 4], **{"val/auroc": AUROC})),
    "M1 log only, no AUROC": ("M1", "unknown", "no AUROC", lambda b: logged(b, [GOOD] * 7)),
    "M1 log only, no confusion": (
        "M1", "unknown", "no confusion matrix",
        lambda b: b.evidence(predictions={}, log=b.log({**b.CURVES, "val/auroc": AUROC}))),
    "M1 nothing": ("M1", "unknown", "2 of 2", lambda b: b.evidence(predictions={})),
    "N3 clean": ("N3", "ok", "", lambda b: b.evidence()),
    "N3 constant logits": (
        "N3", "fail", "outputs are constant",
        lambda b: b.with_predictions("test", logits=np.full((600, 2), 3.0))),
    "N3 a common offset is no spread": (
        "N3", "fail", "outputs are constant",
        lambda b: b.with_predictions("test", logits=np.arange(600.0)[:, None] * np.ones(2))),
    "N3 mean probability off": (
        "N3", "warn", "class abnormal: mean probability 0.6",
        lambda b: with_probs(b, np.clip(b.predictions("test").probs[:, 1] + 0.45, 0, 1))),
    "N3 not calibrated": (
        "N3", "warn", "calibration error",
        lambda b: with_probs(b, 0.5 + 0.2 * (b.predictions("test").probs[:, 1] > 0.5))),
    "N3 from the log": (
        "N3", "ok", "",
        lambda b: b.evidence(
            predictions={},
            log=b.log({
                "val/logit_std": [0.5], "val/mean_p": [0.3], "val/prevalence": [0.25],
                "val/ece": [0.02]}))),
    "N3 constant in the log": (
        "N3", "fail", "outputs are constant",
        lambda b: b.evidence(
            predictions={},
            log=b.log({
                "val/logit_std": [0.05], "val/mean_p": [0.3], "val/prevalence": [0.25],
                "val/ece": [0.02]}))),
    "N3 half of it": (
        "N3", "unknown", "calibration error: neither",
        lambda b: b.evidence(
            predictions={},
            log=b.log({"val/logit_std": [0.5], "val/mean_p": [0.3], "val/prevalence": [0.25]}))),
    "N3 nothing": ("N3", "unknown", "3 of 3", lambda b: b.evidence(predictions={})),
    "P2 clean": ("P2", "ok", "every bit the same", lambda b: b.evidence()),
    "P2 rounding": ("P2", "warn", "up to rounding", lambda b: probed(b, 1e-7)),
    "P2 another quantity": ("P2", "fail", "differ by up to 0.01", lambda b: probed(b, 0.01)),
    "P2 NaN on both sides": ("P2", "fail", "differ", lambda b: probed(b, np.nan, both=True)),
    "P2 another shape": (
        "P2", "fail", "cannot be compared",
        lambda b: b.evidence(probe=Probe(pairs={"p": (np.zeros(3), np.zeros(4))}))),
    "P2 nothing": (
        "P2", "unknown", "no probe", lambda b: b.evidence(probe=Probe(reason="no probe batch"))),
}  # fmt: skip


def probed(bench, difference, *, both=False):
    one = np.linspace(0.0, 1.0, 8)
    other = one.copy()
    other[3] += difference
    return bench.evidence(probe=Probe(pairs={"probe": (other if both else one, other)}))


@pytest.mark.parametrize(("rule", "status", "message", "build"), CASES.values(), ids=CASES)
def test_rule(bench, rule, status, message, build):
    finding = bench.ask(rule, build(bench))
    assert finding.status == status, finding.message
    assert re.search(message, finding.message)


def test_every_rule_here_fires_is_silent_and_can_be_unknown():
    seen = {(rule, status) for rule, status, _, _ in CASES.values()}
    for rule in {rule for rule, _ in seen}:
        assert {(rule, "ok"), (rule, "unknown")} <= seen
        assert seen & {(rule, "warn"), (rule, "fail")}


@pytest.mark.parametrize(
    ("confusion", "reason"),
    [
        ([[0, 5, 5, 0], [0, 3, 2, 0], [0, 1, 6, 0], [0, 2, 2, 0]], "only the columns S and V"),
        ([[50, 0, 0, 9], [5, 0, 0, 1], [6, 0, 0, 1], [2, 0, 0, 8]], "only the columns N and O"),
        ([[50, 5, 0, 9], [5, 4, 0, 1], [6, 2, 0, 1], [2, 1, 0, 8]], "class V is never called"),
    ],
)
def test_collapses_of_four_classes(confusion, reason):
    assert any(reason in found for found in collapse_reasons(np.array(confusion), FOUR, M1Limits()))


def test_a_class_without_samples_need_not_be_called():
    confusion = np.array([[50, 5, 3], [4, 30, 6], [0, 0, 0]])
    assert collapse_reasons(confusion, "abc", M1Limits()) == []


def test_a_good_model_of_a_common_class_is_not_collapsed():
    assert collapse_reasons(np.array([[990, 2], [1, 7]]), ("n", "a"), M1Limits()) == []


def test_an_earlier_collapse_is_told_though_the_kept_weights_are_good(bench):
    spoilt = logged(bench, [GOOD, BAD, *[GOOD] * 5])
    finding = bench.ask("M1", replace(bench.evidence(), log=spoilt.log))
    assert finding.status == "warn"
    assert "epoch 2" in finding.message


def test_calibration_of_four_classes_is_that_of_the_class_called(bench):
    generator = np.random.default_rng(0)
    probs = generator.dirichlet(np.full(4, 0.5), 4000)
    label = (probs.cumsum(axis=1) > generator.random((4000, 1))).argmax(axis=1)
    every = np.arange(4)
    given = {"classes": FOUR, "truth": label[:, None] == every, "logits": None, "keys": {}}
    called = probs.argmax(axis=1)[:, None] == every
    calibrated = bench.with_predictions("test", probs=probs, predicted=called, **given)
    assert bench.ask("N3", calibrated).status == "ok"
    sharp = probs**4 / (probs**4).sum(axis=1, keepdims=True)
    overconfident = bench.with_predictions("test", probs=sharp, predicted=called, **given)
    assert "calibration error on test" in bench.ask("N3", overconfident).message
