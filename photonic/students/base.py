"""A student is a program whose layers are still being learned."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from photonic.execute import execute, grids
from photonic.layers import ConstrainedLinear, Core, ExactCore, TensorShape, activate
from photonic.program import Activation, Input, Linear, Mean, Program, Step


class Student(nn.Module):
    """A program of constrained layers, run on torch tensors by the common interpreter.

    Swapping :attr:`core` swaps what the hardware does to every product (nothing, bits, noise) and
    leaves the parameters alone.

    Args:
        inputs: inputs of the program.
        steps: its steps.
        output: name of the logits.
        features: name of the value that distillation compares, one token (``h_pool``).
        layers: the learned layers by name.
        dropout: probability, applied to the input of each layer in ``dropout_before``.
        dropout_before: names of those layers.
    """

    def __init__(
        self,
        *,
        inputs: tuple[Input, ...],
        steps: tuple[Step, ...],
        output: str,
        features: str,
        layers: Mapping[str, ConstrainedLinear],
        dropout: float = 0.0,
        dropout_before: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.inputs, self.steps, self.output, self.features = inputs, steps, output, features
        self.grids = grids(inputs, steps)
        self.layers = nn.ModuleDict(layers)
        self.core: Core = ExactCore()
        self.dropout = dropout
        self.dropout_before = dropout_before
        self.program()  # refuses a malformed program before the first batch

    def forward(self, inputs: Mapping[str, Tensor] | Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(batch, classes)`` and pooled features ``(batch, channels)``.

        Args:
            inputs: each input by name, ``(batch, tokens, channels)``; or, where there is but one,
                a tensor ``(batch, channels, tokens)``.
        """
        if isinstance(inputs, Tensor):
            named = {self.inputs[0].name: inputs.transpose(1, 2)}
        else:
            named = dict(inputs)
        values = execute(named, self.steps, _StudentArithmetic(self))
        return values[self.output][..., 0, :], values[self.features][..., 0, :]

    @torch.no_grad()
    def program(self) -> Program:
        """The student as it is now, as a program of NumPy arrays."""
        layers = {}
        for name, layer in self.layers.items():
            assert isinstance(layer, ConstrainedLinear)
            layers[name] = layer.to_layer(name)
        return Program(inputs=self.inputs, steps=self.steps, output=self.output, layers=layers)


class _StudentArithmetic(TensorShape):
    def __init__(self, student: Student) -> None:
        self.student = student

    def encode(self, x: Tensor) -> Tensor:
        return self.student.core.encode(x)

    def linear(self, step: Linear, x: Tensor) -> Tensor:
        student = self.student
        if student.dropout and student.training and step.layer in student.dropout_before:
            x = functional.dropout(x, student.dropout)
        return student.layers[step.layer](x, student.core)

    def activation(self, step: Activation, x: Tensor) -> Tensor:
        y = activate(step.kind, x)
        return y if step.kind == "relu" else self.student.core.encode(y)

    def unit(self, x: Tensor) -> Tensor:
        return self.student.core.encode(super().unit(x))

    def mean(self, step: Mean, total: Tensor, count: int) -> Tensor:
        core = self.student.core
        mean = total / count
        return core.encode(mean) if self.student.grids[step.source] == "dac" else core.regrid(mean)
