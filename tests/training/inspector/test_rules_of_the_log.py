"""C1 to C3, O1 to O3, N1 and N2: each rule fires on its fault and is silent on a clean run."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from training.inspector.plan import Component, Plan

RISES = (0.9, 0.8, 0.7, 0.75, 0.6, 0.55, 0.5)
CASES = {
    "C1 clean": ("C1", "ok", "0.9 → 0.55", lambda b: b.evidence()),
    "C1 does not fall": (
        "C1", "fail", "did not fall", lambda b: b.with_curve("train/loss", [0.9, 0.8, 0.95])),
    "C1 is not monotone": (
        "C1", "warn", "at epoch 4", lambda b: b.with_curve("train/loss", RISES)),
    "C1 rises within 5 %": (
        "C1", "ok", "", lambda b: b.with_curve("train/loss", (0.9, 0.8, 0.83, 0.7, 0.72, 0.6, 0.6))
    ),
    "C1 the log is cut": (
        "C1", "unknown", "ends at epoch 6, before epoch 7",
        lambda b: b.with_curve("train/loss", (0.9, 0.8, 0.7, 0.65, 0.6, 0.55))),
    "C1 ends in NaN": (
        "C1", "fail", "nan at epoch 2", lambda b: b.with_curve("train/loss", [0.9, math.nan])),
    "C1 one epoch": ("C1", "unknown", "one epoch", lambda b: b.with_curve("train/loss", [0.9])),
    "C1 not logged": ("C1", "unknown", "no training loss", lambda b: b.without("train/loss")),
    "C2 clean": ("C2", "ok", "gains 0.0192", lambda b: b.evidence()),
    "C2 fast": (
        "C2", "warn", "at epoch 3",
        lambda b: b.with_curve("val/auprc", (0.6, 0.62, 0.70, 0.72, 0.73, 0.74, 0.75))),
    "C2 stalled": (
        "C2", "warn", "stalled",
        lambda b: b.with_curve("val/auprc", (0.6, 0.6001, 0.6, 0.6002, 0.6, 0.6, 0.6001))),
    "C2 plateau behind the best epoch": (
        "C2", "ok", "",
        lambda b: b.with_curve("val/auprc", (0.6, 0.63, 0.66) + (0.655,) * 100)),
    "C2 saturated from the start": (
        "C2", "ok", "",
        lambda b: b.with_curve("val/auprc", (0.99, 0.9901, 0.9902))),
    "C2 not logged": ("C2", "unknown", "not in the log", lambda b: b.without("val/auprc")),
    "C3 clean": ("C3", "ok", "2 of 2", lambda b: b.evidence()),
    "C3 vanishes": (
        "C3", "fail", "encoder: gradient vanishes",
        lambda b: b.with_curve("grad/encoder", [1e-9] * 7)),
    "C3 explodes once": (
        "C3", "warn", r"encoder: gradient explodes \(250\) at epoch 2 of 7",
        lambda b: b.with_curve("grad/encoder", (1, 250, 1, 1, 1, 1, 1))),
    "C3 not logged": (
        "C3", "unknown", "no gradient", lambda b: b.without("grad/encoder", "grad/head")),
    "O1 clean": ("O1", "ok", "reaches 0.8150", lambda b: b.evidence()),
    "O1 warn": (
        "O1", "warn", "over 0.9 from epoch 2$",
        lambda b: b.with_curve("train/auprc", (0.8, 0.91, 0.94, 0.95, 0.95, 0.95, 0.95))),
    "O1 severe": (
        "O1", "fail", "from epoch 1, severe .* from epoch 3",
        lambda b: b.with_curve("train/auprc", (0.91, 0.95, 0.96, 0.97, 0.97, 0.97, 0.97))),
    "O1 not logged": ("O1", "unknown", "not in the log", lambda b: b.without("train/auprc")),
    "O2 clean": ("O2", "ok", r"= \+0.0400 at epoch 7", lambda b: b.evidence()),
    "O2 warn": (
        "O2", "warn", "over 0.1 from epoch 6",
        lambda b: b.with_curve("train/auprc", (0.70, 0.74, 0.78, 0.80, 0.85, 0.89, 0.90))),
    "O2 fail": (
        "O2", "fail", "over 0.1 from epoch 5",
        lambda b: b.with_curve("train/auprc", (0.70, 0.74, 0.78, 0.80, 0.90, 0.95, 0.99))),
    "O2 no training side": (
        "O2", "unknown", "both training and validation", lambda b: b.without("train/auprc")),
    "O2 no validation side": (
        "O2", "unknown", "both training and validation", lambda b: b.without("val/auprc")),
    "O3 clean": ("O3", "ok", "158 parameters, 5 000 samples", lambda b: b.evidence()),
    "O3 too many": (
        "O3", "warn", "158 parameters per sample",
        lambda b: b.evidence(log=b.log(facts={**b.FACTS, "num_train": 1.0}))),
    "O3 no samples": ("O3", "unknown", "training samples is", lambda b: b.without("num_train")),
    "O3 no parameters": ("O3", "unknown", "parameters is", lambda b: b.without("num_parameters")),
    "N1 clean": ("N1", "ok", "not finite", lambda b: b.evidence()),
    "N1 NaN in any column": (
        "N1", "fail", "grad/head: nan at epoch 2",
        lambda b: b.with_curve("grad/head", [1.0, math.nan])),
    "N1 infinity": (
        "N1", "fail", "curriculum: -inf at epoch 1",
        lambda b: b.with_curve("curriculum", [-math.inf, 1.0])),
    "N1 in predictions": (
        "N1", "fail", "2 of 3 rows",
        lambda b: b.with_predictions(
            "test", probs=b.predictions("test").probs[:3] * [[math.nan], [1.0], [math.inf]])),
    "N1 not logged": ("N1", "unknown", "no training loss", lambda b: b.without("train/loss")),
    "N2 clean": ("N2", "ok", "largest change", lambda b: b.evidence()),
    "N2 jump": (
        "N2", "fail", "jumps by up to 100% at epoch 3",
        lambda b: b.with_curve("train/loss", [0.9, 0.5, 1.0, 0.4])),
    "N2 wobble near zero": (
        "N2", "ok", "", lambda b: b.with_curve("train/loss", [1.0, 0.1, 0.001, 0.003, 0.001])),
    "N2 one epoch": ("N2", "unknown", "one epoch", lambda b: b.with_curve("train/loss", [0.9])),
    "N2 not logged": ("N2", "unknown", "no training loss", lambda b: b.without("train/loss")),
}  # fmt: skip


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


def test_evidence_names_the_lines(bench):
    finding = bench.ask("C1", bench.with_curve("train/loss", RISES))
    assert [str(source) for source in finding.worst_checks[0].evidence] == ["log.jsonl:5"]


def test_a_refit_of_one_epoch_leaves_nothing_unknown(bench):
    choose = bench.log(key="stage float, phase choose")
    refit = bench.log({"train/loss": [0.9]}, {}, key="stage float, phase refit")
    log = replace(choose, traces=(*choose.traces, *refit.traces))
    for rule in ("C1", "N2"):
        assert bench.ask(rule, bench.evidence(log=log)).status == "ok"
    assert bench.ask("C1", bench.evidence(log=refit)).status == "unknown"


DISTILLED = Plan(
    components=(
        Component(
            name="features", kind="loss", traces=("term/kd",), modules=("projection",)
        ),
    )
)  # fmt: skip
OFF, ON = (0.0,) * 7, (0.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)


@pytest.mark.parametrize(
    ("term", "norm", "status", "judged"),
    [
        (ON, (0.0, 1, 1, 1, 1, 1, 1), "ok", True),
        (ON, OFF, "fail", True),
        (OFF, OFF, "ok", False),
        (None, OFF, "ok", False),
    ],
    ids=["learns where its term is on", "does not", "its term is off", "its term was not built"],
)
def test_a_module_is_judged_where_the_loss_that_trains_it_is_on(bench, term, norm, status, judged):
    terms = {} if term is None else {"term/kd": term}
    evidence = bench.evidence(log=bench.log({**bench.CURVES, **terms, "grad/projection": norm}))
    finding = bench.ask("C3", evidence, DISTILLED)
    assert finding.status == status
    assert ("projection" in {check.subject for check in finding.checks}) == judged
    # What C3 does not judge is P1's to name.
    promise = bench.ask("P1", evidence, DISTILLED)
    assert (promise.status == "fail") != (term is ON)
    # A plan that does not say who trains it leaves every epoch to be judged.
    assert bench.ask("C3", evidence).status == ("warn" if norm[1] else "fail")


def test_gradients_of_modules_that_were_never_trained_are_unknown(bench):
    log = bench.log({"term/kd": OFF, "grad/projection": OFF})
    assert bench.ask("C3", bench.evidence(log=log), DISTILLED).status == "unknown"
