"""E1: is the evaluation complete, of this checkpoint, beside baselines, over enough seeds?"""

from __future__ import annotations

from collections.abc import Iterator

from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Status
from training.inspector.identity import ROW, split_hash
from training.inspector.names import SUBSETS, quantity_of
from training.inspector.plan import Plan
from training.inspector.rules.common import PREFERENCE, listed

CLOCK_SLACK_S = 60.0
"""A run writes predictions, figures and checkpoint in one go; their order says nothing. Only where
the predictions do not say themselves which checkpoint made them, times decide."""


def complete(evidence: Evidence, plan: Plan) -> Finding:
    """E1: every domain evaluated, with these weights, on the split, with baselines, ≥ 3 seeds."""
    domains = judged_domains(evidence, plan)
    checks = [_evaluated(evidence, domain) for domain in domains]
    done = [c.subject for c in checks if c.status is Status.OK]
    for domain in done:
        checks.append(_fresh(evidence, domain))
        if plan.E1.baselines:
            checks.append(_beside_baselines(evidence, plan, domain))
    if done:
        checks.append(_same_split(evidence))
    checks.append(_seeds(evidence, plan))
    return Finding("E1", tuple(checks))


def judged_domains(evidence: Evidence, plan: Plan) -> tuple[str, ...]:
    """The subsets that must be evaluated: the plan's, those of the run's split, else test."""
    if plan.E1.domains:
        return plan.E1.domains
    split = evidence.files.meta.get("split", {})
    sizes = {name: split.get(f"num_{name}") for name in SUBSETS}
    if not any(sizes.values()):
        facts = {name: evidence.log.number(f"num_{name}") for name in SUBSETS}
        sizes = {name: fact[0] for name, fact in facts.items() if fact}
    return tuple(name for name in ("val", "test") if sizes.get(name)) or ("test",)


def _evaluated(evidence: Evidence, domain: str) -> Check:
    limit = "predictions, an evaluation or a logged metric"
    saved = evidence.predictions.get(domain)
    evaluation = evidence.files.evaluations.get(domain)
    source = saved.source if saved else evaluation.source if evaluation else None
    if source is None:
        logged = [
            curve.source(-1)
            for name in evidence.log.names
            if name.startswith(f"{domain}/") and quantity_of(name) in PREFERENCE
            for _, curve in evidence.log.curves(name)
        ]
        # A metric that our own runs trace while they train is no evaluation of what they kept.
        source = logged[-1] if logged and not evidence.own else None
    if source is not None:
        message = f"evaluated on {domain}"
        return Check(
            subject=domain, status=Status.OK, limit=limit, message=message, evidence=(source,)
        )
    message = f"no evaluation on {domain}"
    if evidence.unfinished:
        message += ": training has not finished"
    return Check(
        subject=domain,
        status=Status.UNKNOWN if evidence.unfinished else Status.FAIL,
        limit=limit,
        message=message,
    )


def _fresh(evidence: Evidence, domain: str) -> Check:
    subject, limit = f"{domain}: of this checkpoint", "predictions newer than the checkpoint"
    saved, files = evidence.predictions.get(domain), evidence.files
    evaluation = files.evaluations.get(domain)
    stated = None if evaluation is None else evaluation.checkpoint
    if evaluation is not None and stated is not None and stated != files.checkpoint:
        return Check(
            subject=subject,
            status=Status.FAIL,
            limit=limit,
            message="the evaluation is of another checkpoint",
            evidence=(evaluation.source,),
        )
    if saved is None:
        message = "no saved predictions to compare with the checkpoint"
        return Check(subject=subject, status=Status.UNKNOWN, limit=limit, message=message)
    if saved.checkpoint is not None and files.checkpoint is not None:
        same = saved.checkpoint == files.checkpoint
        message = "made by this checkpoint" if same else "made by another checkpoint"
    elif files.checkpoint_modified is not None:
        same = saved.modified + CLOCK_SLACK_S >= files.checkpoint_modified
        message = "newer than the checkpoint" if same else "older than the checkpoint: stale"
    else:
        message = "no checkpoint to compare the predictions with"
        return Check(subject=subject, status=Status.UNKNOWN, limit=limit, message=message)
    return Check(
        subject=subject,
        status=Status.OK if same else Status.FAIL,
        limit=limit,
        message=message,
        evidence=(saved.source,),
    )


def _beside_baselines(evidence: Evidence, plan: Plan, domain: str) -> Check:
    subject, limit = f"{domain}: baselines", "at least one baseline beside the figures"
    rows = [str(row.get("name", "?")) for row in baseline_rows(evidence, plan, domain)]
    evaluation = evidence.files.evaluations.get(domain)
    return Check(
        subject=subject,
        status=Status.OK if rows else Status.UNKNOWN,
        value=len(rows),
        limit=limit,
        message=listed(rows) if rows else f"no baseline was evaluated on {domain}",
        evidence=() if evaluation is None else (evaluation.source,),
    )


def baseline_rows(evidence: Evidence, plan: Plan, domain: str) -> Iterator[dict[str, object]]:
    """Baselines of a domain, from its evaluation and from the plan."""
    evaluation = evidence.files.evaluations.get(domain)
    if evaluation is not None:
        yield from (dict(row) for row in evaluation.baselines)
    for known in plan.baselines:
        if known.subset == domain and known.metric is not None and known.value is not None:
            yield {"name": known.name, known.metric: known.value}


def _same_split(evidence: Evidence) -> Check:
    subject, limit = "split", "the split that was trained on, the same in the group"
    rows = {name: p.keys[ROW] for name, p in evidence.predictions.items() if ROW in p.keys}
    split = evidence.files.meta.get("split", {})
    stated = split.get("hash") if isinstance(split, dict) else None
    if not rows or stated is None:
        message = "the run states no hash of its split" if rows else "no rows were saved to hash"
        return Check(subject=subject, status=Status.UNKNOWN, limit=limit, message=message)
    found = split_hash({name: values.astype(str).tolist() for name, values in rows.items()})
    sources = tuple(evidence.predictions[name].source for name in rows)
    if found != stated:
        message = f"predictions are of another split: hash {found[:12]}, stated {stated[:12]}"
        return Check(
            subject=subject, status=Status.FAIL, limit=limit, message=message, evidence=sources
        )
    tests = {member.test_hash for member in evidence.group}
    if len(tests) > 1:
        message = "the runs of the group were tested on different samples"
        return Check(subject=subject, status=Status.FAIL, limit=limit, message=message)
    return Check(
        subject=subject,
        status=Status.OK,
        value=found[:12],
        limit=limit,
        message=f"hash {found[:12]}",
        evidence=sources,
    )


def _seeds(evidence: Evidence, plan: Plan) -> Check:
    """Too few seeds leave the spread unknown: incomplete, not failed."""
    seeds = sorted({member.seed for member in evidence.group})
    stated = evidence.log.number("num_seeds")
    number = len(seeds) or (int(stated[0]) if stated else 0)
    names = listed([member.name for member in evidence.group])
    message = f"{number} seed{'' if number == 1 else 's'}" + (f": {names}" if names else "")
    return Check(
        subject="seeds",
        status=Status.OK if number >= plan.E1.min_seeds else Status.UNKNOWN,
        value=number,
        limit=f"at least {plan.E1.min_seeds} that share the configuration",
        message=message,
    )
