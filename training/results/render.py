"""The results page as Markdown. Every figure comes from the run directories."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.ec57.tally import FIGURES
from training.results.collect import Protocol, Seed, Variant

_BINARY = ("f1", "miss", "fpr", "auroc")
_SEVERAL = ("macro_f1", "rare_f1", "miss", "fpr", "auroc", "accuracy")
_TITLES = {
    "f1": "F1", "macro_f1": "macro-F1", "rare_f1": "rare F1", "miss": "miss", "fpr": "FPR",
    "auroc": "AUC", "accuracy": "accuracy", "sensitivity": "Se", "ppv": "+P", "qrs": "QRS",
    "veb": "V", "sveb": "S", "abnormal": "abnormal",
}  # fmt: skip


def render(protocols: Sequence[Protocol], *, command: str, today: datetime.date) -> str:
    """The whole page.

    Args:
        protocols: what :func:`training.results.collect.collect` found.
        command: how the page was made.
        today: when.
    """
    lines = [
        "# Results",
        "",
        f"Written on {today.isoformat()} by `{command}` from finished run directories; nothing is "
        "typed in by hand.",
        "Figures are fractions, mean ± standard deviation over the seeds; with one seed there is "
        "no deviation. A dash is a figure that is undefined or was not scored.",
        "Intervals of one seed are of 95 %, drawn over records.",
    ]
    for protocol in protocols:
        lines += ["", *_protocol(protocol)]
    return "\n".join(lines) + "\n"


def _protocol(protocol: Protocol) -> Iterator[str]:
    yield f"## {protocol.split}, {protocol.labels}"
    yield ""
    yield from _facts(protocol)
    names = _figure_names(protocol)
    for subset, title in (("val", "Validation"), ("test", "Test")):
        rows = [_row(variant, subset, names) for variant in protocol.variants]
        if subset == "test":
            rows += _baseline_rows(protocol, names)
        if any(cell != "–" for row in rows for cell in row[3:]):
            heads = ["model", "seeds", "parameters", *(_TITLES[n] for n in names)]
            yield from ["", f"### {title}", "", *_table(heads, rows)]
    yield from _classes(protocol)
    yield from _intervals(protocol, names)
    yield from _ec57(protocol)
    yield from _records(protocol)
    yield from _others(protocol, names)
    yield from _chips(protocol)


def _facts(protocol: Protocol) -> Iterator[str]:
    seeds = [seed for variant in protocol.variants for seed in variant.seeds]
    first = seeds[0].run
    split = first.meta["split"]
    data = sorted({Path(str(s.run.config.model_dump()["source"]["data"])).name for s in seeds})
    yield f"- Data: {', '.join(data)}; label map {protocol.labels}."
    yield (
        f"- Split {split['name']}: {split['num_train']} samples to train, {split['num_val']} to "
        f"validate, {split['num_test']} to test; {split['note']}."
    )
    used = [s.run.path.name for s in seeds if s.run.meta["split"]["used_in_selection"]]
    yield (
        "- Took part in selection (checkpoint, threshold, sampler): "
        + (
            f"the records to train and validate on, and **the test records too in {', '.join(used)}"
            ": their test figures are no test figures**."
            if used
            else "the records to train and validate on; no test record."
        )
    )
    tested = [seed.times_tested for seed in seeds]
    often = str(tested[0]) if len(set(tested)) == 1 else f"{min(tested)} to {max(tested)}"
    yield (
        "- Test samples of each run were scored once at the end of training and, as its log says, "
        f"{often} times by `photonic eval`; the training log traces them without using them."
    )
    dates = sorted({seed.trained.isoformat() for seed in seeds})
    versions = sorted({_versions(seed) for seed in seeds})
    yield f"- Trained: {dates[0] if len(dates) == 1 else f'{dates[0]} to {dates[-1]}'}."
    yield f"- Versions: {'; '.join(versions)}."
    for variant in protocol.variants:
        runs = ", ".join(f"{s.run.path.name} (seed {s.run.config.seed})" for s in variant.seeds)
        name = variant.seeds[0].run.path.name
        yield (
            f"- {variant.name}: runs {runs}. Again: `photonic train ecg --config "
            f"{name}/config.toml --seed N --out NEW`, `photonic eval NEW --ec57`."
        )


def _versions(seed: Seed) -> str:
    return ", ".join(f"{name} {version}" for name, version in seed.run.meta["versions"].items())


def _figure_names(protocol: Protocol) -> tuple[str, ...]:
    classes = protocol.variants[0].seeds[0].run.classes
    return _BINARY if len(classes) == 2 else _SEVERAL


def _row(variant: Variant, subset: str, names: Iterable[str]) -> list[str]:
    parameters = {seed.run.meta.get("num_parameters") for seed in variant.seeds}
    size = str(parameters.pop()) if len(parameters) == 1 and None not in parameters else "–"
    found = [seed.metrics(subset) for seed in variant.seeds]
    scored = [figures for figures in found if figures is not None]
    return [
        variant.name,
        str(len(scored)),
        size,
        *(spread([figures.get(name) for figures in scored]) for name in names),
    ]


def _baseline_rows(protocol: Protocol, names: Sequence[str]) -> list[list[str]]:
    """Mean of every baseline over all evaluated runs of the protocol."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for document in _tests(protocol):
        for baseline in document["baselines"]:
            found.setdefault(baseline["name"], []).append(baseline["metrics"])
    return [
        [name, str(len(rows)), "–", *(spread([row.get(n) for row in rows]) for n in names)]
        for name, rows in found.items()
    ]


def _classes(protocol: Protocol) -> Iterator[str]:
    kinds = ("sensitivity", "ppv", "f1")
    classes = protocol.variants[0].seeds[0].run.classes
    if len(classes) == 2:
        return
    heads = ["model", *(f"{c} {_TITLES[k]}" for c in classes for k in kinds)]
    rows = []
    for variant in protocol.variants:
        found = [m["per_class"] for s in variant.seeds if (m := s.metrics("test")) is not None]
        rows.append(
            [variant.name, *(spread([p[c][k] for p in found]) for c in classes for k in kinds)]
        )
    if any(cell != "–" for row in rows for cell in row[1:]):
        yield from ["", "### Test, per class", "", *_table(heads, rows)]


def _intervals(protocol: Protocol, names: Sequence[str]) -> Iterator[str]:
    rows = [
        [f"{variant.name}, seed {seed.run.config.seed}", *map(_bounds, map(found.get, names))]
        for variant in protocol.variants
        for seed in variant.seeds
        if seed.test is not None and (found := seed.test["intervals"]) is not None
    ]
    if rows:
        heads = ["run", *(_TITLES[name] for name in names)]
        yield from ["", "### Test, 95 % intervals over records", "", *_table(heads, rows)]


def _ec57(protocol: Protocol) -> Iterator[str]:
    reports = [
        (variant, [s.test["ec57"] for s in variant.seeds if s.test and "ec57" in s.test])
        for variant in protocol.variants
    ]
    reports = [(variant, found) for variant, found in reports if found]
    if not reports:
        return
    events = reports[0][1][0]["events"]
    columns = [(event, name) for event in events for name in FIGURES[event]]

    def cells(figures: Sequence[Mapping[str, Any]]) -> list[str]:
        return [spread([one[event][name] for one in figures]) for event, name in columns]

    rows, beside = [], {}
    for variant, found in reports:
        rows.append([f"{variant.name}, gross", *cells([one["gross"] for one in found])])
        rows.append([f"{variant.name}, average", *cells([one["average"] for one in found])])
        for one in found:
            for baseline in one["baselines"]:
                beside.setdefault(baseline["name"], []).append(baseline["gross"])
    rows += [[f"{name}, gross", *cells(figures)] for name, figures in beside.items()]
    heads = ["model", *(f"{_TITLES[event]} {_TITLES[name]}" for event, name in columns)]
    yield from ["", "### Test by ANSI/AAMI EC57, from 5:00 on, 150 ms", "", *_table(heads, rows)]
    notes = dict.fromkeys(note for _, found in reports for one in found for note in one["notes"])
    yield from ["", *(f"- {note}." for note in notes)]


def _records(protocol: Protocol) -> Iterator[str]:
    """One table per model that was evaluated, means over its seeds."""
    for variant in protocol.variants:
        documents = [seed.test for seed in variant.seeds if seed.test is not None]
        if not documents:
            continue
        classes = list(documents[0]["metrics"]["per_class"])[1:]
        heads = ["record", "samples", *(f"{c} {k}" for c in classes for k in ("Se", "+P")), "FPR"]
        rows = []
        for row in documents[0]["per_record"]:
            own = [r for d in documents for r in d["per_record"] if r["record"] == row["record"]]
            values = [
                spread([one["per_class"][c][k] for one in own])
                for c in classes
                for k in ("sensitivity", "ppv")
            ]
            rows.append([row["record"], str(row["num_samples"]), *values,
                         spread([one["fpr"] for one in own])])  # fmt: skip
        yield from ["", f"### Test per record: {variant.name}", "", *_table(heads, rows)]


def _others(protocol: Protocol, names: Sequence[str]) -> Iterator[str]:
    places = dict.fromkeys(p for v in protocol.variants for s in v.seeds for p in s.others)
    rows = []
    for place in places:
        for variant in protocol.variants:
            found = [s.others[place]["metrics"] for s in variant.seeds if place in s.others]
            if found:
                cells = [spread([one.get(name) for one in found]) for name in names]
                rows.append([place, variant.name, str(len(found)), *cells])
    if rows:
        heads = ["records", "model", "seeds", *(_TITLES[name] for name in names)]
        yield from ["", "### Other leads and databases", "", *_table(heads, rows)]


def _chips(protocol: Protocol) -> Iterator[str]:
    """Modelled figures, in a table of their own."""
    rows = []
    for variant in protocol.variants:
        for condition in dict.fromkeys(row["condition"] for s in variant.seeds for row in s.chips):
            found = [r for s in variant.seeds for r in s.chips if r["condition"] == condition]
            cells = [spread([row[name] for row in found]) for name in ("mean", "p05")]
            chips = str(found[0]["num_chips"])
            rows.append(
                [variant.name, condition, str(len(found)), chips, found[0]["metric"], *cells]
            )
    if rows:
        heads = [
            "model",
            "weights",
            "seeds",
            "chips",
            "metric",
            "mean of chips",
            "5 % of chips below",
        ]
        yield from ["", "### Test samples on simulated chips (modelled)", "", *_table(heads, rows)]
        yield from [
            "",
            "- Sigma is a fraction of full scale, drawn per chip and weight; nothing else "
            "disturbs. The decision is the one chosen in float. Every so many-th test sample is "
            "scored, in the row of the float model too.",
        ]


def _tests(protocol: Protocol) -> list[Mapping[str, Any]]:
    seeds = [seed for variant in protocol.variants for seed in variant.seeds]
    return [seed.test for seed in seeds if seed.test is not None]


def spread(values: Sequence[float | None]) -> str:
    """Mean ± sample standard deviation over the seeds; a dash where a seed has no figure."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "–"
    mean = f"{np.mean(known):.3f}"
    return mean if len(known) == 1 else f"{mean} ± {np.std(known, ddof=1):.3f}"


def _bounds(bounds: Sequence[float] | None) -> str:
    return "–" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
