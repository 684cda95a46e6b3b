"""D: the decision over all findings: verdict, root causes, advice, debt, and where to roll back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from training.inspector.evidence import Evidence
from training.inspector.finding import Finding, Status
from training.inspector.plan import Plan

Verdict = Literal["PASS", "FAIL", "INCOMPLETE"]

# A finding is no root cause where one that explains it has failed too.
EXPLAINED_BY = {
    "C1": ("N1", "N2"),
    "C2": ("N1", "M1"),
    "C3": ("N1",),
    "N2": ("N1",),
    "N3": ("N1", "M1"),
    "M1": ("N1", "C1"),
    "O2": ("L1", "O1"),
    "E2": ("N1", "M1", "C1", "P1", "P2", "L1"),
}
CAUSE = {
    "C1": "the loss does not converge",
    "C2": "the metric does not grow at a believable pace",
    "C3": "gradients do not reach every module",
    "O1": "training figures are too good: the model memorises, or the task leaks",
    "O2": "the model does not generalise from training to validation",
    "O3": "the model has the capacity to memorise its samples",
    "M1": "the model has collapsed",
    "N1": "numbers left the finite range",
    "N2": "training is unstable",
    "N3": "the outputs do not vary with the input",
    "P1": "what was promised is not what was built",
    "P2": "training and prediction compute different things",
    "H1": "this has failed before",
    "E1": "the evaluation is incomplete",
    "E2": "the target is missed",
    "L1": "splits share what they must not share, or test data took part in choosing",
}
ADVICE = {
    "C1": "lower the learning rate or give more epochs; compare the loss of a batch that is fitted "
    "alone",
    "C2": "check the metric on a shuffled-label control before believing it; if it stalls, raise "
    "the learning rate",
    "C3": "look at initial gains and normalisation of the modules named; clip exploding gradients",
    "O1": "evaluate on unseen records before training on",
    "O2": "stop earlier, regularise, or split by patient",
    "O3": "use a smaller model, or more samples",
    "M1": "use the preset `stable`; see the policy messages of the log for what was tried",
    "N1": "lower the learning rate, clip gradients, and look for flat or huge inputs",
    "N2": "lower the learning rate or lengthen the warm-up",
    "N3": "fit the threshold or calibrate; constant outputs mean a dead layer",
    "P1": "build what is missing or take it out of the plan; find out why what is inert is inert",
    "P2": "make training and prediction import one function",
    "H1": "read what was found for the run that is cited before repeating it",
    "E1": "evaluate every domain with the final checkpoint, beside baselines, over at least three "
    "seeds",
    "E2": "do not deploy; the figures say what is missing",
    "L1": "split by patient (chromosome, pair) and choose on validation only",
}
LOG_IT = {
    "C1": "log the training loss of every epoch",
    "C2": "log a metric of every epoch",
    "C3": "log the gradient norm of every module",
    "O1": "log the metric that the warn line is about",
    "O2": "log the same metric for training and validation",
    "O3": "log the number of parameters and of training samples",
    "M1": "save predictions or log the confusion matrix and AUROC of validation",
    "N1": "log the training loss, NaN included",
    "N2": "log the training loss of every epoch",
    "N3": "save predictions of validation and test",
    "P1": "let training finish, and log what the plan names",
    "P2": "save a probe batch with the outputs of the training process",
    "H1": "log a metric that earlier runs have too",
    "E1": "complete the evaluation: all domains, baselines, the hash of the split, three seeds",
    "E2": "measure the target's metric on its subset",
    "L1": "save record and place of every sample with the predictions, and what took part in "
    "choosing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to make of a run.

    Attributes:
        verdict: FAIL when a rule failed; INCOMPLETE when one is unknown; else PASS.
        root_causes: failed findings that no other failed finding explains.
        advice: what to do, for what failed, then for what is unknown.
        debt: warnings and unknowns that remain, in words.
        roll_back_to: the run to return to when this one fails, where one is known.
    """

    verdict: Verdict
    root_causes: tuple[str, ...]
    advice: tuple[str, ...]
    debt: tuple[str, ...]
    roll_back_to: str | None


def decide(findings: Sequence[Finding], evidence: Evidence, plan: Plan) -> Decision:
    """The decision over all findings."""
    failed = [finding for finding in findings if finding.status is Status.FAIL]
    unknown = [finding for finding in findings if finding.status is Status.UNKNOWN]
    warned = [finding for finding in findings if finding.status is Status.WARN]
    verdict: Verdict = "FAIL" if failed else "INCOMPLETE" if unknown or not findings else "PASS"
    names = {finding.rule for finding in failed}
    roots = [f for f in failed if not names & set(EXPLAINED_BY.get(f.rule, ()))]
    return Decision(
        verdict=verdict,
        root_causes=tuple(f"{f.rule}: {CAUSE[f.rule]} ({f.message})" for f in roots),
        advice=tuple(
            dict.fromkeys(
                [f"{f.rule}: {ADVICE[f.rule]}" for f in roots]
                + [f"{f.rule}: {LOG_IT[f.rule]}" for f in unknown]
            )
        ),
        debt=tuple(f"{f.rule} {f.status}: {f.message}" for f in (*warned, *unknown)),
        roll_back_to=_roll_back(evidence, plan) if verdict == "FAIL" else None,
    )


def _roll_back(evidence: Evidence, plan: Plan) -> str | None:
    """The plan's choice, else the last good run of the history, else the plan's first baseline."""
    if plan.roll_back_to is not None:
        return plan.roll_back_to
    good = [known.id for known in evidence.history or () if known.verdict == "PASS"]
    if good:
        return good[-1]
    return plan.baselines[0].name if plan.baselines else None
