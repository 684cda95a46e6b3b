"""Train, evaluate and tabulate every ECG protocol: all of docs/results.md from one command.

Run from the repository root:
``python benchmarks/ecg_results.py --data ../shared/data/mitdb --out runs/results``.
Broken off, the same command goes on where it stopped; ``--only`` and ``--seeds`` do a part.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from photonic.cli.main import error_message
from photonic.cli.param_types import CommaSeparated
from photonic.errors import PhotonicError
from photonic.files import atomic_write_text
from photonic.threads import torch_threads
from training.evaluation_log import note_evaluation, read_evaluations
from training.rescore import Request, rescore
from training.results import collect, render
from training.results.chips import CHIPS_FILE, write_chip_scores
from training.run import META, RESUME, Run, load_run
from training.train import resume, train
from training.workloads import workload

COMPANION = Request(reading={"companion_lead": True}, baselines=False)
JITTER = Request(reading={"jitter": 10}, baselines=False)
EC57 = Request(ec57=True)
Job = tuple[str, int]
"""Name of a protocol, and a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One model on one split: options of training, evaluations beside the one on test."""

    options: Mapping[str, Any]
    extra: tuple[Request, ...] = ()
    on_chips: bool = False


_PATCH = {"student": "patch"}
_BINARY = {**_PATCH, "labels": "seed-binary", "split": "seed-patient"}
# Not made for a chip's noise: none injected, and beats disturbed as little as the prototype's were.
_PLAIN = {"weight_noise": 0.0, "activation_noise": 0.0,
          "augment_shift_samples": 6, "augment_noise": 0.03}  # fmt: skip
_DS2 = {**_PATCH, "labels": "aami-4", "split": "ds1-ds2"}
PROTOCOLS = {
    "patient-binary": Protocol(options=_BINARY, extra=(JITTER, COMPANION), on_chips=True),
    "patient-binary-mean": Protocol(
        options={**_BINARY, "template": "mean"}, extra=(JITTER, COMPANION), on_chips=True
    ),
    "patient-binary-plain": Protocol(options={**_BINARY, **_PLAIN}, extra=(JITTER,), on_chips=True),
    "ds1-ds2": Protocol(options=_DS2, extra=(COMPANION,)),
    "patient-aami4": Protocol(options={**_BINARY, "labels": "aami-4"}),
    "founding-binary": Protocol(options={**_BINARY, "split": "seed"}),
    "patient-binary-causal": Protocol(options={**_BINARY, "causal": True}),
}


def finished_run(name: str, seed: int, data: Path, out: Path) -> Path:
    """The run of a protocol and seed with all of its evaluations; what is there is kept."""
    protocol, folder = PROTOCOLS[name], out / f"{name}-{seed}"
    with torch_threads(1):
        run = _trained(protocol, seed, data, folder)
        _evaluate(run, (EC57, *protocol.extra))
        if protocol.on_chips and not (folder / CHIPS_FILE).is_file():
            write_chip_scores(run)
    return folder


def _finished(
    jobs: Sequence[Job], data: Path, out: Path, workers: int
) -> Iterator[tuple[Job, Path]]:
    """Jobs and their runs as they are done."""
    if workers == 1:
        yield from ((job, finished_run(*job, data, out)) for job in jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {pool.submit(finished_run, *job, data, out): job for job in jobs}
        for future in as_completed(pending):
            yield pending[future], future.result()


def _trained(protocol: Protocol, seed: int, data: Path, folder: Path) -> Run:
    if (folder / RESUME).is_file():
        return resume(folder)
    if (folder / META).is_file():
        return load_run(folder)
    given = {"data": data.absolute(), "seed": seed, **protocol.options}
    return train("ecg", workload("ecg").resolve(given), folder)


def _evaluate(run: Run, requests: tuple[Request, ...]) -> None:
    """Score what was not scored yet, once each, and note it in the run directory."""
    done = [document["source"] for document in read_evaluations(run.path)]
    for request in requests:
        asked = {"companion_lead": False, "jitter": 0, **request.reading}
        if any(all(source[k] == v for k, v in asked.items()) for source in done):
            continue
        note_evaluation(run.path, rescore(run, request).to_dict())


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True,
              help="Folder of the MIT-BIH Arrhythmia Database.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the runs.")
@click.option("--only", type=CommaSeparated(click.Choice(list(PROTOCOLS)), None),
              default=tuple(PROTOCOLS), help="Protocols; all if left out.")  # fmt: skip
@click.option("--seeds", type=CommaSeparated(click.IntRange(min=0), None),
              default=(0, 1, 2, 3, 4), help="Seeds.", show_default=True)  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="Page to write; docs/results.md where all protocols run.")  # fmt: skip
def main(
    data: Path,
    out: Path,
    only: tuple[str, ...],
    seeds: tuple[int, ...],
    workers: int,
    page: Path | None,
) -> None:
    """Train and score every protocol with every seed, then write the page."""
    jobs = [(name, seed) for seed in seeds for name in only]
    folders: dict[Job, Path] = {}
    try:
        for job, folder in _finished(jobs, data, out, workers):
            folders[job] = folder
            click.echo(f"{folder} ({len(folders)} of {len(jobs)})")
        if page is None and set(only) == set(PROTOCOLS):
            page = Path("docs/results.md")
        if page is not None:
            command = f"python benchmarks/ecg_results.py --data {data.name} --out {out.name}"
            runs = [folders[name, seed] for name in only for seed in seeds]
            text = render(collect(runs), command=command, today=datetime.datetime.now().date())
            atomic_write_text(page, text)
            click.echo(f"{page}: {len(runs)} runs")
    except PhotonicError as error:
        click.echo(f"ecg_results: error: {error_message(error)}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
