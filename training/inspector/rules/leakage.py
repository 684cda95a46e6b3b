"""L1: does anything of one split come back in another, or is selection data reported as test?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.inspector.evidence import Evidence
from training.inspector.finding import Check, Finding, Source, Status, unknown
from training.inspector.identity import FOLD
from training.inspector.plan import L1Limits, Plan
from training.inspector.rules.common import listed

Keys = Mapping[str, NDArray[Any]]


def leakage(evidence: Evidence, plan: Plan) -> Finding:
    """L1: no two splits share a patient, record, pair, chromosome or row; test data is unused."""
    splits: dict[str, tuple[Keys, Source]] = {
        subset: (p.keys, p.source) for subset, p in evidence.predictions.items() if p.keys
    }
    for subset, keys in evidence.ids.items():
        splits[subset] = (keys, Source(plan.L1.ids[subset].name))
    checks = []
    folds = evidence.log.number("num_folds")
    if folds is not None and folds[0] > 0 and {"train", "val"} <= splits.keys():
        # Validation is the out-of-fold scores of the training samples themselves.
        checks += _folds(splits.pop("val"), plan.L1)
    for one, other in combinations(splits, 2):
        checks += _shared(one, other, splits[one], splits[other], plan.L1)
    if not checks:
        return unknown("L1", "no two splits with identities (record, patient, …) were saved")
    checks.append(_selection(evidence))
    return Finding("L1", tuple(checks))


def _shared(
    one: str,
    other: str,
    left: tuple[Keys, Source],
    right: tuple[Keys, Source],
    limits: L1Limits,
) -> Iterator[Check]:
    names = [name for name in left[0] if name in right[0] and name != FOLD]
    wanted = [name for name in names if name in limits.keys] if limits.keys else names
    pair, sources = f"{one} and {other}", (left[1], right[1])
    if not wanted:
        yield Check(
            subject=pair,
            status=Status.UNKNOWN,
            message="no key of identity was saved for both",
            evidence=sources,
        )
    for name in wanted:
        ours, theirs = (_people(np.unique(k[name]), limits) for k in (left[0], right[0]))
        both = np.intersect1d(ours, theirs)
        yield _overlap(f"{pair}: {name}", name, both.tolist(), limits, sources)


def _overlap(
    subject: str, key: str, both: list[str], limits: L1Limits, sources: tuple[Source, ...]
) -> Check:
    serious = [name for name in both if not set(name.split("+")) & set(limits.tolerated)]
    status = Status.FAIL if serious else Status.WARN if both else Status.OK
    found = f"{len(both)} shared {key}{'' if len(both) == 1 else 's'}"
    message = f"{found}: {listed(both)}" if both else f"no shared {key}"
    if both and not serious:
        message += " (tolerated by the plan)"
    return Check(
        subject=subject,
        status=status,
        value=len(both),
        limit="none",
        message=message,
        evidence=sources,
    )


def _people(names: NDArray[Any], limits: L1Limits) -> NDArray[Any]:
    """What stands for each patient, as text."""
    as_text = np.char.decode(names, "utf-8", "replace") if names.dtype.kind == "S" else names
    found = as_text.astype(str)
    if not limits.same:
        return found
    return np.array([_person(name, limits) for name in found.tolist()], dtype=str)


def _person(name: str, limits: L1Limits) -> str:
    """One name for all the names of a patient."""
    for same in limits.same:
        if name in same:
            return "+".join(same)
    return name


def _folds(val: tuple[Keys, Source], limits: L1Limits) -> Iterator[Check]:
    keys, source = val
    folds = keys.get(FOLD)
    if folds is None:
        yield Check(
            subject="folds",
            status=Status.UNKNOWN,
            message="which fold held out which sample was not saved",
            evidence=(source,),
        )
        return
    for name, values in keys.items():
        if name == FOLD or (limits.keys and name not in limits.keys):
            continue
        people = _people(values, limits)
        pairs = np.unique(np.stack([people, folds.astype(str)], axis=1), axis=0)
        people, counts = np.unique(pairs[:, 0], return_counts=True)
        both = people[counts > 1].tolist()
        yield _overlap(f"folds: {name}", name, both, limits, (source,))


def _selection(evidence: Evidence) -> Check:
    split = evidence.files.meta.get("split", {})
    used = split.get("used_in_selection") if isinstance(split, Mapping) else None
    sources = () if evidence.files.meta_source is None else (evidence.files.meta_source,)
    subject, limit = "selection data", "no test sample takes part in choosing"
    if used is None:
        return Check(
            subject=subject,
            status=Status.UNKNOWN,
            limit=limit,
            message="the run does not say which samples took part in choosing",
            evidence=sources,
        )
    return Check(
        subject=subject,
        status=Status.FAIL if used else Status.OK,
        limit=limit,
        message="figures called test are of samples that took part in choosing"
        if used
        else "test samples took no part in choosing",
        evidence=sources,
    )
