"""Finished runs put in order: protocols of models, models of seeds."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonic.errors import RunError
from training.config import flat_values
from training.data.splits import EXTERNAL
from training.evaluation_log import read_evaluations
from training.results.chips import read_chip_scores
from training.run import META, Run, load_run

# Where a run stood or ran, and who looked on: no part of what it is.
_INCIDENTAL = ("seed", "data", "threads", "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One run.

    Attributes:
        run: the run directory.
        test: the last evaluation on its test samples; None where it was never evaluated by
            ``photonic eval``, then only what training wrote is known.
        others: the last evaluation on each other set of records, by what it was on.
        times_tested: how often ``photonic eval`` scored its test samples.
        trained: when training ended.
        chips: scores under coarse and noisy weights, where they were simulated.
    """

    run: Run
    test: Mapping[str, Any] | None
    others: Mapping[str, Mapping[str, Any]]
    times_tested: int
    trained: datetime.date
    chips: Sequence[Mapping[str, Any]] = ()

    def metrics(self, subset: str) -> Mapping[str, Any] | None:
        """Figures of ``val`` or ``test``; of ``test`` those of the last evaluation."""
        if subset == "test" and self.test is not None:
            return self.test["metrics"]
        return self.run.meta["metrics"].get(subset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One model: runs whose configurations differ by the seed alone.

    Attributes:
        name: what it is, with what tells it from the others of its protocol.
        seeds: its runs by seed.
    """

    name: str
    seeds: tuple[Seed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One label map on one split.

    Attributes:
        split: name of the split.
        labels: name of the label map.
        variants: its models, in the order of the runs given.
    """

    split: str
    labels: str
    variants: tuple[Variant, ...]


def collect(folders: Sequence[Path]) -> list[Protocol]:
    """Read run directories and put them in order.

    Raises:
        RunError: no finished run directory; two runs of one model with one seed; runs of one
            protocol with other samples.
    """
    if not folders:
        raise RunError("no run directory was given: name at least one")
    protocols: dict[tuple[str, str], list[Seed]] = {}
    for folder in folders:
        seed = _read(folder)
        meta = seed.run.meta
        protocols.setdefault((meta["split"]["name"], meta["labels"]), []).append(seed)
    return [
        Protocol(split=split, labels=labels, variants=_variants(seeds))
        for (split, labels), seeds in protocols.items()
    ]


def _read(folder: Path) -> Seed:
    run = load_run(folder)
    split = run.meta["split"]["name"]
    tests, others = [], {}
    for document in read_evaluations(folder):
        own = document["split"] == split and not _read_otherwise(run, document)
        if own and document["subset"] == "test":
            tests.append(document)
        elif document["subset"] in ("test", "all"):
            others[_described(run, document)] = document
    written = (run.path / META).stat().st_mtime
    return Seed(
        run=run,
        test=tests[-1] if tests else None,
        others=others,
        times_tested=len(tests),
        trained=datetime.datetime.fromtimestamp(written, datetime.UTC).date(),
        chips=read_chip_scores(folder),
    )


def _read_otherwise(run: Run, document: Mapping[str, Any]) -> bool:
    source, own = document["source"], flat_values(run.config)
    names = ("lead", "companion_lead", "jitter")
    return any(source[name] != own[name] for name in names if name in source)


def _described(run: Run, document: Mapping[str, Any]) -> str:
    """What an evaluation was on, without the place of the folder."""
    source = document["source"]
    lead = "other lead" if source["companion_lead"] else f"lead {source['lead']}"
    records = ", every record" if document["split"] == EXTERNAL else f", {document['subset']}"
    jitter = source.get("jitter")
    moved = f", R peaks moved by up to {jitter} samples" if jitter else ""
    if not jitter and flat_values(run.config)["jitter"]:
        moved = ", R peaks as annotated"
    return f"{Path(source['data']).name}{records}, {lead}{moved}"


def _variants(seeds: Sequence[Seed]) -> tuple[Variant, ...]:
    groups: dict[str, list[Seed]] = {}
    for seed in seeds:
        groups.setdefault(json.dumps(_settings(seed.run), sort_keys=True), []).append(seed)
    settings = [json.loads(key) for key in groups]
    found = []
    for one, members in zip(settings, groups.values(), strict=True):
        ordered = sorted(members, key=lambda member: member.run.config.seed)
        numbers = [member.run.config.seed for member in ordered]
        if len(set(numbers)) < len(numbers):
            names = ", ".join(member.run.path.name for member in ordered)
            raise RunError(f"runs {names}: two of them are the same model with the same seed")
        found.append(Variant(name=_name(one, settings[0]), seeds=tuple(ordered)))
    _check_samples(seeds)
    return tuple(found)


def _settings(run: Run) -> dict[str, Any]:
    values = flat_values(run.config)
    plain = {name: value for name, value in values.items() if name not in _INCIDENTAL}
    return json.loads(json.dumps(plain, default=str))


def _name(settings: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """Student, profile, and what else is set otherwise than in the first model."""
    base = f"{settings.get('student', 'student')} student"
    profile = settings.get("profile")
    if profile is not None:
        base += f", {profile}"
    told = (
        f"{name} {settings.get(name)}"
        for name in sorted({*settings, *first} - {"profile", "student"})
        if settings.get(name) != first.get(name)
    )
    return ", ".join([base, *told])


def _check_samples(seeds: Sequence[Seed]) -> None:
    """Runs side by side in one table must be tested on the same samples."""
    counts = {seed.run.meta["split"]["num_test"]: seed.run.path.name for seed in seeds}
    if len(counts) > 1:
        said = ", ".join(f"{name} {count}" for count, name in counts.items())
        raise RunError(
            f"runs of one protocol have different numbers of test samples ({said}): they are not "
            "of the same data; render them apart"
        )
