"""The segment-aware student: P, QRS, T and the whole beat through 4×4 encoders to eight tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from photonic.beats import SEGMENTS, WINDOW
from photonic.errors import ConfigError
from photonic.layers import ConstrainedLinear
from photonic.program import (
    Activation,
    ActivationKind,
    Concat,
    Input,
    Linear,
    Mean,
    Patch,
    Step,
    Unit,
    Window,
)
from photonic.students.base import Student

KERNEL = 4
CHANNELS = 4
# Pooling as (number of tokens, kernel = stride); the whole beat is one mean.
POOLING = {"P": (2, 58), "QRS": (3, 39), "T": (2, 58)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentConfig:
    """Shape of the segment-aware student.

    ``activation="relu"`` normalises every token to its largest magnitude before each layer
    (``scale_to_unit``), as the founding recipe does.
    """

    num_classes: int
    num_mlp_layers: int = 3
    activation: ActivationKind = "tanh"
    constraint_scale: float = 1.0
    use_value_constraint: bool = True
    free_head: bool = False
    learn_gain: bool = True
    initial_gain: float = 2.0
    head_gain: float = 4.0
    dropout: float = 0.0


def segment_student(config: SegmentConfig, generator: torch.Generator) -> Student:
    """Build the student: input ``beat (batch, 360, 1)``, eight tokens of four channels, one head.

    Raises:
        ConfigError: fewer than 2 MLP layers, fewer than 2 classes, or an unknown activation.
    """
    if config.num_mlp_layers < 2:
        raise ConfigError(f"num_mlp_layers {config.num_mlp_layers}: at least 2")
    if config.num_classes < 2:
        raise ConfigError(f"num_classes {config.num_classes}: at least 2")
    if config.activation not in ("tanh", "relu"):
        raise ConfigError(f"activation {config.activation!r}: tanh or relu")
    mlp = [f"mlp{i}" for i in range(config.num_mlp_layers)]
    scale = config.constraint_scale if config.use_value_constraint else None

    def layer(out_features: int, gain: float, bound: float | None) -> ConstrainedLinear:
        return ConstrainedLinear(
            CHANNELS,
            out_features,
            scale=bound,
            initial_gain=gain if config.learn_gain else 1.0,
            learn_gain=config.learn_gain,
            generator=generator,
        )

    layers = {f"{s.lower()}_encoder": layer(CHANNELS, config.initial_gain, scale) for s in SEGMENTS}
    layers |= {name: layer(CHANNELS, config.initial_gain, scale) for name in mlp}
    layers["head"] = layer(
        config.num_classes, config.head_gain, None if config.free_head else scale
    )
    return Student(
        inputs=(Input(name="beat", tokens=WINDOW, channels=1),),
        steps=_steps(mlp, config.activation),
        output="logits",
        features="pooled",
        layers=layers,
        dropout=config.dropout,
        dropout_before=frozenset([*mlp[1:], "head"]),
    )


def _steps(mlp: list[str], kind: ActivationKind) -> tuple[Step, ...]:
    steps: list[Step] = []
    for segment, (start, stop) in SEGMENTS.items():
        name, positions = segment.lower(), stop - start - KERNEL + 1
        tokens, size = POOLING.get(segment, (1, positions))
        steps += [
            Window(out=f"{name}_samples", source="beat", start=start, stop=stop),
            Patch(out=f"{name}_patches", source=f"{name}_samples", size=KERNEL, stride=1),
            Linear(out=f"{name}_sums", source=f"{name}_patches", layer=f"{name}_encoder"),
            Activation(out=f"{name}_features", source=f"{name}_sums", kind=kind),
            Mean(
                out=f"{name}_tokens",
                source=f"{name}_features",
                ranges=tuple((i * size, (i + 1) * size) for i in range(tokens)),
            ),
        ]
    steps.append(Concat(out="tokens", sources=tuple(f"{n.lower()}_tokens" for n in SEGMENTS)))
    value = "tokens"

    def fit(source: str) -> str:
        """ReLU leaves the unit range, so its values are normalised before the next product."""
        if kind == "relu":
            steps.append(Unit(out=f"{source}_unit", source=source))
            return f"{source}_unit"
        return source

    for name in mlp:
        source = fit(value)
        steps.append(Linear(out=f"{name}_sums", source=source, layer=name))
        steps.append(Activation(out=f"{name}_features", source=f"{name}_sums", kind=kind))
        value = f"{name}_features"
    steps.append(Mean(out="pooled", source=value, ranges=((0, 8),)))
    source = fit("pooled")
    steps.append(Linear(out="logits", source=source, layer="head"))
    return tuple(steps)
