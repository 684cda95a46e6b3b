"""Predictions of a float student in one compiled pass over its program.

The interpreter streams every value of a batch through memory, step by step. For predictions, where
nothing has to be kept for a gradient, the program is laid out once as a table of layers over the
rows of a tile (:mod:`photonic.students.tiles_kernel`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from photonic.kernels.loader import kernel_for
from photonic.program import (
    Activation,
    Concat,
    Linear,
    Mean,
    Patch,
    Program,
    Step,
    Window,
    sources,
)
from photonic.students.fused import equal_from_zero

KERNEL = "photonic.students.tiles_kernel"
MOST_INPUTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiled:
    """A program as layers over the rows of a tile.

    Attributes:
        inputs: names of the inputs, whose values are the first rows in this order.
        table: for every step that computes: first row read, rows from token to token, inputs, first
            row written, outputs, tokens written, tokens to a mean, whether a tanh follows, place of
            the weights.
        num_rows: rows of the tile.
        output: row of the first logit.
        num_classes: number of logits.
    """

    inputs: tuple[str, ...]
    table: np.ndarray
    num_rows: int
    output: int
    num_classes: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is: its first row, rows from token to token, channels."""

    row: int
    stride: int
    channels: int


@dataclass(frozen=True, slots=True)
class _Result:
    """What is computed along with a layer: its sums, or their tanh, or means of that."""

    names: tuple[str, ...]
    squashed: bool
    mean_size: int


def lay_out(program: Program) -> Tiled | None:
    """The program in rows; None where it has a step that the kernel lacks (ReLU, unit, others)."""
    if len(program.inputs) > MOST_INPUTS:
        return None
    shapes, steps = program.shapes(), program.steps
    results = {s.out: _result(s, steps, program.output) for s in steps if isinstance(s, Linear)}
    absorbed = {name for result in results.values() for name in result.names[1:]}
    places: dict[str, Place] = {}
    num_rows = 0
    for given in program.inputs:
        places[given.name] = Place(num_rows, given.channels, given.channels)
        num_rows += given.tokens * given.channels
    reserved: dict[str, int] = {}  # parts of a concatenation stand one after the other
    for name in [name for step in steps if isinstance(step, Concat) for name in step.sources]:
        if name in reserved or name not in {result.names[-1] for result in results.values()}:
            return None
        reserved[name] = num_rows
        num_rows += shapes[name][0] * shapes[name][1]
    weights = _first_numbers(program)
    table = []
    for step in steps:
        if step.out in absorbed:
            continue
        place = places[sources(step)[0]]
        if isinstance(step, Window):
            row = place.row + step.start * place.stride
            places[step.out] = Place(row, step.stride * place.stride, place.channels)
        elif isinstance(step, Patch) and place.stride == place.channels:
            size = step.size * place.channels
            places[step.out] = Place(place.row, step.stride * place.stride, size)
        elif isinstance(step, Concat):
            places[step.out] = place
        elif isinstance(step, Linear):
            result = results[step.out]
            name = result.names[-1]
            tokens, channels = shapes[name]
            to = reserved.get(name, num_rows)
            num_rows += 0 if name in reserved else tokens * channels
            places[name] = Place(to, channels, channels)
            read, written = (place.row, place.stride, place.channels), (to, channels, tokens)
            table.append((*read, *written, result.mean_size, result.squashed, weights[step.layer]))
        else:
            return None
    return Tiled(
        inputs=tuple(given.name for given in program.inputs),
        table=np.array(table, np.int64),
        num_rows=num_rows,
        output=places[program.output].row,
        num_classes=program.num_classes,
    )


def _result(step: Linear, steps: tuple[Step, ...], output: str) -> _Result:
    """How far a layer can be computed in one go: values that nobody else reads are left out."""

    def only_reader(name: str) -> Step | None:
        readers = [other for other in steps if name in sources(other)]
        return readers[0] if len(readers) == 1 and name != output else None

    activation = only_reader(step.out)
    if not isinstance(activation, Activation) or activation.kind != "tanh":
        return _Result((step.out,), squashed=False, mean_size=1)
    mean = only_reader(activation.out)
    if not isinstance(mean, Mean) or not equal_from_zero(mean.ranges):
        return _Result((step.out, activation.out), squashed=True, mean_size=1)
    return _Result((step.out, activation.out, mean.out), squashed=True, mean_size=mean.ranges[0][1])


def _first_numbers(program: Program) -> dict[str, int]:
    """Where the weights of each layer begin, in a row of all weights and biases."""
    sizes = [layer.matrix.size + layer.bias.size for layer in program.layers.values()]
    return dict(zip(program.layers, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))


def tiled_logits(
    tiled: Tiled,
    inputs: Mapping[str, Tensor],
    index: Tensor,
    maps: Tensor,
) -> Tensor | None:
    """Logits ``(students, len(index), classes)``; None where the kernel cannot take these values.

    Each lane is worked out by itself: what a sample gets does not depend on the samples beside it.

    Args:
        tiled: the program.
        inputs: every sample by input, ``(n, tokens, channels)``.
        index: numbers of the samples, int64.
        maps: gain times weight, then gain times bias, layer after layer: ``(students, numbers)``.
    """
    maps = maps.contiguous()
    rows = [inputs[name].flatten(1).contiguous() for name in tiled.inputs]
    kernel = kernel_for(KERNEL, maps, *rows)
    if kernel is None:
        return None
    rows += [maps.new_empty((0, 0))] * (MOST_INPUTS - len(rows))
    logits = maps.new_empty((len(maps), len(index), tiled.num_classes))
    kernel.forward(
        tuple(x.numpy() for x in rows),
        index.to(torch.int64).contiguous().numpy(),
        tiled.table,
        tiled.num_rows,
        maps.numpy(),
        tiled.output,
        logits.numpy(),
    )
    return logits
