"""From the steps of a program to nodes of a graph: one walk, and the steps that only move numbers.

What a product, an activation or a mean is depends on the arithmetic; see
:mod:`export.float_graph` and :mod:`export.integer_graph`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from export.abreast import Abreast, abreast
from export.graph import GraphBuilder, Precision, Value
from photonic.errors import ProgramError
from photonic.program import (
    Activation,
    Concat,
    Input,
    Linear,
    Mean,
    Patch,
    Program,
    Unit,
    Window,
)

LOGITS = "logits"


class Emitter(ABC):
    """Emits a program into a graph. Subclasses say what the arithmetic steps are.

    Every tensor that holds a value of the program is named after it, so that runs can be compared
    value by value.

    Raises:
        ProgramError: a program whose input is called like the graph's output.
    """

    def __init__(self, program: Program) -> None:
        if any(spec.name == LOGITS for spec in program.inputs):
            raise ProgramError(f"an input is called {LOGITS!r}: that is the graph's output")
        self.program = program
        self.graph = GraphBuilder()
        self.values: dict[str, Value] = {}

    def emit(self) -> None:
        """Emit every step and the output ``logits``."""
        for spec in self.program.inputs:
            self.values[spec.name] = self.encode(spec)
        groups = abreast(self.program)
        for step in self.program.steps:
            if step.out in groups:
                self._abreast(groups[step.out])
            elif step.out not in self.values:
                self.values[step.out] = self._step(step)
        self.output(self.values[self.program.output])

    def places(self) -> dict[str, dict[str, Any]]:
        """``tensors``: where each step's value lies, so that runs can be compared step by step.

        In ``tensor (batch, …)`` from number ``first`` of a beat on; one code is ``lsb`` there.
        """
        values = {step.out: self.values[step.out] for step in self.program.steps}
        tensors = {
            name: {"tensor": value.tensor, "first": value.first, "lsb": value.lsb}
            for name, value in values.items()
        }
        return {"tensors": tensors}

    def _abreast(self, group: Abreast) -> None:
        """All lanes as one; what a lane makes is a part of what they make together."""
        x = self.values[group[0].window.source]
        start, stop = group[0].window.start, group[-1].window.stop
        name = "+".join(lane.window.out for lane in group)
        if stop - start == x.tokens:
            tensor = self.graph.view(x, "flat")
        else:
            tensor = self.graph.columns(x, start * x.channels, stop * x.channels, name)
        shape = (1, len(group) * x.channels)
        tokens = Value.made(name, shape, "flat", tensor, x.precision, x.lsb)
        sums = self.linear([lane.linear for lane in group], tokens)
        features = self.activation([lane.activation for lane in group], sums)
        at = 0
        for i, lane in enumerate(group):
            out = len(self.program.layers[lane.linear.layer].bias)
            for step, whole, first, channels in (
                (lane.window, tokens, i * x.channels, x.channels),
                (lane.linear, sums, at, out),
                (lane.activation, features, at, out),
            ):
                self.values[step.out] = whole.part(step.out, first, channels)
            at += out

    def _step(self, step: object) -> Value:
        match step:
            case Window():
                return self.window(step, self.values[step.source])
            case Patch():
                return self.patch(step, self.values[step.source])
            case Concat():
                return self.concat(step, [self.values[s] for s in step.sources])
            case Linear():
                return self.linear([step], self.values[step.source])
            case Activation():
                return self.activation([step], self.values[step.source])
            case Mean():
                return self.mean(step, self.values[step.source])
            case Unit():
                return self.unit(step, self.values[step.source])
        raise TypeError(f"no such step: {step!r}")

    @abstractmethod
    def encode(self, spec: Input) -> Value:
        """A program input as the first layer takes it."""

    @abstractmethod
    def linear(self, steps: Sequence[Linear], x: Value) -> Value:
        """``gain · (W·x + b)`` of every token; of several steps side by side in one token."""

    @abstractmethod
    def activation(self, steps: Sequence[Activation], x: Value) -> Value:
        """The element-wise function that all ``steps`` are."""

    @abstractmethod
    def mean(self, step: Mean, x: Value) -> Value:
        """One token per range."""

    @abstractmethod
    def unit(self, step: Unit, x: Value) -> Value:
        """Each token over its largest magnitude."""

    @abstractmethod
    def output(self, x: Value) -> None:
        """Make the tensor ``logits (batch, classes)`` from the output value."""

    def window(self, step: Window, x: Value) -> Value:
        """Tokens ``start:stop:stride``: a slice of the flat view, or of the cube with a stride."""
        tokens = len(range(step.start, step.stop, step.stride))
        if step.stride == 1:
            start, stop = step.start * x.channels, step.stop * x.channels
            tensor = self.graph.columns(x, start, stop, self.tensor_name(step.out))
            return Value.made(step.out, (tokens, x.channels), "flat", tensor, x.precision, x.lsb)
        out = self.tensor_name(step.out)
        tensor = self.graph.every(x, step.start, step.stop, step.stride, out)
        return Value.made(step.out, (tokens, x.channels), "cube", tensor, x.precision, x.lsb)

    def patch(self, step: Patch, x: Value) -> Value:
        """Patches that do not overlap are a reshape; others are shifted copies side by side.

        A slice and a copy per place in the patch cost a third of one Gather of all numbers.
        """
        starts = np.arange(0, x.tokens - step.size + 1, step.stride)
        channels = step.size * x.channels
        if step.size == step.stride:
            kept = len(starts) * step.size
            if kept < x.tokens:
                out = self.tensor_name(step.out)
                tensor, view = self.graph.columns(x, 0, kept * x.channels, out), "flat"
            else:
                # The same numbers in the same order; only a flat view has the same shape, too.
                tensor = x.tensor
                view = "flat" if x.tensors.get(("flat", x.precision)) == tensor else "source"
            shape = (len(starts), channels)
            return Value.made(step.out, shape, view, tensor, x.precision, x.lsb)
        last = int(starts[-1])
        shifted = [
            self.graph.every(x, i, last + i + 1, step.stride, f"{step.out}/{i}")
            for i in range(step.size)
        ]
        tensor = self.graph.add("Concat", shifted, self.tensor_name(step.out), axis=2)
        return Value.made(step.out, (len(starts), channels), "cube", tensor, x.precision, x.lsb)

    def concat(self, step: Concat, parts: list[Value]) -> Value:
        """Tokens after one another: the flat views side by side."""
        wide = any(part.precision == "float64" for part in parts)
        precision: Precision = "float64" if wide else "float32"
        flat = [self.graph.view(part, "flat", precision) for part in _rejoined(parts)]
        tensor = self.graph.add("Concat", flat, self.tensor_name(step.out), axis=1)
        tokens = sum(part.tokens for part in parts)
        return Value.made(step.out, (tokens, parts[0].channels), "flat", tensor, precision)

    def pool(self, step: Mean, x: Value, precision: Precision, out: str, *, divide: bool) -> str:
        """Sums, or means, over the ranges as one product with a constant matrix; a cube."""
        matrix = np.zeros((len(step.ranges), x.tokens), dtype=precision)
        for row, (start, stop) in zip(matrix, step.ranges, strict=True):
            row[start:stop] = 1.0 / (stop - start) if divide else 1.0
        pooling = self.graph.constant(matrix, f"{step.out}/pooling")
        return self.graph.add("MatMul", [pooling, self.graph.view(x, "cube", precision)], out)

    @staticmethod
    def out_name(steps: Sequence[Linear | Activation]) -> str:
        """Name of what ``steps`` make together."""
        return "+".join(step.out for step in steps)

    @staticmethod
    def layer_name(steps: Sequence[Linear]) -> str:
        """Name of their layers."""
        return "+".join(step.layer for step in steps)

    def tensor_name(self, value: str) -> str:
        """Name of the tensor that holds ``value``; ``logits`` itself belongs to the output."""
        return f"{value}/value" if value == LOGITS else value


def block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Matrices along the diagonal, zeros elsewhere."""
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    matrix = np.zeros((rows, columns), dtype=np.result_type(*blocks))
    row = column = 0
    for block in blocks:
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return matrix


def _rejoined(parts: list[Value]) -> list[Value]:
    """``parts`` with all the parts of one whole, if they stand in order, replaced by it."""
    joined: list[Value] = []
    while parts:
        whole, at, count = parts[0].whole, 0, 0
        while whole and count < len(parts) and parts[count].whole is whole:
            if parts[count].first != at:
                break
            at += parts[count].channels
            count += 1
        if whole and at == whole.channels:
            joined, parts = [*joined, whole], parts[count:]
        else:
            joined, parts = [*joined, parts[0]], parts[1:]
    return joined
