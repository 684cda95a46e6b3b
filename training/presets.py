"""Task defaults, presets and the strength dial: functions that return a complete configuration.

Precedence in ``resolve``: task default, preset, strength, what the user gave. A value that the user
gave is never scaled, so resolving a resolved configuration changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from photonic.errors import ConfigError
from training.options import GROUPS, ImbalanceOptions, Task

ALIASES: dict[str, str] = {
    "max_class_weight_ratio": "class_weight_max_ratio",
    "use_weighted_sampling": "use_weighted_sampler",
}
_TOP_LEVEL = ("task", "strategy_preset", "strategy_strength")
_GROUP_OF: dict[str, str] = {
    name: group for group, model in GROUPS.items() for name in model.model_fields
}

_TASK_DEFAULTS: dict[Task, dict[str, Any]] = {
    Task.FOUR_CLASS: {
        "use_weighted_sampler": True,
        "sampler_method": "target_mix",
        "target_mix": (0.5, 0.2, 0.2, 0.1),
        # Half of the target mix is abnormal already; the rescue's boost needs room above it.
        "sampler_max_abnormal_share": 0.7,
        "loss_type": "focal",
        "weight_warmup_epochs": 8,
        "kd_warmup_epochs": 10,
    },
    Task.BINARY: {
        "use_class_weights": False,
        "class_weight_abnormal": 1.3,
        "class_weight_max_ratio": 2.0,
        "class_weight_clamp": 2.0,
        "sampler_method": "boost",
        "sampler_abnormal_boost": 1.1,
    },
    # Weights move the threshold, not the ranking, and cost calibration: thresholds come first.
    Task.MULTI_LABEL: {
        "use_class_weights": False,
        "loss_type": "bce",
        "focal_gamma": 3.0,
        "collapse_to_negative": False,
        "early_stop_metric": "macro_f1",
    },
}

_STABLE: dict[str, Any] = {
    "use_class_weights": False,
    "use_weighted_sampler": False,
    "use_kd": False,
    "imbalance_warmup_epochs": 8,
    "kd_warmup_epochs": 12,
}
_BALANCED: dict[str, Any] = {
    "use_class_weights": True,
    "use_weighted_sampler": True,
    "use_kd": False,
    "imbalance_warmup_epochs": 6,
}
_FULL: dict[str, Any] = {
    "use_class_weights": True,
    "use_weighted_sampler": True,
    "use_kd": True,
    "enable_adaptive_reweight": True,
}
_PRESETS: dict[tuple[str, Task], dict[str, Any]] = {
    ("stable", Task.FOUR_CLASS): _STABLE | {"loss_type": "ce", "weight_warmup_epochs": 8},
    ("stable", Task.BINARY): _STABLE
    | {"class_weight_abnormal": 1.2, "class_weight_max_ratio": 1.5},
    ("stable", Task.MULTI_LABEL): _STABLE,
    ("balanced", Task.FOUR_CLASS): _BALANCED,
    ("balanced", Task.BINARY): _BALANCED,
    ("balanced", Task.MULTI_LABEL): _BALANCED
    | {"loss_type": "weighted_bce", "weight_method": "balanced"},
    ("full", Task.FOUR_CLASS): _FULL,
    ("full", Task.BINARY): _FULL | {"sampler_abnormal_boost": 1.2},
    ("full", Task.MULTI_LABEL): _FULL | {"use_kd": False, "loss_type": "focal"},
    # The two founding recipes for tables; batch size and learning rate belong to the training loop.
    ("aggressive", Task.MULTI_LABEL): {
        "use_class_weights": True,
        "use_weighted_sampler": True,
        "loss_type": "focal",
        "weight_method": "per_class",
        "class_weight_method": "aggressive",
        "class_weight_multiplier": 2.0,
        "stack_sampler_with_ce": True,
        "early_stop_metric": "macro_f1",
        "early_stop_patience": 15,
    },
    ("very_aggressive", Task.MULTI_LABEL): {
        "use_class_weights": True,
        "use_weighted_sampler": True,
        "loss_type": "weighted_bce",
        "weight_method": "per_class",
        "class_weight_method": "very_aggressive",
        "class_weight_multiplier": 5.0,
        "stack_sampler_with_ce": True,
        "early_stop_metric": "macro_recall",
        "early_stop_patience": 20,
    },
}


def preset_names(task: Task) -> tuple[str, ...]:
    """Names accepted by ``resolve`` for this task, ``default`` first."""
    return ("default", *(name for name, of in _PRESETS if of is task))


def task_defaults(task: Task, num_classes: int = 4) -> ImbalanceOptions:
    """The defaults of one task, before any preset.

    Args:
        task: the kind of classification.
        num_classes: classes of a single-label task; the four-class target mix needs exactly four,
            any other number samples by power.
    """
    return _build(_default_values(task, num_classes) | {"task": task})


def resolve(
    task: Task | str,
    *,
    preset: str | None = None,
    strength: float | None = None,
    overrides: Mapping[str, Any] | None = None,
    num_classes: int = 4,
) -> ImbalanceOptions:
    """Complete configuration from a task, a preset, a strength and single switches.

    Args:
        task: ``binary``, ``four-class`` or ``multi-label``.
        preset: ``stable``, ``balanced``, ``full`` (multi-label also ``aggressive``,
            ``very_aggressive``) or ``default`` for the bare task defaults. None means ``stable`` in
            binary tasks and ``default`` elsewhere.
        strength: scales weights, sampler boost and the KD terms of the preset together; 1 leaves
            them, 0 removes them.
        overrides: single options by flat name, ``-`` or ``_``, aliases allowed; they win. They may
            carry ``strategy_preset`` and ``strategy_strength``. A multi-label loss other than bce
            switches positive weights on unless told otherwise.
        num_classes: classes of a single-label task.

    Returns:
        The options; ``flat_options`` of them given back as ``overrides`` yields the same again.

    Raises:
        ConfigError: unknown task, preset or option, a value out of range, or options that
            contradict each other.
    """
    given = _canonical(overrides or {})
    task = _task(given.pop("task", task))
    given_preset: str | None = given.pop("strategy_preset", None)
    given_strength: float = given.pop("strategy_strength", 1.0)
    chosen = preset or given_preset or _default_preset(task)
    values = _default_values(task, num_classes)
    if chosen != "default":
        if (chosen, task) not in _PRESETS:
            raise ConfigError(
                f"strategy_preset {chosen!r} is not defined for the task {task}: "
                f"choose one of {', '.join(preset_names(task))}"
            )
        values |= _PRESETS[chosen, task]
    base = _build(values | {"task": task, "strategy_preset": chosen})
    scaled = flat_options(scale_strength(base, given_strength if strength is None else strength))
    if task is Task.MULTI_LABEL and "loss_type" in given:
        given.setdefault("use_class_weights", given["loss_type"] != "bce")
    return _build(scaled | given)


def scale_strength(options: ImbalanceOptions, strength: float) -> ImbalanceOptions:
    """Scales every rebalancing instrument together: 0 is none of it, 1 is unchanged.

    Class weights follow through ``class_weight_scale``, the sampler through ``sampler_strength``
    and its boost, distillation through beta and gamma. Caps are guards and stay.

    Raises:
        ConfigError: a strength outside [0, 3].
    """
    if not 0.0 <= strength <= 3.0:
        raise ConfigError(f"strategy_strength {strength:g} is outside [0, 3]: 1 leaves the preset")
    flat = flat_options(options)
    changed = {
        "class_weight_scale": flat["class_weight_scale"] * strength,
        "sampler_strength": flat["sampler_strength"] * strength,
        "sampler_abnormal_boost": 1.0 + (flat["sampler_abnormal_boost"] - 1.0) * strength,
        "beta": flat["beta"] * strength,
        "gamma": flat["gamma"] * strength,
        "strategy_strength": strength,
    }
    return _build(flat | changed)


def flat_options(options: ImbalanceOptions) -> dict[str, Any]:
    """Every option by its flat name, plus ``task``, ``strategy_preset``, ``strategy_strength``."""
    flat: dict[str, Any] = {name: getattr(options, name) for name in _TOP_LEVEL}
    for group in GROUPS:
        flat |= getattr(options, group).model_dump()
    return flat


def _default_preset(task: Task) -> str:
    return "stable" if task is Task.BINARY else "default"


def _default_values(task: Task, num_classes: int) -> dict[str, Any]:
    values = dict(_TASK_DEFAULTS[task])
    if task is Task.FOUR_CLASS and num_classes != 4:
        values |= {"sampler_method": "power", "target_mix": ()}
    return values


def _task(task: Task | str) -> Task:
    try:
        return Task(task)
    except ValueError:
        raise ConfigError(
            f"task {str(task)!r} is unknown: choose one of {', '.join(Task)}"
        ) from None


def _canonical(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Flat names with underscores and without aliases."""
    canonical: dict[str, Any] = {}
    for spelled, value in overrides.items():
        name = spelled.replace("-", "_")
        name = ALIASES.get(name, name)
        if name not in _GROUP_OF and name not in _TOP_LEVEL:
            near = get_close_matches(name, (*_GROUP_OF, *ALIASES), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see training/options.py"
            raise ConfigError(f"option {spelled!r} is unknown to the imbalance toolbox: {hint}")
        if name in canonical:
            raise ConfigError(f"option {name} is given twice ({spelled}): give it once")
        canonical[name] = value
    return canonical


def _build(flat: Mapping[str, Any]) -> ImbalanceOptions:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        if name in _TOP_LEVEL:
            nested[name] = value
        else:
            nested.setdefault(_GROUP_OF[name], {})[name] = value
    try:
        return ImbalanceOptions.model_validate(nested)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        message = first["msg"].removeprefix("Value error, ")
        given = f" {where} {first['input']!r}:" if where else ""
        raise ConfigError(f"imbalance options:{given} {message}") from None
