"""The quantisation-aware twin of a student: its core on Brevitas quantisers.

Swapping a student's core for :class:`BrevitasCore` puts DAC, stored weights and ADC of a hardware
profile into the forward pass and leaves the parameters alone. What it computes is, code for code,
what ``photonic.execute.run_integer`` defines: every quantiser has a constant scale from the
profile, products and sums are exact in the floating-point type they are done in, and there is one
rounding per converter. Gradients pass straight through roundings and stop where a value clips
(Bengio et al. 2013), as Brevitas does it.
"""

from __future__ import annotations

import math

import torch
from brevitas.core.quant import IntQuant
from torch import Tensor, nn
from torch.nn import functional

from photonic.errors import ConfigError
from photonic.layers import CodedLayer, mean_overflow
from photonic.profile import Converters, HardwareProfile
from photonic.quantize import Quantizer, exact_product_bits

_EXACT_IN_FLOAT32 = 24
_CARRY_BITS = 31
"""Width that a digital sum never reaches: rounds to the ADC's grid without clipping."""


class GridQuantizer(nn.Module):
    """Brevitas' integer quantiser on the constant grid of a :class:`Quantizer`.

    Args:
        quantizer: step, range and symmetry.
        bits: another width on the same grid.
    """

    def __init__(self, quantizer: Quantizer, bits: int | None = None) -> None:
        super().__init__()
        self.quant = IntQuant(
            narrow_range=quantizer.symmetric, signed=True, input_view_impl=nn.Identity()
        )
        self.register_buffer("scale", torch.tensor(quantizer.step, dtype=torch.float64))
        self.register_buffer("zero_point", torch.tensor(0.0))
        self.register_buffer("bit_width", torch.tensor(float(bits or quantizer.bits)))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` on the grid, in its own type."""
        return self.quant(self.scale, self.zero_point, self.bit_width, x)


class BrevitasCore(nn.Module):
    """Converters of a profile between a student's numbers and their products.

    Raises:
        ConfigError: the profile does not give bits for input, weight and output.
    """

    def __init__(self, profile: HardwareProfile) -> None:
        super().__init__()
        converters = profile.converters()
        if converters is None:
            raise ConfigError(
                f"profile {profile.name!r} gives no bits for input, weight and output, so there is "
                "nothing to train with: choose another profile or leave it out"
            )
        self.converters: Converters = converters
        self.dac = GridQuantizer(converters.dac)
        self.weight = GridQuantizer(converters.weight)
        self.adc = GridQuantizer(converters.adc)
        self.digital = GridQuantizer(converters.adc, _CARRY_BITS)

    def encode(self, x: Tensor) -> Tensor:
        """Values as the DAC passes them on."""
        return self.dac(x)

    def regrid(self, x: Tensor) -> Tensor:
        """Digital values rounded back to the ADC's grid, without clipping."""
        return self.digital(x)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor, gain: Tensor) -> Tensor:
        """``gain · W·x`` tile by tile through the ADC, their digital sum, and the bias."""
        cols = self.converters.cols
        gain = round_gain(gain, self.converters.gain_bits)
        dtype = self._exact_dtype()
        matrix = self.weight(weight).to(dtype)
        parts = [
            self.adc(gain * functional.linear(part.to(dtype), column))
            for part, column in zip(x.split(cols, -1), matrix.split(cols, -1), strict=True)
        ]
        total = parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
        return (total + self.digital(gain.double() * bias.double()).to(dtype)).to(x.dtype)

    def overflow(self, x: Tensor, weight: Tensor, gain: Tensor) -> Tensor:
        """How far the product leaves the ADC's range."""
        return mean_overflow(x, weight, gain, self.converters.adc, self.converters.cols)

    def coded(self, weight: Tensor, bias: Tensor, gain: Tensor) -> CodedLayer | None:
        """The layer in codes, where float32 holds every sum of them exactly."""
        c = self.converters
        steps = (c.dac.step, c.weight.step, c.adc.step)
        exact = self._exact_dtype() is torch.float32 and all(math.frexp(s)[0] == 0.5 for s in steps)
        if not exact or weight.shape[1] > c.cols:
            return None
        gain = round_gain(gain, c.gain_bits)
        matrix = gain * self.weight(weight) * (c.dac.step / c.adc.step)
        offset = self.digital(gain.double() * bias.double()).float() / c.adc.step
        return CodedLayer(matrix=matrix[None], bias=offset, dac=c.dac, adc=c.adc)

    def _exact_dtype(self) -> torch.dtype:
        c = self.converters
        bits = exact_product_bits(
            input_bits=c.dac.bits, weight_bits=c.weight.bits, gain_bits=c.gain_bits, fan_in=c.cols
        )
        return torch.float32 if bits <= _EXACT_IN_FLOAT32 else torch.float64


def round_gain(gain: Tensor, bits: int) -> Tensor:
    """``gain`` with a significand of ``bits`` bits; the gradient passes straight through."""
    mantissa, exponent = torch.frexp(gain.detach())
    rounded = torch.ldexp((mantissa * 2.0**bits).round(), exponent - bits)
    return gain + (rounded - gain).detach()
