"""P1, H1, E1, E2 and L1: promises, history, evaluation, target, leakage."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from training.inspector.adapters.table import read_columns
from training.inspector.evidence import Evaluation, RunFiles
from training.inspector.finding import Source
from training.inspector.history import Entry
from training.inspector.identity import ROW
from training.inspector.plan import Component, E1Limits, L1Limits, Target

STILL = (1.0,) * 7


def sampler_of(name):
    return lambda b: b.evidence(log=b.log(facts={**b.FACTS, "sampler": name}))


def history(*entries):
    return lambda b: b.evidence(history=entries)


def earlier(verdict, curve, **more):
    return Entry(id="21", verdict=verdict, metric="val/auprc", curve=curve, **more)


def drop(subset):
    def build(b):
        clean = b.evidence()
        kept = {name: p for name, p in clean.predictions.items() if name != subset}
        rows = {k: v for k, v in clean.files.evaluations.items() if k != subset}
        return replace(clean, predictions=kept, files=replace(clean.files, evaluations=rows))

    return build


def no_baseline(b):
    evaluation = Evaluation(
        subset="val", source=Source("x"), metrics={}, baselines=(), checkpoint=None
    )
    return b.with_files(evaluations={"test": evaluation, "val": evaluation})


def group(b, number):
    return b.evidence(group=b.evidence().group[:number])


def other_test(b):
    first, *rest = b.evidence().group
    return b.evidence(group=(replace(first, test_hash="other"), *rest))


def measured(value, spread=0.001):
    def build(b):
        members = b.evidence().group
        return b.evidence(
            group=tuple(
                replace(m, figures={"test": {"f1": value + spread * (i - 1)}})
                for i, m in enumerate(members)
            )
        )

    return build


def share(key, name, kind="str"):
    """Let one sample of the test set carry an identity of the training set."""

    def build(b):
        clean = b.evidence()
        keys = dict(clean.predictions["test"].keys)
        values = keys[key].astype("<U32")
        values[0] = clean.predictions["train"].keys[key][5] if name is None else name
        if kind == "bytes":
            values = np.char.encode(values, "utf-8")
        return b.with_predictions("test", keys={**keys, key: values})

    return build


def no_keys(b):
    clean = b.evidence()
    bare = {name: replace(p, keys={}) for name, p in clean.predictions.items()}
    return replace(clean, predictions=bare)


def selection(used):
    def build(b):
        meta = b.evidence().files.meta
        return b.with_files(meta={**meta, "split": {**meta["split"], "used_in_selection": used}})

    return build


def folded(spanning):
    """Out-of-fold validation: the training rows again, with the fold that held each out."""

    def build(b):
        clean = b.evidence(log=b.log(facts={**b.FACTS, "num_folds": 3.0}))
        train = clean.predictions["train"]
        folds = np.unique(train.keys["record"], return_inverse=True)[1] % 3
        if spanning:
            folds[0] = (folds[0] + 1) % 3
        keys = {**train.keys, "fold": folds} if spanning is not None else train.keys
        val = replace(clean.predictions["val"], keys=keys)
        return replace(clean, predictions={**clean.predictions, "val": val})

    return build


CASES = {
    "P1 clean": ("P1", "ok", "4 of 4", lambda b: b.evidence()),
    "P1 term absent": (
        "P1", "fail", "1 of 4 fail: contrastive loss: no trace", lambda b: b.without(
            "term/contrastive")),
    "P1 term zero throughout": (
        "P1", "fail", "contrastive loss: inert: term/contrastive zero",
        lambda b: b.with_curve("term/contrastive", [0.0] * 7)),
    "P1 module without gradient": (
        "P1", "fail", "head: inert", lambda b: b.with_curve("grad/head", [0.0] * 7)),
    "P1 module absent": ("P1", "fail", "head: no trace", lambda b: b.without("grad/head")),
    "P1 schedule stuck": (
        "P1", "fail", "curriculum: inert: curriculum stuck at 1",
        lambda b: b.with_curve("curriculum", STILL)),
    "P1 other sampler": (
        "P1", "fail", "never used; seen: RandomSampler", sampler_of("RandomSampler")),
    "P1 sampler absent": ("P1", "fail", "weighted sampling: no trace", lambda b: b.without(
        "sampler")),
    "P1 no epoch": ("P1", "unknown", "no epoch", lambda b: b.evidence(log=b.log({}))),
    "P1 not yet": (
        "P1", "unknown", "training has not finished",
        lambda b: replace(b.without("term/contrastive"), files=RunFiles())),
    "H1 clean": ("H1", "ok", "good", lambda b: b.evidence()),
    "H1 like a failed one": (
        "H1", "warn", "run 21 .FAIL. .* 0.780 against 0.775: fell apart",
        history(earlier("FAIL", (0.66, 0.70, 0.78), note="fell apart"))),
    "H1 a failed one closer than far": (
        "H1", "ok", "", history(earlier("FAIL", (0.2, 0.3, 0.35)))),
    "H1 nothing in common": (
        "H1", "unknown", "no earlier run shares", history(Entry(id="21", verdict="FAIL"))),
    "H1 empty": ("H1", "unknown", "no other run", history()),
    "E1 clean": ("E1", "ok", "8 of 8", lambda b: b.evidence()),
    "E1 no test": ("E1", "fail", "test: no evaluation on test", drop("test")),
    "E1 unfinished": (
        "E1", "unknown", "training has not finished",
        lambda b: b.evidence(files=RunFiles(), predictions={}, group=())),
    "E1 of another checkpoint": (
        "E1", "fail", "another checkpoint", lambda b: b.with_predictions("test", checkpoint="x")),
    "E1 older than the checkpoint": (
        "E1", "fail", "stale", lambda b: b.with_predictions(
            "test", checkpoint=None, modified=-100.0)),
    "E1 newer than the checkpoint": (
        "E1", "ok", "", lambda b: b.with_predictions("test", checkpoint=None)),
    "E1 no checkpoint": (
        "E1", "unknown", "no checkpoint",
        lambda b: b.with_files(checkpoint=None, checkpoint_modified=None, evaluations={})),
    "E1 no baseline": ("E1", "unknown", "no baseline was evaluated on val", no_baseline),
    "E1 another split": (
        "E1", "fail", "another split", lambda b: b.with_predictions(
            "val", keys={ROW: np.array(["x"] * 600)})),
    "E1 no hash of the split": (
        "E1", "unknown", "no hash", lambda b: b.with_files(meta={"epoch": 7})),
    "E1 one seed": ("E1", "unknown", "1 of 8 unknown: seeds: 1 seed", lambda b: group(b, 1)),
    "E1 two seeds": ("E1", "unknown", "2 seeds", lambda b: group(b, 2)),
    "E1 tested on different samples": ("E1", "fail", "different samples", other_test),
    "E2 clean": ("E2", "ok", "over 3 seeds", lambda b: b.evidence()),
    "E2 below the target": ("E2", "fail", "below the target", measured(0.55)),
    "E2 not surely above": ("E2", "warn", "not surely above the target", measured(0.61, 0.02)),
    "E2 below a baseline": ("E2", "fail", "against chance: 0.1500 .* lies below", measured(0.15)),
    "E2 perhaps below a baseline": (
        "E2", "fail", r"against chance: 0\.1900 .* not surely above chance",
        measured(0.19, 0.05)),
    "E2 not measured": (
        "E2", "unknown", "f1 was not measured on test",
        lambda b: b.evidence(predictions={}, files=RunFiles(), group=())),
    "L1 clean": ("L1", "ok", "no shared record", lambda b: b.evidence()),
    "L1 shared record": ("L1", "fail", "train and test: record: 1 shared record: train05", share(
        "record", None)),
    "L1 shared row": ("L1", "fail", "train and test: row: 1 shared row", share(ROW, None)),
    "L1 shared record, saved as bytes": (
        "L1", "fail", "train and test: record: 1 shared record: train05",
        share("record", None, kind="bytes")),
    "L1 same patient by another name": (
        "L1", "fail", r"1 shared record: train05\+202", share("record", "202")),
    "L1 test data used in selection": ("L1", "fail", "took part in choosing", selection(True)),
    "L1 selection unsaid": ("L1", "unknown", "does not say", selection(None)),
    "L1 no identities": ("L1", "unknown", "no two splits", no_keys),
    "L1 folds clean": ("L1", "ok", "folds", folded(False)),
    "L1 patient in two folds": (
        "L1", "fail", "folds: record: 1 shared record: train00",
        folded(True)),
    "L1 folds unsaid": ("L1", "unknown", "which fold held out", folded(None)),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "status", "message", "build"), CASES.values(), ids=CASES)
def test_rule(bench, rule, status, message, build):
    plan = bench.PLAN.model_copy(update={"L1": L1Limits(same=(("train05", "202"),))})
    finding = bench.ask(rule, build(bench), plan)
    assert finding.status == status, finding.message
    every = (f"{check.subject}: {check.message}" for check in finding.checks)
    assert re.search(message, "\n".join([finding.message, *every]))


def test_every_rule_here_fires_is_silent_and_can_be_unknown():
    seen = {(rule, status) for rule, status, _, _ in CASES.values()}
    for rule in {rule for rule, _ in seen}:
        assert {(rule, "ok"), (rule, "unknown")} <= seen
        assert seen & {(rule, "warn"), (rule, "fail")}


def test_a_tolerated_patient_warns(bench):
    plan = bench.PLAN.model_copy(update={"L1": L1Limits(tolerated=("train05",), keys=("record",))})
    finding = bench.ask("L1", share("record", None)(bench), plan)
    assert finding.status == "warn"
    assert "tolerated" in finding.message


def test_identity_tables_of_a_plan(bench, write):
    files = {
        "train": write("train.csv", "pair,chrom\np1,chr1\np2,chr2\n"),
        "test": write("test.csv", "pair,chrom\np3,chr2\np4,chr3\n"),
    }
    plan = bench.PLAN.model_copy(update={"L1": L1Limits(ids=files)})
    ids = {subset: read_columns(file) for subset, file in files.items()}
    finding = bench.ask("L1", bench.evidence(predictions={}, ids=ids), plan)
    assert finding.status == "fail"
    assert "chrom: 1 shared chrom: chr2" in finding.message


@pytest.mark.parametrize("metric", ["f1", "macro_f1", "accuracy", "auroc", "auprc"])
def test_interval_of_one_run_over_its_records(bench, metric):
    plan = bench.PLAN.model_copy(update={"targets": (Target(metric=metric, at_least=0.3),)})
    finding = bench.ask("E2", group(bench, 1), plan)
    assert finding.status == "ok"
    assert "over 12 records" in finding.checks[0].message


def test_few_records_leave_the_interval_unknown(bench):
    keys = {"record": np.repeat(["a", "b", "c"], 200)}
    evidence = replace(bench.with_predictions("test", keys=keys), group=())
    finding = bench.ask("E2", evidence)
    assert finding.status == "warn"
    assert "interval unknown: 3 records only" in finding.message


def test_domains_of_the_plan(bench):
    plan = bench.PLAN.model_copy(update={"E1": E1Limits(domains=("cellA", "cellB"))})
    finding = bench.ask("E1", bench.evidence(), plan)
    assert "no evaluation on cellA" in finding.message


def test_a_sampler_needs_the_text_that_shows_it():
    with pytest.raises(ValueError, match="needs `expected`"):
        Component(name="s", kind="sampler")
