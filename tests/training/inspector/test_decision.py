"""D, and the law of the inspector: what is unknown is never taken for ok."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.inspector.evidence import Evidence, Probe, RunFiles
from training.inspector.finding import SEVERITY, Check, Finding, Status, worst
from training.inspector.history import Entry
from training.inspector.inspection import judge
from training.inspector.log import LogBuilder
from training.inspector.plan import Plan, Target
from training.inspector.rules.registry import RULES
from training.inspector.verdict import ADVICE, CAUSE, EXPLAINED_BY, LOG_IT, decide

STATUSES = st.sampled_from(list(Status))
IDS = [rule.id for rule in RULES]


def finding(rule, *statuses):
    return Finding(rule, tuple(Check(status=status, message=str(status)) for status in statuses))


def nothing():
    return Evidence(run="r", log=LogBuilder("log").build())


@given(st.lists(STATUSES))
def test_one_unknown_is_enough_for_not_ok(statuses):
    combined = worst(statuses)
    if Status.UNKNOWN in statuses or not statuses:
        assert combined in (Status.UNKNOWN, Status.FAIL)
    assert all(SEVERITY.index(combined) >= SEVERITY.index(status) for status in statuses)


@given(st.lists(st.tuples(st.sampled_from(IDS), st.lists(STATUSES, min_size=1)), min_size=1))
def test_pass_needs_every_finding_known(drawn):
    findings = [finding(rule, *statuses) for rule, statuses in drawn]
    decision = decide(findings, nothing(), Plan())
    statuses = {found.status for found in findings}
    assert (decision.verdict == "PASS") == (statuses <= {Status.OK, Status.WARN})
    assert (decision.verdict == "FAIL") == (Status.FAIL in statuses)
    assert bool(decision.root_causes) == (decision.verdict == "FAIL")


def test_nothing_judged_is_incomplete():
    assert decide([], nothing(), Plan()).verdict == "INCOMPLETE"


def test_a_clean_run_passes(bench):
    report = judge(bench.evidence(), bench.PLAN)
    assert report.verdict == "PASS", report.summary()
    assert [found.rule for found in report.findings] == IDS
    assert not report.not_asked


def test_no_evidence_is_never_ok(bench):
    report = judge(nothing(), bench.PLAN)
    assert {found.status for found in report.findings} <= {Status.UNKNOWN, Status.FAIL}


# Which part of the evidence a rule cannot do without: dropping it must leave the rule not ok.
NEEDS = {
    "C1": {"train/loss"},
    "C2": {"val/auprc"},
    "C3": {"gradients"},
    "O1": {"train/auprc"},
    "O2": {"train/auprc", "val/auprc"},
    "O3": {"num_train", "num_parameters"},
    "M1": {"predictions"},
    "N1": {"train/loss"},
    "N2": {"train/loss"},
    "N3": {"predictions"},
    "P1": {"gradients", "term/contrastive", "curriculum", "sampler"},
    "P2": {"probe"},
    "H1": {"history"},
    "E1": {"predictions", "group", "split", "baselines"},
    "E2": {"figures"},
    "L1": {"keys", "split"},
}
PARTS = sorted(set().union(*NEEDS.values()))


def partial(bench, dropped):
    """Clean evidence without some of its parts."""
    gone = set(dropped)
    names = gone | ({"grad/encoder", "grad/head"} if "gradients" in gone else set())
    evidence: Evidence = bench.without(*names)
    files = evidence.files
    if "split" in gone:
        files = replace(files, meta={"epoch": 7})
    if "baselines" in gone:
        bare = {k: replace(v, baselines=()) for k, v in files.evaluations.items()}
        files = replace(files, evaluations=bare)
    changes = {"files": files}
    if "probe" in gone:
        changes["probe"] = Probe(reason="dropped")
    if "group" in gone:
        changes["group"] = ()
    if "history" in gone:
        changes["history"] = None
    predictions = evidence.predictions
    if "keys" in gone:
        predictions = {k: replace(p, keys={}) for k, p in predictions.items()}
    if "predictions" in gone or "figures" in gone:
        predictions = {}
    if "figures" in gone:
        changes |= {"group": (), "files": replace(files, evaluations={})}
    return replace(evidence, predictions=predictions, **changes)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_not_ok_for_the_rules_that_need_it(bench, part):
    report = judge(partial(bench, [part]), bench.PLAN)
    for rule, parts in NEEDS.items():
        if part in parts:
            assert report.finding(rule).status in (Status.UNKNOWN, Status.FAIL), rule
    assert report.verdict != "PASS"


@settings(max_examples=30)
@given(dropped=st.sets(st.sampled_from(PARTS)))
def test_partial_evidence_never_passes(bench, dropped):
    full = judge(bench.evidence(), bench.PLAN)
    report = judge(partial(bench, dropped), bench.PLAN)
    assert (report.verdict == "PASS") == (not dropped)
    # What is asked hangs on the plan alone, and less evidence never looks better.
    assert report.not_asked == full.not_asked
    for found, clean in zip(report.findings, full.findings, strict=True):
        assert SEVERITY.index(found.status) >= SEVERITY.index(clean.status)


@given(
    columns=st.sets(st.sampled_from(["train/loss", "train/auprc", "val/auprc", "grad/head"])),
    epochs=st.integers(0, 7),
)
def test_a_log_alone_never_passes(bench, columns, epochs):
    curves = {name: bench.CURVES[name][:epochs] for name in columns}
    evidence = Evidence(run="r", log=bench.log(curves, {}))
    for plan in (Plan(), bench.PLAN):
        report = judge(evidence, plan)
        assert report.verdict != "PASS"
        for rule in ("M1", "N3", "P2", "L1"):
            assert report.finding(rule).status is Status.UNKNOWN
        if "train/loss" not in columns or not epochs:
            assert report.finding("C1").status is Status.UNKNOWN


def test_a_cause_explains_its_consequences():
    findings = [finding(rule, Status.FAIL) for rule in ("N1", "C1", "M1", "E2")]
    decision = decide(findings, nothing(), Plan())
    assert [cause[:2] for cause in decision.root_causes] == ["N1"]


@given(st.sets(st.sampled_from(IDS), min_size=1))
def test_every_failure_has_a_root_cause(rules):
    decision = decide([finding(rule, Status.FAIL) for rule in rules], nothing(), Plan())
    assert decision.root_causes


def test_every_rule_has_its_words():
    assert set(CAUSE) == set(ADVICE) == set(LOG_IT) == set(IDS)
    assert set(EXPLAINED_BY) <= set(IDS)


@pytest.mark.parametrize(
    ("plan", "history", "expected"),
    [
        (Plan(roll_back_to="chat0"), (Entry(id="a", verdict="PASS"),), "chat0"),
        (Plan(), (Entry(id="a", verdict="PASS"), Entry(id="b", verdict="FAIL")), "a"),
        (Plan(baselines=({"name": "lr"},)), None, "lr"),
        (Plan(targets=(Target(metric="f1", at_least=0.5),)), None, None),
    ],
)
def test_where_to_roll_back(plan, history, expected):
    evidence = replace(nothing(), history=history, files=RunFiles())
    assert decide([finding("C1", Status.FAIL)], evidence, plan).roll_back_to == expected
    assert decide([finding("C1", Status.UNKNOWN)], evidence, plan).roll_back_to is None
