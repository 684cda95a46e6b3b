"""Layers whose every value fits the chip: unbounded parameters, bounded values in use.

A weight or bias in use is ``scale · tanh(raw)``, so it lies in ``(-scale, scale)`` whatever the
optimiser does. In front of the ADC stands an electrical gain, learned per layer: without it a
network of tanh units with weights below 1 can hardly leave the linear regime.

A convolution is a ``Patch`` step and a :class:`ConstrainedLinear` on each patch; there is no
separate layer for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from photonic.errors import ConfigError
from photonic.program import ActivationKind, Layer
from photonic.quantize import Quantizer

MAX_GAIN = 8.0


class Core(Protocol):
    """What stands between a layer's numbers and its product: nothing, converters, or a device."""

    def encode(self, x: Tensor) -> Tensor:
        """Values as the DAC passes them on."""
        ...

    def regrid(self, x: Tensor) -> Tensor:
        """Digital values rounded back to the ADC's grid, without clipping."""
        ...

    def product(self, x: Tensor, weight: Tensor, bias: Tensor, gain: Tensor) -> Tensor:
        """``gain · (weight·x + bias)`` as the ADC and the digital sum give it."""
        ...

    def overflow(self, x: Tensor, weight: Tensor, gain: Tensor) -> Tensor | None:
        """How far the product leaves the ADC's range (:func:`mean_overflow`); None without one."""
        ...

    def coded(self, weight: Tensor, bias: Tensor, gain: Tensor) -> CodedLayer | None:
        """The layer in codes, for whoever wants :meth:`product` and more in one pass.

        None where a product is not just that; the core is then left as it was.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedLayer:
    """A layer between DAC and ADC, in codes: ``round(matrix · x + noise) + bias``.

    Attributes:
        matrix: ADC codes per DAC code, ``(chips, out, in)``; each chip has an equal run of the
            batch, the last one the rest.
        bias: whole ADC codes ``(out,)``, added behind the ADC.
        dac: grid of the inputs.
        adc: grid of the results.
        noise: noise at the ADC for ``n`` samples of each output, ``(chips, at least out, n)``, new
            with every call; None without.
    """

    matrix: Tensor
    bias: Tensor
    dac: Quantizer
    adc: Quantizer
    noise: Callable[[int], Tensor] | None = None


class ExactCore(nn.Module):
    """Plain float arithmetic: the float model."""

    def encode(self, x: Tensor) -> Tensor:
        """``x`` itself."""
        return x

    def regrid(self, x: Tensor) -> Tensor:
        """``x`` itself."""
        return x

    def product(self, x: Tensor, weight: Tensor, bias: Tensor, gain: Tensor) -> Tensor:
        """``gain · (weight·x + bias)``; the gain goes to the small operand."""
        return functional.linear(x, gain * weight, gain * bias)

    def overflow(self, x: Tensor, weight: Tensor, gain: Tensor) -> Tensor | None:
        """None: floats have no range to leave."""
        return None

    def coded(self, weight: Tensor, bias: Tensor, gain: Tensor) -> CodedLayer | None:
        """None: floats are no codes."""
        return None


def mean_overflow(x: Tensor, weight: Tensor, gain: Tensor, adc: Quantizer, cols: int) -> Tensor:
    """Mean square by which ADC samples exceed the range, over the square of the full scale.

    Args:
        x: inputs of the product ``(..., in)``.
        weight: ``(out, in)``.
        gain: in front of the ADC.
        adc: its grid.
        cols: inputs of one tile; every tile has a conversion of its own.
    """
    limit = adc.values(adc.max_code)
    samples = [
        functional.linear(part, gain * columns)
        for part, columns in zip(x.split(cols, -1), weight.split(cols, -1), strict=True)
    ]
    excess = (torch.stack(samples).abs() - limit).clamp(min=0.0) / adc.full_scale
    return excess.square().mean()


class ConstrainedLinear(nn.Module):
    """``y = gain · (W·x + b)`` with ``W, b`` in ``(-scale, scale)``; x is ``(..., in_features)``.

    Args:
        in_features: fan-in; more than the core's columns is tiled, partial sums added digitally.
        out_features: number of outputs.
        scale: bound of weights and bias; ``None`` leaves them free (the founding head), and the
            exported matrix is then normalised and its size moved to the gain.
        initial_gain: electrical gain at the start; in (0, 8) when learned.
        learn_gain: whether the gain is trained.
        generator: for the initial values (uniform, ``±1/√fan-in`` in the values in use).

    Raises:
        ConfigError: an initial gain outside (0, 8) when it is learned, or a scale not above 0.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        scale: float | None = 1.0,
        initial_gain: float = 2.0,
        learn_gain: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if learn_gain and not 0.0 < initial_gain < MAX_GAIN:
            raise ConfigError(
                f"initial gain {initial_gain}: a learned gain lies in (0, {MAX_GAIN:g})"
            )
        if scale is not None and scale <= 0.0:
            raise ConfigError(f"constraint scale {scale}: must be above 0")
        self.scale = scale
        bound = min(1.0 / math.sqrt(in_features), 0.9 * (scale or math.inf))
        weight = (torch.rand(out_features, in_features, generator=generator) * 2 - 1) * bound
        bias = (torch.rand(out_features, generator=generator) * 2 - 1) * bound
        self.raw_weight = nn.Parameter(self._raw(weight))
        self.raw_bias = nn.Parameter(self._raw(bias))
        self.learn_gain = learn_gain
        gain = torch.tensor(initial_gain / MAX_GAIN).logit() if learn_gain else initial_gain
        self.raw_gain = nn.Parameter(torch.as_tensor(gain), requires_grad=learn_gain)

    def _raw(self, value: Tensor) -> Tensor:
        return value if self.scale is None else torch.atanh(value / self.scale)

    def values(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weight ``(out, in)``, bias ``(out,)`` and gain ``()`` in use, as a chip holds them."""
        return used_values(
            self.raw_weight,
            self.raw_bias,
            self.raw_gain,
            scale=self.scale,
            learn_gain=self.learn_gain,
        )

    def forward(self, x: Tensor, core: Core | None = None) -> Tensor:
        """``(..., in_features) → (..., out_features)`` on ``core`` (exact by default)."""
        return (core or _EXACT).product(x, *self.values())

    @torch.no_grad()
    def to_layer(self, name: str) -> Layer:
        """The values in use, for a program."""
        weight, bias, gain = (value.detach().cpu() for value in self.values())
        return Layer(name=name, matrix=weight.numpy(), bias=bias.numpy(), gain=float(gain))


_EXACT = ExactCore()


def used_values(
    raw_weight: Tensor,
    raw_bias: Tensor,
    raw_gain: Tensor,
    *,
    scale: float | None,
    learn_gain: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights ``(..., out, in)``, biases ``(..., out)`` and gains ``(...)`` of raw parameters.

    Free ones (``scale`` None) are brought into [-1, 1] by their largest magnitude, which goes to
    the gain, because that is how a chip holds them.
    """
    gain = MAX_GAIN * torch.sigmoid(raw_gain) if learn_gain else raw_gain
    if scale == 1.0:
        return torch.tanh(raw_weight), torch.tanh(raw_bias), gain
    if scale is not None:
        return scale * torch.tanh(raw_weight), scale * torch.tanh(raw_bias), gain
    size = torch.maximum(
        raw_weight.detach().abs().amax((-2, -1)), raw_bias.detach().abs().amax(-1)
    ).clamp(min=1e-12)
    return raw_weight / size[..., None, None], raw_bias / size[..., None], gain * size


TINY = 1e-6
"""Largest magnitude of a vector, in the unit of the activations, that counts as nothing."""


def scale_to_unit(x: Tensor) -> Tensor:
    """Each last-axis vector over its largest magnitude; zero stays zero, no other beat matters.

    A vector below :data:`TINY` passes no gradient: it grows like one over the magnitude, and the
    last activations of a dying ReLU would overflow it and turn every weight into NaN.
    """
    peak = x.abs().amax(dim=-1, keepdim=True)
    unit = x / torch.where(peak > 0, peak, torch.ones_like(peak))
    kept = peak >= TINY
    # Divided again by what is never tiny: where() alone would multiply an infinity by zero.
    return torch.where(kept, x / torch.where(kept, peak, torch.ones_like(peak)), unit.detach())


class TensorShape:
    """The shape-only steps of a program on torch tensors ``(..., tokens, channels)``."""

    def concat(self, parts: list[Tensor]) -> Tensor:
        """Values joined along the token axis."""
        return torch.cat(parts, dim=-2)

    def patch(self, x: Tensor, size: int, stride: int) -> Tensor:
        """``size`` consecutive tokens flattened to one, every ``stride``."""
        tokens, channels = x.shape[-2:]
        if size == stride and tokens % size == 0:
            return x.reshape(*x.shape[:-2], tokens // size, size * channels)
        frames = x.unfold(-2, size, stride)
        return frames.transpose(-1, -2).reshape(*frames.shape[:-2], size * channels)

    def unit(self, x: Tensor) -> Tensor:
        """Each token over its largest magnitude."""
        return scale_to_unit(x)


def activate(kind: ActivationKind, x: Tensor) -> Tensor:
    """The element-wise function of an activation step."""
    match kind:
        case "tanh":
            return torch.tanh(x)
        case "relu":
            return torch.relu(x)
        case _:
            return x
