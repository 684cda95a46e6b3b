"""``photonic train ecg`` and ``photonic train resume``: from data to a run directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from photonic.cli.eval_only import TrainCommand, eval_only_options
from photonic.cli.options import config_option, given_options, json_option, options_from_model
from photonic.cli.output import print_json, print_table, progress
from photonic.cli.param_types import Seeds
from photonic.threads import available_cores, torch_threads
from training.options import GROUPS
from training.population import is_population, resume_population, summarise, train_population
from training.run import Run
from training.train import Callbacks
from training.train import resume as resume_run
from training.train import train as train_run
from training.workloads import Dataset, workload
from training.workloads.ecg import EcgConfig

OF_PRESETS = {name for group in GROUPS.values() for name in group.model_fields}

workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="With --seeds: processes that the members are spread over.  [default: one per core]",
)


@click.command(cls=TrainCommand)
@config_option
@options_from_model(EcgConfig)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Run directory to make.",
)
@click.option(
    "--max-class-weight-ratio",
    type=click.FloatRange(min=1.0),
    help="Another name of --class-weight-max-ratio.",
)
@click.option(
    "--use-weighted-sampling/--no-use-weighted-sampling",
    default=None,
    help="Another name of --use-weighted-sampler.",
)
@eval_only_options
@click.option(
    "--seeds",
    type=Seeds(),
    help="Several seeds in one go, 0..7 or 0,2,5: a run directory OUT/seed_K for each.",
)
@workers_option
@json_option
@click.pass_context
def ecg(
    context: click.Context,
    out: Path,
    seeds: tuple[int, ...] | None,
    workers: int | None,
    as_json: bool,
    **_: Any,
) -> None:
    """Heartbeats of WFDB records to classes of arrhythmia.

    Options that are not given take the values of the recipe and of the strategy preset; all of
    them stand in config.toml of the run directory, which --config takes back. With --seeds the
    members of a population learn in one vectorised pass, or one per worker.
    """
    own = ("out", "as_json", "seeds", "workers")
    given = {k: v for k, v in given_options(context).items() if k not in own}
    if seeds and context.get_parameter_source("seed") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--seed and --seeds: give one of them")
    if workers and not seeds:
        raise click.UsageError("--workers is for a population: give --seeds too")
    _refuse_overruled_preset(context)
    config = workload("ecg").resolve(given)
    if seeds:
        workers = workers or available_cores()
        with torch_threads(1), _followed(as_json) as callbacks:
            runs = train_population("ecg", config, seeds, out, callbacks, workers=workers)
        _print_population(out, runs, as_json)
        return
    with torch_threads(config.optim.threads), _followed(as_json) as callbacks:
        run = train_run("ecg", config, out, callbacks)
    _print_run(run, as_json)


def _refuse_overruled_preset(context: click.Context) -> None:
    """What a file sets wins over a preset: another one beside it would be one in name only."""
    of_file = context.default_map or {}
    set_there = sorted(OF_PRESETS & of_file.keys())
    for name in ("recipe", "strategy_preset", "strategy_strength"):
        typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if typed and set_there and str(context.params[name]) != of_file.get(name):
            option = "--" + name.replace("_", "-")
            raise click.UsageError(
                f"{option} {context.params[name]}: the file sets {len(set_there)} options that it "
                f"would set ({', '.join(set_there[:3])}, …), and these win; leave {option} out or "
                "take them out of the file"
            )


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@workers_option
@json_option
def resume(run: Path, workers: int | None, as_json: bool) -> None:
    """Continue an interrupted run, to the same weights as if it had not been interrupted.

    A population goes on with all of its members.
    """
    if is_population(run):
        with torch_threads(1), _followed(as_json) as callbacks:
            members = resume_population(run, callbacks, workers=workers or available_cores())
        _print_population(run, members, as_json)
        return
    with torch_threads(1), _followed(as_json) as callbacks:
        finished = resume_run(run, callbacks)
    _print_run(finished, as_json)


@contextmanager
def _followed(as_json: bool) -> Iterator[Callbacks]:
    """Callbacks that show how a run goes: counts and messages as text, epochs as a bar."""
    say = _silent if as_json else click.echo
    with progress("training (epochs)", total=None) as advance:
        yield Callbacks(
            on_data=lambda data: say(_describe(data)),
            on_message=say,
            on_epoch=lambda record: advance(1),
        )


def _silent(text: str) -> None:
    """Nothing: stdout belongs to the JSON object."""


def _describe(data: Dataset) -> str:
    split = data.split
    counts = " / ".join(
        f"{len(index):,}".replace(",", " ") for index in (split.train, split.val, split.test)
    )
    folds = f", {len(split.folds)} patient-wise folds" if split.folds else ""
    return (
        f"{data.labels}, split {split.name}: {counts} samples to train, validate and test on"
        f"{folds}\n{split.note}"
    )


def _print_run(run: Run, as_json: bool) -> None:
    if as_json:
        print_json({"run": run.path, **run.meta})
        return
    columns = ("f1", "macro_f1", "rare_f1", "miss", "fpr", "auroc", "accuracy")
    shown = [c for c in columns if any(m.get(c) is not None for m in run.meta["metrics"].values())]
    print_table(
        ["subset", *shown],
        [[name, *(m.get(c) for c in shown)] for name, m in run.meta["metrics"].items()],
        title=f"{run.path}: epoch {run.meta['epoch']}, {_decision_text(run)}",
    )
    chips = run.meta.get("chips")
    if chips:
        click.echo(
            "{metric} on {num_chips} fresh chips of {profile}, {num_samples} samples of {subset}: "
            "mean {mean:.3f}, 5/50/95 % of chips {p05:.3f} / {p50:.3f} / {p95:.3f} "
            "(modelled)".format(**chips)
        )


def _print_population(out: Path, runs: list[Run], as_json: bool) -> None:
    """Every member's figures of the last subset, and mean ± standard deviation over them."""
    summary = summarise(runs)
    if as_json:
        seeds = [run.config.seed for run in runs]
        print_json({"run": out, "seeds": seeds, "runs": [r.path for r in runs], "metrics": summary})
        return
    columns = ("f1", "macro_f1", "rare_f1", "miss", "fpr", "auroc", "accuracy")
    for subset, figures in summary.items():
        shown = [column for column in columns if column in figures]
        rows = [
            [str(run.config.seed), *(run.meta["metrics"][subset][c] for c in shown)] for run in runs
        ]
        spread = ["{mean:.3f} ± {sd:.3f}".format(**figures[c]) for c in shown]
        print_table(["seed", *shown], [*rows, ["mean ± sd", *spread]], title=f"{out}: {subset}")


def _decision_text(run: Run) -> str:
    threshold = run.decision.threshold
    return "argmax" if threshold is None else f"threshold {threshold:.3f}"
