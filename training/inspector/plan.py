"""The plan of a run: what was promised, what must be reached, and the limits of every rule.

A plan is a TOML file. What it leaves out has the defaults below; what it does not ask for
(targets, components, warn lines, a history) is not judged and is named as not asked.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from photonic.errors import ConfigError

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Component(_Section):
    """Something that the plan promises, and the trace that it leaves in a log.

    ``loss``: a term, non-zero in some epoch. ``module``: its gradient norm, non-zero in some epoch.
    ``sampler``: a text of the log that is one of ``expected``. ``schedule``: a column that does not
    stand still. ``stage``: epochs of a stage of that name.

    ``modules`` of a ``loss`` are those that it alone trains: where it is off they have no gradient,
    rightly, so that C3 judges them only where it is on.
    """

    name: str
    kind: Literal["loss", "module", "sampler", "schedule", "stage"]
    traces: tuple[str, ...] = Field(
        default=(), description="Columns or facts; default: by the name."
    )
    expected: tuple[str, ...] = ()
    reasons: tuple[str, ...] = Field(default=(), description="Begin of messages that say why not.")
    modules: tuple[str, ...] = Field(default=(), description="Modules that a loss alone trains.")

    @model_validator(mode="after")
    def _kind_fits(self) -> Component:
        if self.kind == "sampler" and not self.expected:
            raise ValueError(f"sampler {self.name!r} needs `expected`, the texts that show it")
        if self.kind != "loss" and self.modules:
            raise ValueError(f"{self.kind} {self.name!r} trains no modules; only a loss does")
        return self


class Target(_Section):
    """A figure that must be reached on a subset."""

    metric: str
    at_least: float
    subset: str = "test"


class Baseline(_Section):
    """A model that the run is compared with; ``metric`` and ``value`` where they are known."""

    name: str
    subset: str = "test"
    metric: str | None = None
    value: float | None = None


class WarnLine(_Section):
    """A training figure that is too good to be true."""

    metric: str
    warn: float
    severe: float | None = None

    @model_validator(mode="after")
    def _severe_is_above(self) -> WarnLine:
        if self.severe is not None and self.severe < self.warn:
            raise ValueError(f"severe {self.severe} must not lie below warn {self.warn}")
        return self


class C1Limits(_Section):
    """Convergence: how far the loss may rise above its lowest value so far."""

    tolerance: NonNegative = 0.05


class C2Limits(_Section):
    """Learning efficiency: gain of the metric per epoch."""

    min_gain: float = 0.001
    max_gain: Positive = 0.04


class C3Limits(_Section):
    """Gradient norms per module."""

    min_norm: NonNegative = 1e-6
    max_norm: Positive = 1e2


class O2Limits(_Section):
    """Gap between training and validation."""

    warn: NonNegative = 0.10
    fail: NonNegative = 0.20


class O3Limits(_Section):
    """Capacity. Networks with more parameters than samples can fit random labels."""

    max_parameters_per_sample: Positive = 1.0
    stated: Positive | None = Field(
        default=None, description="What a report states, to be compared."
    )


class M1Limits(_Section):
    """Collapse."""

    min_recall: Share = Field(default=0.99, description="Recall that counts as 1.")
    precision_margin: NonNegative = Field(
        default=0.02, description="Share of the way from the prevalence to 1."
    )
    chance_low: Share = 0.47
    chance_high: Share = 0.53


class N2Limits(_Section):
    """Jump of the loss, as a share of the loss before; small losses count as ``floor``."""

    max_jump: Positive = 0.5
    floor: NonNegative = Field(default=0.05, description="Share of the first loss.")


class N3Limits(_Section):
    """Distribution of outputs."""

    min_logit_std: NonNegative = 0.1
    max_prevalence_ratio: Annotated[float, Field(ge=1.0)] = 2.0
    max_ece: Share = 0.10
    min_class_support: Annotated[int, Field(ge=1)] = Field(
        default=20, description="Rarer classes are not compared with their prevalence."
    )


class P2Limits(_Section):
    """One path: how far outputs that are not bit-equal may lie apart to be called rounding."""

    rounding: NonNegative = 1e-5


class H1Limits(_Section):
    """History."""

    neighbours: Annotated[int, Field(ge=1)] = 3
    close: NonNegative = Field(
        default=0.10, description="Distance up to which a run is a close match."
    )


class E1Limits(_Section):
    """Completeness of the evaluation."""

    domains: tuple[str, ...] = Field(default=(), description="Subsets; default: those of the run.")
    min_seeds: Annotated[int, Field(ge=1)] = 3
    baselines: bool = Field(
        default=True, description="Baseline rows must stand beside the figures."
    )


class E2Limits(_Section):
    """Target: interval of the measured figure."""

    level: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 500
    beat_baselines: bool = False


class L1Limits(_Section):
    """Leakage: keys of identity that no two splits may share."""

    keys: tuple[str, ...] = Field(default=(), description="Default: every key that was saved.")
    same: tuple[tuple[str, ...], ...] = Field(
        default=(), description="Names of one and the same patient."
    )
    tolerated: tuple[str, ...] = Field(default=(), description="Shared names that only warn.")
    ids: dict[str, Path] = Field(default={}, description="Subset -> CSV of identity columns.")


class Plan(_Section):
    """Everything that is promised about a run."""

    name: str = ""
    metric: str | None = Field(default=None, description="Curve that C2, O2 and H1 judge.")
    history: Path | None = Field(default=None, description="JSON lines of earlier runs.")
    roll_back_to: str | None = Field(
        default=None, description="Run to return to when this one fails."
    )
    components: tuple[Component, ...] = ()
    targets: tuple[Target, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    warn_lines: tuple[WarnLine, ...] = ()
    C1: C1Limits = C1Limits()
    C2: C2Limits = C2Limits()
    C3: C3Limits = C3Limits()
    O2: O2Limits = O2Limits()
    O3: O3Limits = O3Limits()
    M1: M1Limits = M1Limits()
    N2: N2Limits = N2Limits()
    N3: N3Limits = N3Limits()
    P2: P2Limits = P2Limits()
    H1: H1Limits = H1Limits()
    E1: E1Limits = E1Limits()
    E2: E2Limits = E2Limits()
    L1: L1Limits = L1Limits()


def read_plan(path: str | Path) -> Plan:
    """Read a plan; files that it names are taken relative to it.

    Raises:
        ConfigError: no such file, not TOML, an unknown name or a value out of range.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    try:
        plan = Plan.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise ConfigError(f"{path}: {where}: {fault['msg']}, got {fault['input']!r}") from None
    return plan.model_copy(
        update={
            "history": None if plan.history is None else path.parent / plan.history,
            "L1": plan.L1.model_copy(
                update={"ids": {name: path.parent / file for name, file in plan.L1.ids.items()}}
            ),
        }
    )
