"""Noise-aware training: a student's core on chips of a profile, fresh ones every step.

Forward, every product runs as it would on a chip with the profile's errors and noise. Backward, the
gradient passes straight through programming and rounding to the wanted weights (Bengio et al.
2013) and, unchanged, past the noise.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from photonic.devices.base import Errors, Transfer, device_for
from photonic.devices.converters import Readout
from photonic.devices.fake_quant import fake_quantize
from photonic.devices.layer_optics import LayerOptics, prepare
from photonic.devices.read_noise import ReadNoise, TrainingNoise
from photonic.devices.readout import column_noise, products
from photonic.errors import ConfigError
from photonic.layers import CodedLayer, Core, mean_overflow
from photonic.profile import HardwareProfile
from photonic.quantize import round_mantissa

FIRST_TRAINING_CHIP = 2**62
"""No sweep gets here, so that a model is never scored on chips it was trained on."""


class DeviceCore(nn.Module):
    """The core of :mod:`photonic.layers` on simulated chips.

    In training mode each step, from one :meth:`advance` to the next, has chips of its own, which
    the batch is spread over; errors and noise grow linearly to their full size over the warm-up. In
    evaluation mode another core answers, or one chip without errors or noise, as
    ``simulate(..., chips=None)``.

    Args:
        profile: the hardware, of any registered kind.
        seed: of chips and noise.
        warmup_steps: steps until errors and noise have their full size; 0 has it from the start.
        num_chips: chips per step.
        answers: the core in evaluation mode, such as one of the profile's bits.
        on: device of the numbers.

    Raises:
        ConfigError: a negative warm-up or no chips.
        ProfileError: a profile that its kind cannot honour.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        *,
        seed: int,
        warmup_steps: int = 0,
        num_chips: int = 1,
        answers: Core | None = None,
        on: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if num_chips < 1:
            raise ConfigError(f"{num_chips} chips per step: at least 1")
        self.profile = profile
        self.seed, self.num_chips, self.answers = seed, num_chips, answers
        self.device = device_for(profile)
        self.readout = Readout.of(self.device)
        self.noise = TrainingNoise(
            generator=torch.Generator(on).manual_seed(seed), warmup_steps=warmup_steps
        )
        self._blocks_used = self._blocks_per_step = self._num_drawn = 0
        self._drawn: Errors = {}

    def advance(self) -> None:
        """Begin the next step: fresh chips, and further through the warm-up."""
        self.noise.step += 1
        self._blocks_per_step, self._blocks_used, self._num_drawn = self._blocks_used, 0, 0

    def encode(self, x: Tensor) -> Tensor:
        """Values as the DAC passes them on."""
        if self.answers is not None and not self.training:
            return self.answers.encode(x)
        return fake_quantize(x, self.readout.dac)

    def regrid(self, x: Tensor) -> Tensor:
        """Digital values rounded back to the ADC's grid, without clipping."""
        if self.answers is not None and not self.training:
            return self.answers.regrid(x)
        return fake_quantize(x, self.readout.adc, clip=False)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor, gain: Tensor) -> Tensor:
        """``gain · (W·x + b)`` of ``x (batch, tokens, channels)`` on this step's chips."""
        if self.answers is not None and not self.training:
            return self.answers.product(x, weight, bias, gain)
        readout, out, beats = self.readout, len(weight), x.shape[0]
        gain = self._stored(gain)
        layer = self._programmed(weight, gain, x.dtype)
        missing = len(layer.columns) * layer.cols - weight.shape[1]
        chips = self._chips
        spare = -beats % chips
        light = functional.pad(x, (0, missing, 0, 0, 0, spare)) / readout.x_unit
        light = light.unflatten(0, (chips, -1)).transpose(1, 3)
        sums = products(readout, layer, light, self._read_noise()) * readout.y_unit
        results = sums[:, :out].transpose(1, 3).flatten(0, 1)[:beats]
        return results + self.regrid(gain * bias)

    def overflow(self, x: Tensor, weight: Tensor, gain: Tensor) -> Tensor | None:
        """How far the product leaves the ADC's range, on a chip without errors or noise."""
        adc = self.readout.adc
        return None if adc is None else mean_overflow(x, weight, gain, adc, self.profile.core.cols)

    def coded(self, weight: Tensor, bias: Tensor, gain: Tensor) -> CodedLayer | None:
        """The layer in codes on this step's chips, where only noise stands beside the product."""
        if self.answers is not None and not self.training:
            return self.answers.coded(weight, bias, gain)
        (out, fan_in), dac, adc = weight.shape, self.readout.dac, self.readout.adc
        if dac is None or adc is None or fan_in > self.profile.core.cols or not self._is_plain:
            return None
        gain = self._stored(gain)
        column = self._programmed(weight, gain, torch.float32).columns[0]
        noise = self._read_noise()
        return CodedLayer(
            matrix=column.matrix[:, :out, :fan_in],
            bias=self.regrid(gain * bias) / adc.step,
            dac=dac,
            adc=adc,
            noise=None if noise is None else partial(column_noise, column, noise, weight),
        )

    @cached_property
    def _is_plain(self) -> bool:
        """Whether a conversion is ``matrix · x`` and noise of one size, whatever is programmed."""
        if not self.readout.is_plain:
            return False
        core = self.profile.core
        settings = self.device.compile(np.full((1, core.rows, core.cols), 0.25))
        errors = self.device.static_errors(self.seed, range(1), 1)
        transfer = self.device.transfer(settings, errors)
        return transfer.quadrature is None and transfer.offset is None

    @property
    def _chips(self) -> int:
        return self.num_chips if self.training else 1

    def _stored(self, gain: Tensor) -> Tensor:
        """The gain as the amplifier has it, if there is one in front of an ADC."""
        if self.readout.adc is None:
            return gain
        rounded = round_mantissa(float(gain.detach()), self.profile.output.gain_bits)
        return gain + (rounded - gain.detach())

    def _programmed(self, weight: Tensor, gain: Tensor, dtype: torch.dtype) -> LayerOptics:
        """The layer on this step's next blocks."""
        core, (out, fan_in) = self.profile.core, weight.shape
        down, across = -(-out // core.rows), -(-fan_in // core.cols)
        padded = functional.pad(weight, (0, across * core.cols - fan_in, 0, down * core.rows - out))
        tiles = padded.unflatten(0, (down, core.rows)).unflatten(2, (across, core.cols))
        transfer = self._transfer(tiles.transpose(1, 2).flatten(0, 1), self._chips)
        return prepare(self.readout, transfer, (down, across), gain, dtype=dtype)

    def _transfer(self, wanted: Tensor, chips: int) -> Transfer:
        """The blocks as the step's chips realise them, with a gradient to the wanted ones."""
        settings = self.device.compile(wanted.detach().cpu().double().numpy())
        errors = self._errors(len(wanted), chips, wanted) if self.training else None
        with torch.no_grad():
            transfer = self.device.transfer(settings, errors).to(wanted.device)
        return replace(transfer, matrix=_StraightThrough.apply(wanted, transfer.matrix))

    def _errors(self, num_blocks: int, chips: int, like: Tensor) -> Errors:
        """Errors of this step's chips for the next blocks that they are programmed with."""
        first, last = self._blocks_used, self._blocks_used + num_blocks
        self._blocks_used = last
        if last > self._num_drawn:  # all of a step at once, from its second step on
            start = FIRST_TRAINING_CHIP + self.noise.step * chips
            self._num_drawn = max(last, self._blocks_per_step)
            drawn = self.device.static_errors(
                self.seed, range(start, start + chips), self._num_drawn
            )
            strength = self.noise.strength
            self._drawn = {n: values.to(like.device) * strength for n, values in drawn.items()}
        return {
            # What a chip's only core has suffered is the same for every block.
            n: values if values.shape[1] == 1 != self._num_drawn else values[:, first:last]
            for n, values in self._drawn.items()
        }

    def _read_noise(self) -> ReadNoise | None:
        return self.noise if self.training and self.readout.is_noisy else None


class _StraightThrough(torch.autograd.Function):
    """Forward the realised matrices, exactly; pass the gradient to the wanted ones."""

    @staticmethod
    def forward(ctx: object, wanted: Tensor, realised: Tensor) -> Tensor:  # type: ignore[override]
        return realised.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad.sum(0), None
