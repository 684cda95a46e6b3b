"""One interpreter for programs, and what its numbers can mean.

:func:`execute` walks the steps; an *arithmetic* says what each step does. The same walk serves the
student in training, the float reference, the integer reference of a deployed model, and batches of
simulated chips, so a program means one thing everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from photonic.errors import ProgramError
from photonic.profile import Converters
from photonic.program import (
    Activation,
    Concat,
    Input,
    Layer,
    Linear,
    Mean,
    Patch,
    Program,
    Step,
    Unit,
    Window,
    tile,
)
from photonic.quantize import round_mantissa


class Arithmetic(Protocol):
    """What numbers are in one way of running a program. Values are ``(..., tokens, channels)``."""

    def encode(self, x: Any) -> Any:
        """A program input, as the chip takes it."""

    def linear(self, step: Linear, x: Any) -> Any:
        """``gain · (W·x + b)``."""

    def activation(self, step: Activation, x: Any) -> Any:
        """The element-wise function of the step."""

    def mean(self, step: Mean, total: Any, count: int) -> Any:
        """The mean of ``count`` tokens whose sum is ``total``."""

    def unit(self, x: Any) -> Any:
        """Each token over its largest magnitude."""

    def concat(self, parts: list[Any]) -> Any:
        """Values joined along the token axis."""

    def patch(self, x: Any, size: int, stride: int) -> Any:
        """``size`` consecutive tokens flattened to one, every ``stride``."""


def execute(
    inputs: Mapping[str, Any], steps: tuple[Step, ...], arithmetic: Arithmetic
) -> dict[str, Any]:
    """Every value of a program: inputs encoded, then each step's output under its name."""
    values: dict[str, Any] = {name: arithmetic.encode(x) for name, x in inputs.items()}
    for step in steps:
        match step:
            case Window():
                out = values[step.source][..., step.start : step.stop : step.stride, :]
            case Patch():
                out = arithmetic.patch(values[step.source], step.size, step.stride)
            case Mean():
                x = values[step.source]
                parts = [
                    arithmetic.mean(step, x[..., a:b, :].sum(-2)[..., None, :], b - a)
                    for a, b in step.ranges
                ]
                out = parts[0] if len(parts) == 1 else arithmetic.concat(parts)
            case Concat():
                out = arithmetic.concat([values[s] for s in step.sources])
            case Linear():
                out = arithmetic.linear(step, values[step.source])
            case Activation():
                out = arithmetic.activation(step, values[step.source])
            case Unit():
                out = arithmetic.unit(values[step.source])
        values[step.out] = out
    return values


def check_inputs(program: Program, inputs: Mapping[str, Any]) -> None:
    """Refuse inputs whose names or shapes are not the program's.

    Raises:
        ProgramError: with the input's name, its shape and the shape the program takes.
    """
    for spec in program.inputs:
        if spec.name not in inputs:
            raise ProgramError(f"input {spec.name!r} is missing; given: {', '.join(inputs)}")
        shape = tuple(inputs[spec.name].shape)
        if shape[-2:] != (spec.tokens, spec.channels):
            raise ProgramError(
                f"input {spec.name!r} has shape {shape}; "
                f"it must end in ({spec.tokens}, {spec.channels})"
            )


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "identity": lambda x: x,
}


class _NumpyShape:
    """The shape-only steps on NumPy arrays."""

    def concat(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts, axis=-2)

    def patch(self, x: np.ndarray, size: int, stride: int) -> np.ndarray:
        starts = np.arange(0, x.shape[-2] - size + 1, stride)
        taken = x[..., starts[:, None] + np.arange(size), :]
        return taken.reshape(*taken.shape[:-2], size * x.shape[-1])

    def unit(self, x: np.ndarray) -> np.ndarray:
        peak = np.abs(x).max(axis=-1, keepdims=True)
        return x / np.where(peak > 0, peak, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatArithmetic(_NumpyShape):
    """Plain numbers of ``dtype``: the meaning of the float model."""

    layers: Mapping[str, Layer]
    dtype: Any = np.float64

    def encode(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x, dtype=self.dtype)

    def linear(self, step: Linear, x: np.ndarray) -> np.ndarray:
        layer = self.layers[step.layer]
        matrix, bias = layer.matrix.astype(self.dtype), layer.bias.astype(self.dtype)
        return self.dtype(layer.gain) * (x @ matrix.T + bias)

    def activation(self, step: Activation, x: np.ndarray) -> np.ndarray:
        return ACTIVATIONS[step.kind](x)

    def mean(self, step: Mean, total: np.ndarray, count: int) -> np.ndarray:
        return total / self.dtype(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerLayer:
    """A layer in codes: tiles ``(R, C, rows, cols)``, what one product LSB is in ADC codes, bias.

    ``scale`` turns ``Σ weight_code · input_code`` into ADC codes; it holds the gain and is exact.
    """

    tiles: np.ndarray
    scale: float
    bias: np.ndarray
    out: int
    fan_in: int


def integer_layer(layer: Layer, converters: Converters) -> IntegerLayer:
    """``layer`` as a core with these converters holds it."""
    c = converters
    gain = round_mantissa(layer.gain, c.gain_bits)
    codes = c.weight.codes(layer.matrix.astype(np.float64)).astype(np.int64)
    return IntegerLayer(
        tiles=tile(codes, c.rows, c.cols),
        scale=gain * c.weight.step * c.dac.step / c.adc.step,
        bias=np.rint(gain * layer.bias.astype(np.float64) / c.adc.step).astype(np.int64),
        out=layer.matrix.shape[0],
        fan_in=layer.matrix.shape[1],
    )


def activation_table(kind: str, codes: np.ndarray, converters: Converters) -> np.ndarray:
    """DAC codes for ADC ``codes``: the activation as the table that digital logic holds."""
    values = ACTIVATIONS[kind](codes * converters.adc.step)
    return converters.dac.codes(values).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerArithmetic(_NumpyShape):
    """Codes: the reference meaning of a deployed model, exact in int64 and float64.

    Linear steps read DAC codes and give ADC codes (sums of tiles and bias carry beyond the ADC's
    range); tanh and identity give DAC codes, relu keeps its grid (a unit step follows it); a mean
    rounds back to the grid it came from.
    """

    layers: Mapping[str, IntegerLayer]
    converters: Converters

    @classmethod
    def of(cls, program: Program, converters: Converters) -> IntegerArithmetic:
        """The arithmetic of ``program`` on a core with these converters."""
        layers = {n: integer_layer(layer, converters) for n, layer in program.layers.items()}
        return cls(layers=layers, converters=converters)

    def encode(self, x: np.ndarray) -> np.ndarray:
        return self.converters.dac.codes(np.asarray(x, dtype=np.float64)).astype(np.int64)

    def linear(self, step: Linear, x: np.ndarray) -> np.ndarray:
        layer, adc = self.layers[step.layer], self.converters.adc
        down, across, rows, cols = layer.tiles.shape
        padded = np.zeros((*x.shape[:-1], across * cols), dtype=np.int64)
        padded[..., : layer.fan_in] = x
        total = np.zeros((*x.shape[:-1], down * rows), dtype=np.int64)
        for c in range(across):
            column = layer.tiles[:, c].reshape(down * rows, cols)
            product = padded[..., c * cols : (c + 1) * cols] @ column.T
            total += (
                np.rint(product * layer.scale).clip(adc.min_code, adc.max_code).astype(np.int64)
            )
        return total[..., : layer.out] + layer.bias

    def activation(self, step: Activation, x: np.ndarray) -> np.ndarray:
        if step.kind == "relu":
            return np.maximum(x, 0)
        return activation_table(step.kind, x, self.converters)

    def mean(self, step: Mean, total: np.ndarray, count: int) -> np.ndarray:
        return np.rint(total / count).astype(np.int64)

    def unit(self, x: np.ndarray) -> np.ndarray:
        return self.converters.dac.codes(_NumpyShape.unit(self, x)).astype(np.int64)


def run_float(program: Program, inputs: Mapping[str, Any], dtype: Any = np.float64) -> np.ndarray:
    """Logits ``(batch, classes)`` of the float model.

    Raises:
        ProgramError: inputs that do not fit the program.
    """
    check_inputs(program, inputs)
    arithmetic = FloatArithmetic(layers=program.layers, dtype=dtype)
    return execute(inputs, program.steps, arithmetic)[program.output][..., 0, :]


def run_integer(program: Program, inputs: Mapping[str, Any], converters: Converters) -> np.ndarray:
    """Logit codes ``(batch, classes)`` of the deployed model; one code is ``converters.adc.step``.

    Raises:
        ProgramError: inputs that do not fit the program, or a layer that does not read DAC codes.
    """
    check_inputs(program, inputs)
    grids(program.inputs, program.steps)
    arithmetic = IntegerArithmetic.of(program, converters)
    return execute(inputs, program.steps, arithmetic)[program.output][..., 0, :]


def grids(inputs: tuple[Input, ...], steps: tuple[Step, ...]) -> dict[str, str]:
    """The grid each value lives on, ``dac`` or ``adc``; a product reads DAC codes only.

    Raises:
        ProgramError: a linear step that reads ADC codes, or a concat of two grids.
    """
    domains = {i.name: "dac" for i in inputs}
    for step in steps:
        match step:
            case Linear():
                if domains[step.source] != "dac":
                    raise ProgramError(
                        f"layer {step.layer!r} reads {step.source!r}, which is on the ADC grid: "
                        "put a tanh, identity or unit step in between"
                    )
                domains[step.out] = "adc"
            case Activation(kind="tanh" | "identity") | Unit():
                domains[step.out] = "dac"
            case Concat():
                kinds = {domains[s] for s in step.sources}
                if len(kinds) != 1:
                    raise ProgramError(f"concat {step.out!r} joins ADC and DAC codes")
                domains[step.out] = kinds.pop()
            case _:
                domains[step.out] = domains[step.source]
    return domains
