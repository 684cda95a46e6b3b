"""Hyper-parameter search: trials of one study, shared by any number of workers through a storage.

A trial is a training up to the choice of its epoch, scored by the selection score on validation or
out-of-fold samples. The test samples are taken away before anything is trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import (
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from photonic.errors import ConfigError
from photonic.files import atomic_write_text
from training.config import RunConfig, flat_values, to_toml
from training.epochs import Diverged
from training.fit import Fit
from training.setup import build_problem
from training.space import Space, check_space
from training.workloads import Dataset, task_of, workload

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
CREATE_ATTEMPTS, CREATE_WAIT_S = 10, 0.2
_STUDY = "photonic"
_HERE = ("data", "device", "threads", "logger")
"""Options in which the workers of a study may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched and how.

    Attributes:
        workload: name of the workload.
        given: options of training that stay as they are, by leaf name.
        space: options that are searched.
        trials: completed and pruned trials that the study is to have, all workers together.
        prune: stop a trial whose score lies below the median of the others at the same epoch.
        startup_trials: trials that are drawn at random and never pruned.
        warmup_epochs: epochs before a trial may be pruned.
    """

    workload: str
    given: Mapping[str, Any]
    space: Space
    trials: int
    prune: bool = True
    startup_trials: int = 5
    warmup_epochs: int = 5


def check_search(search: Search) -> None:
    """Check a search before anything is made.

    Raises:
        ConfigError: see :func:`training.space.check_space`; or options that make test records part
            of the selection.
    """
    kind = workload(search.workload)
    check_space(search.space, search.given, kind)
    task = task_of(kind.classes(search.given))
    if kind.resolve(search.given).imbalance(task).uses_unseen_records:
        raise ConfigError(
            "a search never sees test records: leave use_generalization_rescue, "
            "use_generalization_score, use_blended_thresholds and kd_gen_mix_ratio off"
        )


def open_study(storage: str, name: str, search: Search) -> optuna.Study:
    """The study of that name, made if it is not there.

    Raises:
        ConfigError: a storage that cannot be used, or a study with another space or other options.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if search.prune:
        pruner = optuna.pruners.MedianPruner(search.startup_trials, search.warmup_epochs)
    try:
        study = _made_or_found(storage, name, pruner)
        found = study.user_attrs.get(_STUDY)
        wanted = _described(search)
        if found is None:
            study.set_user_attr(_STUDY, wanted)
    except ModuleNotFoundError as error:
        raise ConfigError(f"storage {storage}: needs the package {error.name}") from None
    except (ValueError, ImportError, SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"storage {storage}: {reason}") from None
    if found is not None and found != wanted:
        other = _difference(found, wanted)
        raise ConfigError(f"study {name!r} of {storage} is another one: {other}")
    return study


def _made_or_found(storage: str, name: str, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """The study, whoever makes it.

    On an empty database every worker begins to make Optuna's tables, and all but the first fail in
    the middle of it: they then find them made.
    """
    for attempt in range(CREATE_ATTEMPTS):
        try:
            return optuna.create_study(
                storage=storage,
                study_name=name,
                direction="maximize",
                pruner=pruner,
                load_if_exists=True,
            )
        except (IntegrityError, ProgrammingError, OperationalError, StorageInternalError) as error:
            unreachable = isinstance(error, OperationalError) and "exist" not in str(error)
            if unreachable or attempt + 1 == CREATE_ATTEMPTS:
                raise
        sleep(CREATE_WAIT_S)
    raise AssertionError("the last attempt returns or raises")


def run_trials(
    study: optuna.Study,
    search: Search,
    on_trial: Callable[[FrozenTrial], None] = lambda _: None,
    on_source: Callable[[str], None] = lambda _: None,
) -> None:
    """Train trials until the study has as many as wanted.

    Args:
        study: from :func:`open_study`.
        search: what is searched.
        on_trial: called with every trial of this worker when it is over.
        on_source: called with the name of every record that was read.
    """
    datasets: dict[str, Dataset] = {}

    def data_of(config: RunConfig) -> Dataset:
        key = json.dumps(_data_options(config), default=str)
        if key not in datasets:
            datasets.clear()  # one in memory is enough
            datasets[key] = _without_test(workload(search.workload).load(config, on_source))
        return datasets[key]

    while num_done(study) < search.trials:
        trial = study.ask()
        # A stream per trial: workers and resumed searches draw different values.
        seed = _seed(search, trial.number)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=search.startup_trials, seed=seed
        )
        state, score = TrialState.FAIL, None
        try:
            state, score = _trained(trial, search, data_of)
        finally:
            study.tell(trial, score, state)
        on_trial(study.trials[trial.number])


def num_done(study: optuna.Study) -> int:
    """Completed and pruned trials."""
    return len(study.get_trials(deepcopy=False, states=DONE))


def best_config(study: optuna.Study, search: Search) -> RunConfig:
    """The configuration of the best trial.

    Raises:
        ConfigError: no trial was completed.
    """
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not completed:
        reasons = {t.user_attrs["reason"] for t in study.trials if "reason" in t.user_attrs}
        raise ConfigError(
            f"no trial of study {study.study_name!r} was completed"
            + "".join(f"; {reason}" for reason in sorted(reasons)[:1])
        )
    return workload(search.workload).resolve({**search.given, **study.best_params})


def write_best(study: optuna.Study, search: Search, file: Path) -> RunConfig:
    """Write the best configuration as the TOML that ``photonic train --config`` takes."""
    config = best_config(study, search)
    best = study.best_trial
    head = (
        f"# Trial {best.number} of {len(study.trials)}, selection score {best.value:.5f}; "
        f"searched: {', '.join(search.space)}.\n"
    )
    atomic_write_text(file, head + to_toml(config))
    return config


def _trained(
    trial: optuna.Trial, search: Search, data_of: Callable[[RunConfig], Dataset]
) -> tuple[TrialState, float | None]:
    """How a trial ended, and its score; the epochs of its first stage are reported."""
    drawn = {name: entry.suggest(name, trial) for name, entry in search.space.items()}
    try:
        config = workload(search.workload).resolve({**search.given, **drawn})
    except ConfigError as error:  # single values are fine, this combination is not
        trial.set_user_attr("reason", str(error))
        return TrialState.PRUNED, None
    fit = Fit(build_problem(search.workload, config, data_of(config)))
    while not fit.done and not fit.refitting:
        first = fit.number == 0
        try:
            record = fit.step()
        except Diverged as error:
            trial.set_user_attr("reason", str(error))
            return TrialState.PRUNED, None
        if first:
            trial.report(record["selection_score"], record["epoch"])
            if trial.should_prune():
                return TrialState.PRUNED, None
    chosen = fit.chosen[-1]
    trial.set_user_attr("epoch", chosen.best_epoch)
    return TrialState.COMPLETE, chosen.best_score


def _without_test(data: Dataset) -> Dataset:
    return replace(data, split=replace(data.split, test=np.empty(0, np.int64)))


def _data_options(config: RunConfig) -> dict[str, Any]:
    """What the data depends on: the seed, and whatever is no common group of every workload."""
    common = set(RunConfig.model_fields) - {"seed"}
    return {n: v for n, v in config.model_dump(mode="json").items() if n not in common}


def _seed(search: Search, number: int) -> int:
    seed = int(search.given.get("seed", 0))
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _described(search: Search) -> dict[str, Any]:
    """What makes two searches the same: resolved options that stay, and the space."""
    fixed = flat_values(workload(search.workload).resolve(search.given))
    space = {name: repr(entry) for name, entry in search.space.items()}
    kept = {n: v for n, v in fixed.items() if n not in space and n not in _HERE}
    document = {"workload": search.workload, "space": space, "options": kept}
    return json.loads(json.dumps(document, default=str))


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    for part in ("workload", "space", "options"):
        old, new = found.get(part), wanted[part]
        if old == new:
            continue
        if not isinstance(old, Mapping):
            return f"{part} {old} there, {new} here"
        names = [n for n in {**old, **new} if old.get(n) != new.get(n)]
        return ", ".join(f"{n} {old.get(n)} there, {new.get(n)} here" for n in names[:3])
    return "written by another release"
