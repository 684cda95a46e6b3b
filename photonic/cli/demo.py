"""``photonic demo``: the whole chain on synthetic records, as the commands a user would type."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from photonic.cli.options import seed_option
from photonic.cli.output import print_json, print_table
from photonic.errors import ConfigError

PROFILE = "lab_ecg_5bit"
SIGMA = "weight.programming_sigma"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One command of the chain and what it answered."""

    command: str
    answer: dict[str, Any]
    status: int
    seconds: float


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("photonic-demo"),
    show_default=True,
    help="New or empty directory for everything that the demo makes.",
)
@seed_option()
@click.option("--json", "as_json", is_flag=True, help="Print every command's answer as JSON.")
@click.pass_context
def demo(context: click.Context, out: Path, seed: int, as_json: bool) -> None:
    """Train, quantise, export, check, verify, stream and sweep on synthetic records.

    Needs no network. Every step is one of the other commands, shown as you would type it.
    """
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty: remove it or name another folder with --out")
    stages = {}
    for name, arguments in commands(out, seed):
        if not as_json:
            click.echo(f"$ photonic {shlex.join(arguments)}")
        stages[name] = run_stage(arguments)
    if as_json:
        print_json({name: stage.answer for name, stage in stages.items()})
    else:
        show(stages, out)
    if any(stage.status for stage in stages.values()):
        context.exit(1)


def commands(out: Path, seed: int) -> Iterator[tuple[str, list[str]]]:
    """The chain as argument lists; later ones are made when the earlier ones have run."""
    records, run, bundle = (str(out / name) for name in ("records", "run", "bundle"))
    yield "synth", ["data", "synth", records, "--seed", str(seed)]
    training = ["--data", records, "--labels", "aami-binary", "--split", "by-record"]
    length = shlex.split("--max-epochs 20 --min-epochs 10 --early-stop-patience 5 --qat-epochs 5")
    training += ["--profile", PROFILE, *length, "--seed", str(seed)]
    yield "train", ["train", "ecg", *training, "--out", run]
    yield "eval", ["eval", run]
    yield "export", ["export", run, "--profile", PROFILE, "--out", bundle]
    yield "check", ["check", bundle]
    yield "verify", ["verify", bundle]
    record = out / "records" / test_record(out / "run")
    yield "stream", ["stream", bundle, "--record", str(record)]
    grid = f"{SIGMA}=0,0.02,0.05,0.1"
    sweep = ["--vary", grid, "--chips", "40", "--out", str(out / "sweep")]
    yield "sweep", ["sweep", bundle, "--profile", PROFILE, *sweep]


def test_record(run: Path) -> str:
    """A record that took no part in training: the first of the run's saved sample."""
    import numpy as np

    with np.load(run / "sample.npz", allow_pickle=False) as sample:
        return str(sample["record"][0])


def run_stage(arguments: Sequence[str]) -> Stage:
    """Run one command in this process with ``--json`` and keep its answer."""
    from photonic.cli.main import cli

    printed = io.StringIO()
    started = time.perf_counter()
    with contextlib.redirect_stdout(printed):
        status = cli.main([*arguments, "--json"], prog_name="photonic", standalone_mode=False)
    return Stage(
        command=shlex.join(arguments),
        answer=json.loads(printed.getvalue()),
        status=int(status or 0),
        seconds=time.perf_counter() - started,
    )


def show(stages: dict[str, Stage], out: Path) -> None:
    """The summary: one line per stage, then where everything is."""
    print_table(
        ("stage", "result", "seconds"),
        [(n, summary(n, s.answer), f"{s.seconds:.1f}") for n, s in stages.items()],
        title="photonic demo: synthetic records, so the figures say that the chain works, "
        "not how good it is",
    )
    for name, what in (
        ("records", "WFDB records"),
        ("run", "weights, log, figures"),
        ("bundle", "ONNX, matrices, codes, golden vectors"),
        ("sweep", "modelled scores of 40 chips per point, table and figure"),
    ):
        click.echo(f"{out / name}  {what}")
    total = sum(stage.seconds for stage in stages.values())
    good = all(stage.status == 0 for stage in stages.values())
    click.echo(f"{'all checks passed' if good else 'a check said no'} in {total:.0f} s")


def summary(name: str, answer: dict[str, Any]) -> str:
    """What one stage's answer comes to, for the table."""
    match name:
        case "synth":
            return f"{len(answer['records'])} records"
        case "train":
            return f"best epoch {answer['epoch']}, profile {answer['profile']}"
        case "eval":
            metrics = answer["metrics"]
            return (
                f"held-out records: F1 {metrics['f1']:.3f}, miss {100 * metrics['miss']:.1f} %, "
                f"FPR {100 * metrics['fpr']:.1f} %, AUROC {metrics['auroc']:.3f}"
            )
        case "export":
            return f"{answer['num_files']} files"
        case "check":
            counted = Counter((f["severity"], f["code"]) for f in answer["findings"])
            found = ", ".join(f"{n} × {s} {code}" for (s, code), n in counted.items())
            return f"{answer['verdict']}" + (f": {found}" if found else "")
        case "verify":
            return (
                f"{answer['verdict']}: float differs by {answer['float_max_abs_diff']:.1g}, "
                f"{answer['quantized_lsb_mismatches']} LSB and "
                f"{answer['decision_mismatches']} decision mismatches "
                f"in {answer['num_samples']} beats"
            )
        case "stream":
            latency, floor = answer["latency_us"], answer["floor_us"]
            return (
                f"{answer['num_beats']} beats, p50 {latency['p50']:.0f} µs beside a floor of "
                f"{floor['p50']:.0f} µs, {answer['missed_deadlines']} deadlines missed"
            )
        case _:
            worst = answer["points"][-1]
            return (
                f"F1 {answer['reference_metric']:.3f} in float, modelled "
                f"{answer['points'][0]['metric_mean']:.3f} at σ 0 and "
                f"{worst['metric_mean']:.3f} at σ {worst['params'][SIGMA]}"
            )
