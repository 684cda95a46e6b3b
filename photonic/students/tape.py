"""Training passes of several students at once: one compiled call forward, one back.

With torch's operations a step of a population mostly starts operations and streams small values
through memory. The students' common program is laid out once as a table of operations over the rows
of a tile (:mod:`photonic.students.tape_kernel`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from photonic.kernels.loader import kernel_for
from photonic.program import Concat, Linear, Mean, Patch, Step, Window, sources
from photonic.students.fused import equal_from_zero, find_squashed
from photonic.students.pooled import Chain
from photonic.students.tiles import Place

KERNEL = "photonic.students.tape_kernel"
MOST_INPUTS = 2
AFFINE, COPY, MEAN, POOLED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of the table.

    Attributes:
        kind: a layer, a copy, means of tokens that follow each other, or means of tanh of a layer.
        source: first row that is read.
        stride: rows from one token to the next.
        width: rows of a token.
        to: first row that is written.
        num_out: rows of a token that is written.
        tokens: tokens that are written.
        size: tokens to a mean.
        squashed: whether a tanh follows.
        weights: place of a layer's weights, which its biases follow.
        place: numbers of noise or of masks that the operations before it take, for one sample; -1
            for none.
        clean: first row of the values without noise; of what the means of a layer change by with
            its four weights and its bias.
    """

    kind: int
    source: int
    stride: int
    width: int
    to: int
    num_out: int
    tokens: int
    size: int = 1
    squashed: bool = False
    weights: int = 0
    place: int = -1
    clean: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """A program as operations over the rows of a tile.

    Attributes:
        inputs: names of the inputs, whose values are the first rows in this order.
        input_rows: how many those are.
        table: one :class:`Operation` per row, in order.
        noisy: numbers that each tanh puts out for a sample, in order.
        mean_of: of how many values of a tanh each of those is the mean.
        masked: numbers that each dropout takes in for a sample, in order.
        num_rows: rows of a tile.
        output: first row and width of the logits.
        features: first row and width of the features.
    """

    inputs: tuple[str, ...]
    input_rows: int
    table: np.ndarray
    noisy: tuple[int, ...]
    mean_of: tuple[int, ...]
    masked: tuple[int, ...]
    num_rows: int
    output: tuple[int, int]
    features: tuple[int, int]


def record(
    inputs: Sequence[str],
    chains: Sequence[Chain],
    steps: tuple[Step, ...],
    shapes: Mapping[str, tuple[int, int]],
    layers: Mapping[str, int],
    *,
    output: str,
    features: str,
    dropout_before: frozenset[str] = frozenset(),
) -> Tape | None:
    """The steps in rows; None where one of them is none of the kernel's.

    Args:
        inputs: names of the program's inputs.
        chains: what is computed from them first, of tanh over four numbers.
        steps: what is computed then.
        shapes: tokens and channels of every value.
        layers: how many weights and biases each layer has, in order.
        output: name of the logits.
        features: name of the features.
        dropout_before: layers whose input goes through dropout.
    """
    if any(c.kind != "tanh" or c.size * shapes[c.source][1] != 4 for c in chains):
        return None
    squashed = find_squashed(steps)
    tape = _Recorder(shapes, layers)
    for name in inputs:
        tape.make(name)
    input_rows = tape.num_rows
    for chain in chains:
        tape.pool(chain)
    for step in steps:
        if step.out in tape.places:
            continue  # a tanh that its layer did
        place = tape.places[sources(step)[0]]
        if isinstance(step, Window):
            row = place.row + step.start * place.stride
            tape.places[step.out] = Place(row, step.stride * place.stride, place.channels)
        elif isinstance(step, Patch) and place.stride == place.channels:
            size = step.size * place.channels
            tape.places[step.out] = Place(place.row, step.stride * place.stride, size)
        elif isinstance(step, Concat):
            tape.join(step)
        elif isinstance(step, Mean) and equal_from_zero(step.ranges):
            to, (tokens, channels) = tape.make(step.out), shapes[step.out]
            tape.add(MEAN, place, to, channels, tokens, size=step.ranges[0][1])
        elif isinstance(step, Linear):
            if step.layer in dropout_before:
                place = tape.drop(step.source)
            tanh = next((s.out for s in steps if sources(s) == (step.out,)), step.out)
            tape.apply(step.layer, place, tanh if step.out in squashed else step.out, step.out)
        else:
            return None
    return Tape(
        inputs=tuple(inputs),
        input_rows=input_rows,
        table=np.array([astuple(operation) for operation in tape.operations], np.int64),
        noisy=tuple(tape.noisy),
        mean_of=tuple(tape.mean_of),
        masked=tuple(tape.masked),
        num_rows=tape.num_rows,
        output=(tape.places[output].row, shapes[output][1]),
        features=(tape.places[features].row, shapes[features][1]),
    )


class _Recorder:
    """A tape in the making.

    Args:
        shapes: tokens and channels of every value.
        layers: how many weights and biases each layer has, in order.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], layers: Mapping[str, int]) -> None:
        self.shapes = shapes
        firsts = np.cumsum([0, *layers.values()]).tolist()
        self.weights = dict(zip(layers, firsts[:-1], strict=True))
        self.places: dict[str, Place] = {}
        self.operations: list[Operation] = []
        self.noisy: list[int] = []
        self.mean_of: list[int] = []
        self.masked: list[int] = []
        self.num_rows = 0

    def room(self, num_rows: int) -> int:
        """The first of so many new rows."""
        self.num_rows += num_rows
        return self.num_rows - num_rows

    def make(self, name: str) -> int:
        """The first of the rows that a value gets."""
        tokens, channels = self.shapes[name]
        row = self.room(tokens * channels)
        self.places[name] = Place(row, channels, channels)
        return row

    def add(self, kind: int, given: Place, to: int, num_out: int, tokens: int, **how: Any) -> None:
        """One more operation that reads from ``given``."""
        self.operations.append(
            Operation(
                kind=kind,
                source=given.row,
                stride=given.stride,
                width=given.channels,
                to=to,
                num_out=num_out,
                tokens=tokens,
                **how,
            )
        )

    def noise_of(self, name: str, mean_of: int = 1) -> int:
        """Place of the noise of one more value."""
        place = sum(self.noisy)
        self.noisy.append(math.prod(self.shapes[name]))
        self.mean_of.append(mean_of)
        return place

    def pool(self, chain: Chain) -> None:
        """Means of tanh of a layer, straight from an input."""
        given = self.places[chain.source]
        row, stride = given.row + chain.start * given.stride, chain.stride * given.stride
        tokens, channels = self.shapes[chain.out]
        self.add(
            POOLED,
            Place(row, stride, chain.size * given.channels),
            self.make(chain.out),
            channels,
            tokens,
            size=chain.mean_size,
            squashed=True,
            weights=self.weights[chain.layer],
            place=self.noise_of(chain.out, chain.mean_size),
            clean=self.room(tokens * channels * 5),
        )

    def join(self, step: Concat) -> None:
        """Copies of several values after one another."""
        to = self.make(step.out)
        for name in step.sources:
            tokens, channels = self.shapes[name]
            self.add(COPY, self.places[name], to, channels, tokens)
            to += tokens * channels

    def drop(self, name: str) -> Place:
        """A copy of a value under a mask of dropout."""
        tokens, channels = self.shapes[name]
        to, place = self.room(tokens * channels), sum(self.masked)
        self.masked.append(tokens * channels)
        self.add(COPY, self.places[name], to, channels, tokens, place=place)
        return Place(to, channels, channels)

    def apply(self, layer: str, place: Place, name: str, sums: str) -> None:
        """A layer and, where ``name`` is not that of its ``sums``, its tanh."""
        tokens, channels = self.shapes[name]
        how: dict[str, Any] = {"weights": self.weights[layer]}
        if name != sums:
            clean = self.room(tokens * channels)
            how |= {"squashed": True, "place": self.noise_of(name), "clean": clean}
        self.add(AFFINE, place, self.make(name), channels, tokens, **how)


def tape_kernel(tape: Tape, *values: Tensor) -> ModuleType | None:
    """The kernel where it can take these values."""
    return kernel_for(KERNEL, *values) if len(tape.inputs) <= MOST_INPUTS else None


class TapePass(torch.autograd.Function):
    """Logits and features of several students, with the gradients of what they are made of."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        tape: Tape,
        kernel: ModuleType,
        noise: Tensor,
        masks: Tensor,
        kept: float,
        maps: Tensor,
        *inputs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(students, batch, classes)`` and features ``(students, batch, channels)``.

        Args:
            ctx: of torch.
            tape: the program.
            kernel: its kernel.
            noise: what is added to each value of a tanh, one after the other ``(students,
                numbers)``; without rows for none.
            masks: what each dropout keeps, in the same way.
            kept: share of the values that dropout keeps.
            maps: weights and biases of all layers, ``(students, numbers)``.
            inputs: each ``(students, batch, tokens, channels)``.
        """
        batch = inputs[0].shape[1]
        blocks = -(-batch // kernel.LANES)
        tiles = maps.new_empty((len(maps), blocks, tape.num_rows * kernel.LANES))
        (out_row, classes), (feature_row, channels) = tape.output, tape.features
        logits = maps.new_empty((len(maps), batch, classes))
        features = maps.new_empty((len(maps), batch, channels))
        given = [x.detach().flatten(2).contiguous().numpy() for x in inputs]
        given += [np.empty((0, 0, 0), np.float32)] * (MOST_INPUTS - len(given))
        maps = maps.detach().contiguous()
        kernel.forward(
            tuple(given), tape.table, maps.numpy(), noise.numpy(), masks.numpy(), kept,
            tiles.numpy(), out_row, logits.numpy(), feature_row, features.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(maps, tiles, noise, masks)
        ctx.tape, ctx.kernel, ctx.kept = tape, kernel, kept  # type: ignore[attr-defined]
        return logits, features

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, by_logits: Tensor, by_features: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Gradients of the weights and biases; the inputs get none."""
        maps, tiles, noise, masks = ctx.saved_tensors  # type: ignore[attr-defined]
        tape: Tape = ctx.tape  # type: ignore[attr-defined]
        by_maps = torch.empty_like(maps)
        ctx.kernel.backward(  # type: ignore[attr-defined]
            tape.table, maps.numpy(), noise.numel() > 0, masks.numpy(), ctx.kept, tiles.numpy(),  # type: ignore[attr-defined]
            tape.output[0], by_logits.contiguous().numpy(), tape.features[0],
            by_features.contiguous().numpy(), tape.input_rows, by_maps.numpy(),
        )  # fmt: skip
        return (*[None] * 5, by_maps, *[None] * len(tape.inputs))
