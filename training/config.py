"""The configuration of a run: frozen groups with unique leaf names, resolved once.

Every leaf is an option of the command line under the same name. Where values come from, weakest
first: the model's default, the recipe, the strategy preset and its strength, what the user gave.
The resolved configuration is written beside the results; given back, it makes the same run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from photonic.errors import ConfigError, RunError
from training.options import (
    GROUPS,
    DistillOptions,
    ImbalanceOptions,
    LossOptions,
    PolicyOptions,
    SamplerOptions,
    SelectionOptions,
    Task,
    ThresholdOptions,
    WeightOptions,
)
from training.presets import ALIASES, flat_options, resolve

Preset = Literal["default", "stable", "balanced", "full", "aggressive", "very_aggressive"]


class Section(BaseModel):
    """A group of options: frozen, and no unknown name passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OptimOptions(Section):
    """Optimiser, schedule and length of training."""

    optimizer: Literal["adam", "adamw"] = Field(default="adam", description="Optimiser.")
    lr: float = Field(default=1e-3, gt=0, le=1, description="Learning rate; the peak of onecycle.")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="Weight decay.")
    batch_size: int = Field(default=128, ge=2, description="Samples per step.")
    max_epochs: int = Field(default=90, ge=1, description="Most epochs.")
    min_epochs: int = Field(default=25, ge=0, description="Epochs before early stopping may act.")
    steps_per_epoch: int = Field(
        default=0, ge=0, description="Steps of an epoch; 0: as many as the samples make batches."
    )
    schedule: Literal["plateau", "onecycle", "constant"] = Field(
        default="plateau", description="Learning rate over time."
    )
    plateau_patience: int = Field(
        default=3,
        ge=0,
        description="Epochs without a lower loss before the rate drops.",
    )
    plateau_factor: float = Field(default=0.5, gt=0, lt=1, description="What the rate drops by.")
    clip_norm: float = Field(default=1.0, ge=0, description="Largest gradient norm; 0: no limit.")
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="Decay of the averaged weights that are kept; 0: none."
    )
    device: str = Field(default="cpu", description="Where to train: cpu, cuda or cuda:N.")
    threads: int = Field(default=1, ge=1, description="Threads of one operator on the CPU.")


class HardwareOptions(Section):
    """The hardware that training takes into account."""

    profile: str | None = Field(
        default=None,
        description="Hardware profile, by name or TOML file: fine-tuning with its bits and noise.",
    )
    qat_epochs: int = Field(default=15, ge=1, description="Epochs of fine-tuning, at the end.")
    qat_lr: float = Field(default=1e-3, gt=0, le=1, description="Learning rate of those epochs.")
    overflow_weight: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="Weight in the loss of outputs beyond the ADC's range, while fine-tuning.",
    )
    noise: bool = Field(
        default=True,
        description="Fine-tune on fresh chips of the profile every step, not with its bits alone.",
    )
    noise_chips: int = Field(default=4, ge=1, description="Chips that a batch is spread over.")
    weight_noise: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Noise on weights before fine-tuning: sigma over full scale.",
    )
    activation_noise: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Noise on activations before fine-tuning: sigma over full scale.",
    )
    noise_warmup_epochs: int = Field(
        default=3,
        ge=0,
        description="Epochs in which either noise grows to its full size; none of them is chosen.",
    )


class LoggingOptions(Section):
    """What a run leaves besides weights, log and figures as numbers."""

    figures: bool = Field(
        default=True, description="Draw curves, ROC, confusion and the other pictures of a run."
    )

    logger: Literal["tensorboard"] | None = Field(
        default=None, description="Mirror the log for this tool, in the run directory."
    )


class RunConfig(Section):
    """What every workload's run has; a workload adds its data and its student."""

    seed: int = Field(default=0, ge=0, description="Seed of weights, batches and drawn splits.")
    recipe: Literal["ours", "founding"] = Field(default="ours", description="Set of defaults.")
    strategy_preset: Preset = Field(default="default", description="Set of rebalancing options.")
    strategy_strength: float = Field(
        default=1.0,
        ge=0,
        le=3,
        description="Scales the preset's rebalancing and distillation.",
    )
    optim: OptimOptions = OptimOptions()
    hardware: HardwareOptions = HardwareOptions()
    logging: LoggingOptions = LoggingOptions()
    weights: WeightOptions = WeightOptions()
    sampler: SamplerOptions = SamplerOptions()
    loss: LossOptions = LossOptions()
    policy: PolicyOptions = PolicyOptions()
    thresholds: ThresholdOptions = ThresholdOptions()
    selection: SelectionOptions = SelectionOptions()
    distill: DistillOptions = DistillOptions()

    def imbalance(self, task: Task) -> ImbalanceOptions:
        """The rebalancing options of this configuration for one kind of task."""
        return ImbalanceOptions(
            task=task,
            strategy_preset=self.strategy_preset,
            strategy_strength=self.strategy_strength,
            **{name: getattr(self, name) for name in GROUPS},
        )


ConfigT = TypeVar("ConfigT", bound=RunConfig)


def resolve_config(
    model: type[ConfigT],
    given: Mapping[str, Any],
    *,
    task: Task,
    num_classes: int,
    recipes: Mapping[str, Mapping[str, Any]],
) -> ConfigT:
    """The complete configuration from what the user gave, by leaf name.

    Raises:
        ConfigError: an unknown name, a value out of range, or options that contradict each other.
    """
    given = _without_aliases(given)
    recipe = str(given.get("recipe", model.model_fields["recipe"].default))
    if recipe not in recipes:
        raise ConfigError(f"recipe {recipe!r}: choose one of {', '.join(recipes)}")
    imbalance = {name for group in GROUPS.values() for name in group.model_fields}
    defaults = recipes[recipe]
    if given.get("strategy_preset") is not None:  # asked for: what it sets is not the recipe's
        defaults = {name: value for name, value in defaults.items() if name not in imbalance}
    values = {**defaults, **given}
    resolved = resolve(
        task,
        preset=values.pop("strategy_preset", None),
        strength=values.pop("strategy_strength", None),
        overrides={name: value for name, value in values.items() if name in imbalance},
        num_classes=num_classes,
    )
    flat = flat_options(resolved)
    del flat["task"]  # follows from the data
    return from_flat(model, {**values, **flat})


def _without_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options under their own names.

    Raises:
        ConfigError: an option that stands there under two names.
    """
    plain = {name: value for name, value in given.items() if name not in ALIASES}
    for alias in ALIASES.keys() & given.keys():
        if ALIASES[alias] in plain:
            raise ConfigError(f"{alias} is another name of {ALIASES[alias]}: give it once")
        plain[ALIASES[alias]] = given[alias]
    return plain


def from_flat(model: type[ConfigT], flat: Mapping[str, Any]) -> ConfigT:
    """A nested model from its leaves.

    Raises:
        ConfigError: an unknown name or a value that the model refuses.
    """
    names = set(leaf_names(model))
    unknown = sorted(set(flat) - names)
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: no such option; there are {', '.join(names)}")
    try:
        return model.model_validate(_nest(model, flat))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = next((str(p) for p in reversed(fault["loc"]) if not isinstance(p, int)), "")
        raise ConfigError(f"{name} {fault['input']!r}: {fault['msg']}") from None


def with_values(config: ConfigT, **changes: Any) -> ConfigT:
    """A copy with some leaves changed.

    Raises:
        ConfigError: an unknown name or a value that the model refuses.
    """
    return from_flat(type(config), {**flat_values(config), **changes})


def flat_values(config: BaseModel) -> dict[str, Any]:
    """Every leaf of a nested model by its name."""
    values: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        values |= flat_values(value) if isinstance(value, BaseModel) else {name: value}
    return values


def leaf_names(model: type[BaseModel]) -> Iterator[str]:
    """Names of the leaves of a nested model."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaf_names(inner)
        else:
            yield name


def _nest(model: type[BaseModel], flat: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            values[name] = _nest(inner, flat)
        elif name in flat:
            values[name] = flat[name]
    return values


def to_toml(config: RunConfig) -> str:
    """The configuration as TOML; ``none`` stands for a value that is not set."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        return "none" if value is None else value

    return tomli_w.dumps(plain(config.model_dump(mode="json")))


def read_config(path: Path, model: type[ConfigT]) -> ConfigT:
    """The configuration that a run wrote.

    Raises:
        RunError: no such file, not TOML, or not a configuration of this workload.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        return None if value == "none" else value

    try:
        return model.model_validate(plain(tomllib.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise RunError(f"{path}: missing; a run directory holds it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise RunError(f"{path}: {where}: {fault['msg']}") from None
