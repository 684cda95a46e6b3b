"""The float model as a graph: gains folded into the weights, everything in float32."""

from __future__ import annotations

import numpy as np

from export.emit import LOGITS, Emitter
from export.graph import Value
from photonic.program import Activation, Input, Linear, Mean, Unit

ACTIVATION_OPS = {"tanh": "Tanh", "relu": "Relu", "identity": "Identity"}


class FloatEmitter(Emitter):
    """Emits plain numbers: a linear layer is one Gemm over all tokens."""

    def encode(self, spec: Input) -> Value:
        return Value(spec.name, spec.tokens, spec.channels, {"cube": spec.name})

    def linear(self, step: Linear, x: Value) -> Value:
        layer = self.program.layers[step.layer]
        # In float64, rounded once: the graph is then one rounding away from the float64 model.
        weight = (layer.gain * layer.matrix.astype(np.float64)).astype(np.float32)
        bias = (layer.gain * layer.bias.astype(np.float64)).astype(np.float32)
        operands = [
            self.graph.view(x, "rows"),
            self.graph.constant(weight.T, f"{step.layer}/weight"),
            self.graph.constant(bias, f"{step.layer}/bias"),
        ]
        tensor = self.graph.add("Gemm", operands, self.tensor_name(step.out))
        return Value(step.out, x.tokens, len(bias), {"rows": tensor})

    def activation(self, step: Activation, x: Value) -> Value:
        tensor = self.graph.add(
            ACTIVATION_OPS[step.kind], [self.graph.view(x, "rows")], self.tensor_name(step.out)
        )
        return Value(step.out, x.tokens, x.channels, {"rows": tensor})

    def mean(self, step: Mean, x: Value) -> Value:
        tensor = self.pool(step, x, self.tensor_name(step.out), divide=True)
        return Value(step.out, len(step.ranges), x.channels, {"cube": tensor})

    def unit(self, step: Unit, x: Value) -> Value:
        rows = self.graph.view(x, "rows")
        size = self.graph.add("Abs", [rows], f"{step.out}/size")
        peak = self.graph.add("ReduceMax", [size], f"{step.out}/peak", axes=[-1], keepdims=1)
        # A zero token is divided by the smallest normal number instead, and stays zero.
        least = self.graph.scalar(float(np.finfo(np.float32).tiny))
        guarded = self.graph.add("Max", [peak, least], f"{step.out}/divisor")
        tensor = self.graph.add("Div", [rows, guarded], self.tensor_name(step.out))
        return Value(step.out, x.tokens, x.channels, {"rows": tensor})

    def output(self, x: Value) -> None:
        if x.tensor != LOGITS:
            self.graph.add("Identity", [self.graph.view(x, "rows")], LOGITS)

    def tensor_name(self, value: str) -> str:
        """As the base class, but a last layer makes the output itself, without one more node."""
        if value == self.program.output and self._output_is_rows():
            return LOGITS
        return super().tensor_name(value)

    def _output_is_rows(self) -> bool:
        return any(
            step.out == self.program.output and isinstance(step, Linear | Activation | Unit)
            for step in self.program.steps
        )
