"""From the steps of a program to nodes of a graph: one walk, and the steps that only move numbers.

What a product, an activation or a mean is depends on the arithmetic; see
:mod:`export.float_graph` and :mod:`export.integer_graph`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

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

    def emit(self) -> dict[str, Value]:
        """Emit every step and the output ``logits``; return the values by name."""
        for spec in self.program.inputs:
            self.values[spec.name] = self.encode(spec)
        for step in self.program.steps:
            self.values[step.out] = self._step(step)
        self.output(self.values[self.program.output])
        return self.values

    def _step(self, step: object) -> Value:
        match step:
            case Window():
                return self.window(step, self.values[step.source])
            case Patch():
                return self.patch(step, self.values[step.source])
            case Concat():
                return self.concat(step, [self.values[s] for s in step.sources])
            case Linear():
                return self.linear(step, self.values[step.source])
            case Activation():
                return self.activation(step, self.values[step.source])
            case Mean():
                return self.mean(step, self.values[step.source])
            case Unit():
                return self.unit(step, self.values[step.source])
        raise TypeError(f"no such step: {step!r}")

    @abstractmethod
    def encode(self, spec: Input) -> Value:
        """A program input as the first layer takes it."""

    @abstractmethod
    def linear(self, step: Linear, x: Value) -> Value:
        """``gain · (W·x + b)`` of every token."""

    @abstractmethod
    def activation(self, step: Activation, x: Value) -> Value:
        """The element-wise function."""

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
            tensor = self._slice(x, step.start, step.stop, self.tensor_name(step.out))
            return Value.made(step.out, (tokens, x.channels), "flat", tensor, x.precision)
        bounds = [
            self.graph.constant(np.array([n], dtype=np.int64), f"int64:[{n}]")
            for n in (step.start, step.stop, 1, step.stride)
        ]
        cube = self.graph.view(x, "cube")
        tensor = self.graph.add("Slice", [cube, *bounds], self.tensor_name(step.out))
        return Value.made(step.out, (tokens, x.channels), "cube", tensor, x.precision)

    def patch(self, step: Patch, x: Value) -> Value:
        """Patches that do not overlap are a reshape; others are gathered in the flat view."""
        starts = np.arange(0, x.tokens - step.size + 1, step.stride)
        channels = step.size * x.channels
        if step.size == step.stride:
            kept = len(starts) * step.size
            if kept < x.tokens:
                tensor, view = self._slice(x, 0, kept, self.tensor_name(step.out)), "flat"
            else:
                # The same numbers in the same order; only a flat view has the same shape, too.
                tensor = x.tensor
                view = "flat" if x.tensors.get(("flat", x.precision)) == tensor else "source"
            return Value.made(step.out, (len(starts), channels), view, tensor, x.precision)
        first = starts[:, None] * x.channels + np.arange(channels)
        where = self.graph.constant(first.reshape(-1), f"{step.out}/where")
        flat = self.graph.view(x, "flat")
        tensor = self.graph.add("Gather", [flat, where], self.tensor_name(step.out), axis=1)
        return Value.made(step.out, (len(starts), channels), "flat", tensor, x.precision)

    def concat(self, step: Concat, parts: list[Value]) -> Value:
        """Tokens after one another: the flat views side by side."""
        wide = any(part.precision == "float64" for part in parts)
        precision: Precision = "float64" if wide else "float32"
        flat = [self.graph.view(part, "flat", precision) for part in parts]
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

    def tensor_name(self, value: str) -> str:
        """Name of the tensor that holds ``value``; ``logits`` itself belongs to the output."""
        return f"{value}/value" if value == LOGITS else value

    def _slice(self, x: Value, start: int, stop: int, out: str) -> str:
        bounds = [
            self.graph.constant(np.array([n], dtype=np.int64), f"int64:[{n}]")
            for n in (start * x.channels, stop * x.channels, 1)
        ]
        return self.graph.add("Slice", [self.graph.view(x, "flat"), *bounds], out)
