"""The patch student: patches of beat and template residual, merged twice, beside two rhythm tokens.

90 patches of 4 samples × 2 channels → 30 → 10 tokens; each rhythm token through its own matrix;
all twelve tokens through one 48 → 4 layer tiled in blocks, partial sums added digitally; a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from photonic.beats import WINDOW
from photonic.errors import ConfigError
from photonic.layers import ConstrainedLinear
from photonic.program import Activation, Concat, Input, Linear, Patch, Step, Window
from photonic.students.base import Student

PATCH, MERGE, CHANNELS, BEAT_CHANNELS, RHYTHM_TOKENS = 4, 3, 4, 2, 2
TOKENS = WINDOW // PATCH // MERGE // MERGE + RHYTHM_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchConfig:
    """Shape of the patch student; 393 parameters and 23 matrices of 4×4 for two classes."""

    num_classes: int
    constraint_scale: float = 1.0
    learn_gain: bool = True
    initial_gain: float = 2.0
    head_gain: float = 4.0
    dropout: float = 0.1


def patch_student(config: PatchConfig, generator: torch.Generator) -> Student:
    """Build the student: inputs ``beat (batch, 360, 2)`` and ``rhythm (batch, 2, 4)``.

    Raises:
        ConfigError: fewer than 2 classes.
    """
    if config.num_classes < 2:
        raise ConfigError(f"num_classes {config.num_classes}: at least 2")
    sizes = {
        "embed": (PATCH * BEAT_CHANNELS, CHANNELS),
        "merge0": (MERGE * CHANNELS, CHANNELS),
        "merge1": (MERGE * CHANNELS, CHANNELS),
        **{f"rhythm{i}": (CHANNELS, CHANNELS) for i in range(RHYTHM_TOKENS)},
        "mix": (TOKENS * CHANNELS, CHANNELS),
        "head": (CHANNELS, config.num_classes),
    }
    layers = {
        name: ConstrainedLinear(
            fan_in,
            out,
            scale=config.constraint_scale,
            initial_gain=_gain(config, name),
            learn_gain=config.learn_gain,
            generator=generator,
        )
        for name, (fan_in, out) in sizes.items()
    }
    return Student(
        inputs=(
            Input(name="beat", tokens=WINDOW, channels=BEAT_CHANNELS),
            Input(name="rhythm", tokens=RHYTHM_TOKENS, channels=CHANNELS),
        ),
        steps=_steps(),
        output="logits",
        features="mix_features",
        layers=layers,
        dropout=config.dropout,
        dropout_before=frozenset({"mix", "head"}),
    )


def _gain(config: PatchConfig, name: str) -> float:
    if not config.learn_gain:
        return 1.0
    return config.head_gain if name == "head" else config.initial_gain


def _steps() -> tuple[Step, ...]:
    steps: list[Step] = []

    def layer(name: str, source: str) -> str:
        steps.append(Linear(out=f"{name}_sums", source=source, layer=name))
        steps.append(Activation(out=f"{name}_features", source=f"{name}_sums", kind="tanh"))
        return f"{name}_features"

    value = "beat"
    for name, size in (("embed", PATCH), ("merge0", MERGE), ("merge1", MERGE)):
        steps.append(Patch(out=f"{name}_patches", source=value, size=size, stride=size))
        value = layer(name, f"{name}_patches")
    parts = [value]
    for i in range(RHYTHM_TOKENS):
        steps.append(Window(out=f"rhythm{i}_token", source="rhythm", start=i, stop=i + 1))
        parts.append(layer(f"rhythm{i}", f"rhythm{i}_token"))
    steps.append(Concat(out="tokens", sources=tuple(parts)))
    steps.append(Patch(out="all_tokens", source="tokens", size=TOKENS, stride=TOKENS))
    steps.append(Linear(out="logits", source=layer("mix", "all_tokens"), layer="head"))
    return tuple(steps)
