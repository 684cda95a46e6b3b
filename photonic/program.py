"""A model as a program: layers of matrices and a small closed set of digital steps, in order.

Every value is an array ``(..., tokens, channels)``; a raw beat is ``(batch, 360, channels)``. Steps
name the value they make (``out``) and the values they read. Nothing here knows of ECG or of torch:
simulation, quantised graphs, export, check, re-execution and cost all work on this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from photonic.errors import ProgramError

ActivationKind = Literal["tanh", "relu", "identity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input of the program: ``(batch, tokens, channels)``, values in [-1, 1]."""

    name: str
    tokens: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Tokens ``start:stop:stride`` of ``source``."""

    out: str
    source: str
    start: int
    stop: int
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """``size`` consecutive tokens flattened to one, every ``stride``: ``(T, C) → (T', size·C)``."""

    out: str
    source: str
    size: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """One token per range ``(start, stop)``: the mean of those tokens."""

    out: str
    source: str
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Tokens of several values after one another."""

    out: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """``gain · (W·x + b)`` on every token: the optical product, tile by tile, and the bias."""

    out: str
    source: str
    layer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """An element-wise function; on codes a table from ADC codes to DAC codes."""

    out: str
    source: str
    kind: ActivationKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Every token divided by its largest magnitude (``scale_to_unit``); a zero token stays zero."""

    out: str
    source: str


Step = Window | Patch | Mean | Concat | Linear | Activation | Unit
STEPS: dict[str, type[Step]] = {
    cls.__name__.lower(): cls for cls in (Window, Patch, Mean, Concat, Linear, Activation, Unit)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Values of one linear layer: ``y = gain · (matrix @ x + bias)``.

    ``matrix`` is ``(out, in)`` and ``bias`` ``(out,)``, float32, the values in use (after the
    constraint); ``gain`` is the electrical gain in front of the ADC.
    """

    name: str
    matrix: np.ndarray
    bias: np.ndarray
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One matrix as the core holds it: a tile of a layer, zero-padded to the core's shape."""

    name: str
    layer: str
    row: int
    col: int
    matrix: np.ndarray
    gain: float
    applied_per_beat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Inputs, ordered steps, the name of the output value (logits), and the layers' values."""

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    output: str
    layers: Mapping[str, Layer]

    def __post_init__(self) -> None:
        shapes = self.shapes()
        if self.output not in shapes:
            raise ProgramError(f"output {self.output!r} is made by no step")
        if shapes[self.output][0] != 1:
            raise ProgramError(
                f"output {self.output!r} has {shapes[self.output][0]} tokens: logits are one token"
            )

    @property
    def num_classes(self) -> int:
        """Number of logits."""
        return self.shapes()[self.output][1]

    def shapes(self) -> dict[str, tuple[int, int]]:
        """``(tokens, channels)`` of every value.

        Raises:
            ProgramError: a step reads a value that does not exist yet, or its shape does not fit.
        """
        shapes = {i.name: (i.tokens, i.channels) for i in self.inputs}
        for step in self.steps:
            for source in sources(step):
                if source not in shapes:
                    known = ", ".join(shapes)
                    raise ProgramError(f"step {step.out!r} reads {source!r}; known are: {known}")
            if step.out in shapes:
                raise ProgramError(f"value {step.out!r} is made twice")
            shapes[step.out] = self._out_shape(step, shapes)
        return shapes

    def _out_shape(self, step: Step, shapes: dict[str, tuple[int, int]]) -> tuple[int, int]:
        read = [shapes[s] for s in sources(step)]
        tokens, channels = read[0]
        match step:
            case Window():
                if not 0 <= step.start < step.stop <= tokens:
                    raise ProgramError(
                        f"window {step.out!r} {step.start}:{step.stop} of {tokens} tokens"
                    )
                return len(range(step.start, step.stop, step.stride)), channels
            case Patch():
                if not 1 <= step.size <= tokens:
                    raise ProgramError(f"patch {step.out!r} of {step.size} in {tokens} tokens")
                return (tokens - step.size) // step.stride + 1, step.size * channels
            case Mean():
                for start, stop in step.ranges:
                    if not 0 <= start < stop <= tokens:
                        raise ProgramError(f"mean {step.out!r} {start}:{stop} of {tokens} tokens")
                return len(step.ranges), channels
            case Concat():
                if len({c for _, c in read}) != 1:
                    raise ProgramError(f"concat {step.out!r} of different channel counts: {read}")
                return sum(t for t, _ in read), channels
            case Linear():
                if step.layer not in self.layers:
                    raise ProgramError(
                        f"step {step.out!r} uses layer {step.layer!r}; "
                        f"known are: {', '.join(self.layers)}"
                    )
                rows, cols = self.layers[step.layer].matrix.shape
                if cols != channels:
                    raise ProgramError(
                        f"layer {step.layer!r} takes {cols} channels, "
                        f"{step.source!r} has {channels}"
                    )
                return tokens, rows
            case Activation() | Unit():
                return tokens, channels

    def applied_per_beat(self) -> dict[str, int]:
        """How often each layer's matrix is applied to one beat (tokens, summed over its uses)."""
        shapes = self.shapes()
        counts = dict.fromkeys(self.layers, 0)
        for step in self.steps:
            if isinstance(step, Linear):
                counts[step.layer] += shapes[step.source][0]
        return counts

    def blocks(self, rows: int, cols: int) -> tuple[Block, ...]:
        """Every matrix the chip holds on a ``rows × cols`` core, in execution order."""
        applied = self.applied_per_beat()
        blocks = []
        for layer in self.layers_in_order():
            grid = tile(layer.matrix, rows, cols)
            for r, c in np.ndindex(grid.shape[:2]):
                blocks.append(
                    Block(
                        name=f"{layer.name}.{r}.{c}",
                        layer=layer.name,
                        row=r,
                        col=c,
                        matrix=grid[r, c],
                        gain=layer.gain,
                        applied_per_beat=applied[layer.name],
                    )
                )
        return tuple(blocks)

    def layers_in_order(self) -> tuple[Layer, ...]:
        """The layers in the order of their first use."""
        names = dict.fromkeys(s.layer for s in self.steps if isinstance(s, Linear))
        return tuple(self.layers[name] for name in names)


def sources(step: Step) -> tuple[str, ...]:
    """Names of the values that ``step`` reads."""
    return step.sources if isinstance(step, Concat) else (step.source,)


def tile(matrix: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """``(out, in)`` → ``(⌈out/rows⌉, ⌈in/cols⌉, rows, cols)``, padded with zeros."""
    out, fan_in = matrix.shape
    tiles_down, tiles_across = -(-out // rows), -(-fan_in // cols)
    padded = np.zeros((tiles_down * rows, tiles_across * cols), dtype=matrix.dtype)
    padded[:out, :fan_in] = matrix
    return padded.reshape(tiles_down, rows, tiles_across, cols).swapaxes(1, 2)


def untile(tiles: np.ndarray, out: int, fan_in: int) -> np.ndarray:
    """Inverse of :func:`tile`: the ``(out, in)`` matrix without its padding."""
    down, across, rows, cols = tiles.shape
    return tiles.swapaxes(1, 2).reshape(down * rows, across * cols)[:out, :fan_in]


def step_to_dict(step: Step) -> dict[str, Any]:
    """JSON form of a step: its fields and ``op``."""
    return {"op": type(step).__name__.lower(), **asdict(step)}


def step_from_dict(data: Mapping[str, Any]) -> Step:
    """Inverse of :func:`step_to_dict`.

    Raises:
        ProgramError: unknown ``op``, or fields that do not fit it.
    """
    values = dict(data)
    op = values.pop("op", None)
    if op not in STEPS:
        raise ProgramError(f"unknown op {op!r}; known are: {', '.join(STEPS)}")
    cls = STEPS[op]
    names = {f.name for f in fields(cls)}
    if not set(values) <= names:
        raise ProgramError(f"op {op!r} has no field {sorted(set(values) - names)}")
    if "ranges" in values:
        values["ranges"] = tuple((int(a), int(b)) for a, b in values["ranges"])
    if "sources" in values:
        values["sources"] = tuple(values["sources"])
    try:
        return cls(**values)
    except TypeError as error:
        raise ProgramError(f"op {op!r} with fields {sorted(values)}: {error}") from None
