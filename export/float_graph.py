"""The float model as a graph: float32 in and out, and inside as wide as it needs to be.

Gains multiply what goes through a layer, so an error of one float32 rounding near the input can
come out a hundred times larger. A *wide* graph is float64 inside, but for values of which only a
mean over many tokens is used: there errors average out, and most of the arithmetic is there. A
narrow one is float32 throughout and faster; which of them a bundle gets is measured at export.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.abreast import readers
from export.emit import LOGITS, Emitter, block_diagonal
from export.graph import Precision, Value
from photonic.program import Activation, Input, Linear, Mean, Program, Step, Unit

ACTIVATION_OPS = {"tanh": "Tanh", "relu": "Relu", "identity": "Identity"}
# Tokens in a mean from which on the errors of single tokens do not matter (1/√16 and less).
MANY = 16


class FloatEmitter(Emitter):
    """Emits plain numbers: a linear layer is one Gemm over all tokens.

    Args:
        program: the model.
        wide: float64 inside, see the module.
    """

    def __init__(self, program: Program, *, wide: bool) -> None:
        super().__init__(program)
        self.precision: Precision = "float64" if wide else "float32"
        self.averaged = averaged_values(program)

    def encode(self, spec: Input) -> Value:
        shape = (spec.tokens, spec.channels)
        return Value.made(spec.name, shape, "cube", spec.name, "float32")

    def linear(self, steps: Sequence[Linear], x: Value) -> Value:
        name, out, precision = self.layer_name(steps), self.out_name(steps), self._precision(steps)
        layers = [self.program.layers[step.layer] for step in steps]
        weight = block_diagonal([a.gain * a.matrix.astype(np.float64).T for a in layers])
        bias = np.concatenate([a.gain * a.bias.astype(np.float64) for a in layers])
        operands = [
            self.graph.view(x, "rows", precision),
            self.graph.constant(weight.astype(precision), f"{name}/weight"),
            self.graph.constant(bias.astype(precision), f"{name}/bias"),
        ]
        tensor = self.graph.add("Gemm", operands, self.tensor_name(out))
        return Value.made(out, (x.tokens, len(bias)), "rows", tensor, precision)

    def activation(self, steps: Sequence[Activation], x: Value) -> Value:
        out, precision = self.out_name(steps), self._precision(steps)
        rows = self.graph.view(x, "rows", precision)
        tensor = self.graph.add(ACTIVATION_OPS[steps[0].kind], [rows], self.tensor_name(out))
        return Value.made(out, (x.tokens, x.channels), "rows", tensor, precision)

    def mean(self, step: Mean, x: Value) -> Value:
        tensor = self.pool(step, x, self.precision, self.tensor_name(step.out), divide=True)
        return Value.made(step.out, (len(step.ranges), x.channels), "cube", tensor, self.precision)

    def unit(self, step: Unit, x: Value) -> Value:
        rows = self.graph.view(x, "rows", self.precision)
        size = self.graph.add("Abs", [rows], f"{step.out}/size")
        peak = self.graph.add("ReduceMax", [size], f"{step.out}/peak", axes=[-1], keepdims=1)
        # A zero token is divided by the smallest normal number instead, and stays zero.
        least = self.graph.scalar(float(np.finfo(self.precision).tiny), self.precision)
        divisor = self.graph.add("Max", [peak, least], f"{step.out}/divisor")
        tensor = self.graph.add("Div", [rows, divisor], self.tensor_name(step.out))
        return Value.made(step.out, (x.tokens, x.channels), "rows", tensor, self.precision)

    def output(self, x: Value) -> None:
        rows = self.graph.view(x, "rows")
        if x.precision == "float64":
            self.graph.cast(rows, "float32", LOGITS)
        else:
            self.graph.add("Identity", [rows], LOGITS)

    def _precision(self, steps: Sequence[Step]) -> Precision:
        return "float32" if all(s.out in self.averaged for s in steps) else self.precision


def averaged_values(program: Program) -> set[str]:
    """Values of which nothing but means over at least 16 tokens is used.

    An activation in between passes errors on, but does not let them grow.
    """
    averaged: set[str] = set()

    def averages(reader: Step) -> bool:
        if isinstance(reader, Mean):
            return min(stop - start for start, stop in reader.ranges) >= MANY
        return isinstance(reader, Activation) and reader.out in averaged

    for step in reversed(program.steps):
        reading = readers(program, step.out)
        if reading and all(map(averages, reading)):
            averaged.add(step.out)
    return averaged
