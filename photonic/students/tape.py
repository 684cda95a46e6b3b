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

import numpy as np
import torch
from torch import Tensor

from photonic.program import Concat, Linear, Mean, Patch, Step, Window, sources
from photonic.students.compiled import kernel_for
from photonic.students.fused import equal_from_zero, find_squashed
from photonic.students.pooled import Chain

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
        layers: names of the layers, whose weights and biases follow each other in this order.
        table: one :class:`Operation` per row, in order.
        noisy: ``(tokens, channels)`` of what each tanh puts out, in order.
        mean_of: of how many values of a tanh each of those is the mean.
        masked: ``(tokens, channels)`` of what each dropout takes in, in order.
        num_rows: rows of a tile.
        output: first row and width of the logits.
        features: first row and width of the features.
    """

    inputs: tuple[str, ...]
    input_rows: int
    layers: tuple[str, ...]
    table: np.ndarray
    noisy: tuple[tuple[int, int], ...]
    mean_of: tuple[int, ...]
    masked: tuple[tuple[int, int], ...]
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
    first_of = dict(zip(layers, np.cumsum([0, *layers.values()]).tolist(), strict=False))
    places: dict[str, tuple[int, int, int]] = {}  # first row, rows from token to token, channels
    operations: list[Operation] = []
    noisy: list[tuple[int, int]] = []
    mean_of: list[int] = []
    masked: list[tuple[int, int]] = []
    num_rows = 0

    def room(tokens: int, channels: int) -> int:
        nonlocal num_rows
        num_rows += tokens * channels
        return num_rows - tokens * channels

    for name in inputs:
        places[name] = room(*shapes[name]), shapes[name][1], shapes[name][1]
    input_rows = num_rows

    def copied(name: str, to: int, place: int = -1) -> tuple[int, int, int]:
        (row, stride, width), (tokens, channels) = places[name], shapes[name]
        whole = {"width": width, "to": to, "num_out": channels, "tokens": tokens, "place": place}
        operations.append(Operation(kind=COPY, source=row, stride=stride, **whole))
        return to, channels, channels

    for chain in chains:
        row, channels, _ = places[chain.source]
        out = shapes[chain.out][1]
        read = {"source": row + chain.start * channels, "stride": chain.stride * channels}
        operations.append(
            Operation(
                kind=POOLED,
                **read,
                width=chain.size * channels,
                to=room(chain.num_means, out),
                num_out=out,
                tokens=chain.num_means,
                size=chain.mean_size,
                squashed=True,
                weights=first_of[chain.layer],
                place=sum(t * c for t, c in noisy),
                clean=room(chain.num_means, 5 * out),
            )
        )
        places[chain.out] = operations[-1].to, out, out
        noisy.append(shapes[chain.out])
        mean_of.append(chain.mean_size)
    for step in steps:
        if step.out in places:
            continue  # a tanh that its layer did
        row, stride, width = places[sources(step)[0]]
        tokens, channels = shapes[step.out]
        if isinstance(step, Window):
            places[step.out] = row + step.start * stride, step.stride * stride, width
        elif isinstance(step, Patch) and stride == width:
            places[step.out] = row, step.stride * stride, step.size * width
        elif isinstance(step, Concat):
            to = room(tokens, channels)
            places[step.out] = to, channels, channels
            for name in step.sources:
                copied(name, to)
                to += shapes[name][0] * channels
        elif isinstance(step, Mean) and equal_from_zero(step.ranges):
            to, size = room(tokens, channels), step.ranges[0][1]
            read = {"source": row, "stride": stride, "width": width, "to": to, "num_out": channels}
            operations.append(Operation(kind=MEAN, **read, tokens=tokens, size=size))
            places[step.out] = to, channels, channels
        elif isinstance(step, Linear):
            if step.layer in dropout_before:
                taken = shapes[step.source]
                before = sum(t * c for t, c in masked)
                row, stride, width = copied(step.source, room(*taken), before)
                masked.append(taken)
            to, place, clean = room(tokens, channels), -1, 0
            name = step.out
            if step.out in squashed:
                name = next(s.out for s in steps if sources(s) == (step.out,))
                place, clean = sum(t * c for t, c in noisy), room(tokens, channels)
                noisy.append((tokens, channels))
                mean_of.append(1)
            read = {"source": row, "stride": stride, "width": width, "to": to, "num_out": channels}
            how = {"weights": first_of[step.layer], "place": place, "clean": clean}
            operations.append(
                Operation(kind=AFFINE, **read, tokens=tokens, squashed=name != step.out, **how)
            )
            places[name] = to, channels, channels
        else:
            return None
    return Tape(
        inputs=tuple(inputs),
        input_rows=input_rows,
        layers=tuple(layers),
        table=np.array([astuple(operation) for operation in operations], np.int64),
        noisy=tuple(noisy),
        mean_of=tuple(mean_of),
        masked=tuple(masked),
        num_rows=num_rows,
        output=(places[output][0], shapes[output][1]),
        features=(places[features][0], shapes[features][1]),
    )


def tape_kernel(tape: Tape, *values: Tensor) -> ModuleType | None:
    """The kernel where it can take these values."""
    return kernel_for(KERNEL, *values) if len(tape.inputs) <= MOST_INPUTS else None


def places_of(
    shapes: Sequence[tuple[int, int]], before: Sequence[int], like: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """A vector for random numbers, and its parts ``(*before, tokens, channels)`` by value.

    Args:
        shapes: tokens and channels of each value.
        before: students and samples.
        like: whose kind of numbers.
    """
    sizes = [math.prod((*before, *shape)) for shape in shapes]
    whole = like.new_empty(sum(sizes))
    parts = whole.split(sizes) if sizes else ()
    return whole, [part.view(*before, *shape) for part, shape in zip(parts, shapes, strict=True)]


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
            noise: what is added to each value of a tanh; empty for none.
            masks: what each dropout keeps; empty for none.
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
            tuple(given), tape.table, maps.numpy(), noise.numpy(), masks.numpy(), kept, tiles.numpy(),
            out_row, logits.numpy(), feature_row, features.numpy(),
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
        return None, None, None, None, None, by_maps, *(None for _ in tape.inputs)
