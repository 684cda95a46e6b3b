"""What a search may change: options by name, each with a range or choices, from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from photonic.errors import ConfigError
from training.config import leaf_names
from training.presets import ALIASES
from training.workloads import Workload

# What is searched must leave the score comparable and the samples that choose the same.
NOT_SEARCHED = {
    "seed": "the search would pick a lucky one",
    "data": "every trial must be scored on the same samples",
    "labels": "every trial must be scored on the same samples",
    "split": "every trial must be scored on the same samples",
    "early_stop_metric": "scores of two metrics cannot be compared",
    "use_kd": "a distilled student is chosen by miss + 0.35·FPR, another score",
    "kd_fpr_weight": "it is part of the score",
    **dict.fromkeys(
        (
            "use_generalization_rescue",
            "use_generalization_score",
            "generalization_score_weight",
            "use_blended_thresholds",
            "threshold_generalization_weight",
            "kd_gen_mix_ratio",
        ),
        "test records take no part in a search",
    ),
    "device": "it is no property of the model",
    "threads": "it is no property of the model",
    "logger": "it is no property of the model",
}


class Suggests(Protocol):
    """The part of an Optuna trial that draws values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int: ...
    def suggest_categorical(self, name: str, choices: list[Any]) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole where both are whole."""

    low: float
    high: float
    log: bool = False

    def suggest(self, name: str, trial: Suggests) -> Any:
        """A value for this trial."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def corners(self) -> tuple[Any, ...]:
        """The values that any check must pass."""
        return self.low, self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One of a few values."""

    choices: tuple[Any, ...]

    def suggest(self, name: str, trial: Suggests) -> Any:
        """A value for this trial."""
        return trial.suggest_categorical(name, list(self.choices))

    def corners(self) -> tuple[Any, ...]:
        """The values that any check must pass."""
        return self.choices


Space = Mapping[str, Range | Choices]

DEFAULT_SPACE: Space = {
    "lr": Range(low=1e-3, high=3e-2, log=True),
    "weight_decay": Range(low=1e-6, high=1e-2, log=True),
    "batch_size": Choices(choices=(64, 128, 256)),
    "label_smoothing": Range(low=0.0, high=0.1),
    "dropout": Range(low=0.0, high=0.2),
}
"""What every student has: optimiser, smoothing and dropout."""


def read_space(file: Path, workload: Workload) -> Space:
    """The search space of a TOML file, ``[space] lr = {low = 1e-4, high = 1e-2, log = true}``.

    A value may also be ``{choices = [...]}``. Names are those of the options of ``train``, with
    ``-`` or ``_``.

    Raises:
        ConfigError: unreadable, empty, an unknown option, or a range that is none.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    table = document.get("space")
    if not isinstance(table, Mapping) or not table or len(document) > 1:
        raise ConfigError(f"{file}: a table [space] with one entry per option is allowed, no more")
    names, space = list(leaf_names(workload.config)), {}
    for key, value in table.items():
        plain = key.replace("-", "_")
        name = str(ALIASES.get(plain, plain))
        if name not in names:
            close = get_close_matches(name, names, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else "see `photonic train --help`"
            raise ConfigError(f"{file}: {key!r} is no option of training; {hint}")
        if name in NOT_SEARCHED:
            raise ConfigError(f"{file}: {key!r} cannot be searched: {NOT_SEARCHED[name]}")
        space[name] = _entry(file, key, value)
    return space


def _entry(file: Path, key: str, value: Any) -> Range | Choices:
    keys = set(value) if isinstance(value, Mapping) else set()
    if keys == {"choices"} and isinstance(value["choices"], list) and value["choices"]:
        if all(isinstance(item, (bool, int, float, str)) for item in value["choices"]):
            return Choices(choices=tuple(value["choices"]))
    elif {"low", "high"} <= keys <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        numbers = all(type(x) in (int, float) for x in (low, high)) and isinstance(log, bool)
        if numbers and low < high and (low > 0 or not log):
            return Range(low=low, high=high, log=log)
    raise ConfigError(
        f"{file}: {key} = {value!r}: give {{low = …, high = …}} with low < high (log = true needs "
        "low > 0) or {choices = […]}"
    )


def check_space(space: Space, given: Mapping[str, Any], workload: Workload) -> None:
    """Resolve the configuration at the ends of every range, so that a bad one fails before a run.

    Raises:
        ConfigError: an option that is given and searched, or a value that training refuses.
    """
    both = sorted(space.keys() & given.keys())
    if both:
        raise ConfigError(f"{', '.join(both)}: given and searched; leave one of the two out")
    for name, entry in space.items():
        for value in entry.corners():
            workload.resolve({**given, name: value})
