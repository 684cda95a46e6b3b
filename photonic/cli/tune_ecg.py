"""``photonic tune ecg``: a search over the options of ``train ecg``, resumable and shared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from photonic.cli.options import config_option, given_options, json_option, options_from_model
from photonic.cli.output import format_cell, print_json, print_table, progress
from photonic.threads import torch_threads
from training.config import leaf_names
from training.space import DEFAULT_SPACE, Space, read_space
from training.workloads import workload
from training.workloads.ecg import EcgConfig

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

BEST = "best.toml"
_SHOWN = 5


@click.command()
@config_option
@options_from_model(EcgConfig)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help=f"Folder for {BEST} and, without --storage, for the study.",
)
@click.option(
    "--space",
    "space_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="TOML file with what is searched; learning rate, decay, batch size, smoothing and dropout "
    "without it.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Trials that the study is to have, of all workers together.",
)
@click.option(
    "--storage",
    default=None,
    help="Optuna storage URL that workers share; SQLite in the folder without it.",
)
@click.option(
    "--study", "name", default="photonic", show_default=True, help="Name within the storage."
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "none"]),
    default="median",
    show_default=True,
    help="Whether trials below the median of the others stop early.",
)
@click.option(
    "--startup-trials",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Trials that are drawn at random and never pruned.",
)
@click.option(
    "--warmup-epochs",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Epochs before a trial may be pruned.",
)
@json_option
@click.pass_context
def ecg(
    context: click.Context,
    out: Path,
    space_file: Path | None,
    trials: int,
    storage: str | None,
    name: str,
    pruner: str,
    startup_trials: int,
    warmup_epochs: int,
    as_json: bool,
    **_: Any,
) -> None:
    """Search options of `train ecg` by the selection score.

    The score is that of validation, or of out-of-fold samples where the split has folds; test
    records are not looked at. The same command continues a search, and started several times (on
    machines that share the storage) it works as so many workers.
    """
    from training.tune import Search, check_search, num_done, open_study, run_trials, write_best

    space = DEFAULT_SPACE if space_file is None else read_space(space_file, workload("ecg"))
    search = Search(
        workload="ecg",
        given=_given(context, space),
        space=space,
        trials=trials,
        prune=pruner == "median",
        startup_trials=startup_trials,
        warmup_epochs=warmup_epochs,
    )
    check_search(search)
    if storage is None:
        out.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{out.resolve() / 'study.db'}"
    study = open_study(storage, name, search)
    with (
        torch_threads(int(search.given.get("threads", 1))),
        progress("tuning (trials)", total=max(0, trials - num_done(study))) as advance,
    ):

        def on_trial(trial: FrozenTrial) -> None:
            advance(1)
            if not as_json:
                click.echo(_line(trial))

        run_trials(study, search, on_trial)
    write_best(study, search, out / BEST)
    _print(study, out / BEST, as_json)


def _given(context: click.Context, space: Space) -> dict[str, Any]:
    """Options of training that stay; a configuration file may hold what is searched as well."""
    leaves = set(leaf_names(EcgConfig))
    typed = ParameterSource.DEFAULT_MAP
    return {
        name: value
        for name, value in given_options(context).items()
        if name in leaves and not (name in space and context.get_parameter_source(name) is typed)
    }


def _line(trial: FrozenTrial) -> str:
    values = ", ".join(f"{name} {format_cell(value)}" for name, value in trial.params.items())
    score = "" if trial.value is None else f" {trial.value:.4f}"
    why = f" ({trial.user_attrs['reason']})" if "reason" in trial.user_attrs else ""
    return f"trial {trial.number} {trial.state.name.lower()}{score}: {values}{why}"


def _print(study: Study, best: Path, as_json: bool) -> None:
    completed = [t for t in study.trials if t.state.name == "COMPLETE"]
    ranked = sorted(completed, key=lambda t: -(t.value or 0.0))
    states = [trial.state.name.lower() for trial in study.trials]
    if as_json:
        print_json(
            {
                "best": best,
                "score": study.best_value,
                "trials": {state: states.count(state) for state in sorted(set(states))},
                "ranked": [{"number": t.number, "score": t.value, **t.params} for t in ranked],
            }
        )
        return
    names = list(ranked[0].params)
    print_table(
        ["trial", "selection score", *names],
        [[t.number, t.value, *(t.params.get(n) for n in names)] for t in ranked[:_SHOWN]],
        title=f"{study.study_name}: "
        + ", ".join(f"{states.count(s)} {s}" for s in sorted(set(states))),
    )
    click.echo(f"best options: {best}; train with: photonic train ecg --config {best} --out RUN")
