"""A program on a batch of simulated chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from photonic.devices.base import Device, device_for
from photonic.devices.fake_quant import fake_quantize
from photonic.devices.readout import ReadNoise, product, quantizers
from photonic.errors import ProgramError
from photonic.execute import check_inputs, execute, grids
from photonic.layers import TensorShape, activate
from photonic.profile import HardwareProfile
from photonic.program import Activation, Linear, Mean, Program, tile
from photonic.quantize import round_mantissa


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLayer:
    """A layer on ``K`` chips: realised tiles ``(K, D, A, rows, cols)``, gain, bias."""

    tiles: Tensor
    gain: float
    bias: Tensor
    out: int
    fan_in: int


class ChipArithmetic(TensorShape):
    """What steps do on ``K`` chips; values are ``(K or 1, batch, tokens, channels)``."""

    def __init__(
        self,
        layers: Mapping[str, ChipLayer],
        profile: HardwareProfile,
        value_grids: Mapping[str, str],
        noise: ReadNoise | None,
    ) -> None:
        self.layers, self.profile, self.grids, self.noise = layers, profile, value_grids, noise
        self.dac, self.adc = quantizers(profile)

    def encode(self, x: Tensor) -> Tensor:
        """The DAC's values of a program input."""
        return fake_quantize(x, self.dac)

    def linear(self, step: Linear, x: Tensor) -> Tensor:
        """The optical product of every token, the ADC, the digital sum and the bias."""
        layer = self.layers[step.layer]
        _, _, across, _, cols = layer.tiles.shape
        vectors = x.reshape(x.shape[0], -1, x.shape[-1])
        if across * cols > layer.fan_in:
            vectors = nn.functional.pad(vectors, (0, across * cols - layer.fan_in))
        sums = product(vectors, layer.tiles, layer.gain, profile=self.profile, noise=self.noise)
        return sums[..., : layer.out].reshape(-1, *x.shape[1:-1], layer.out) + layer.bias

    def activation(self, step: Activation, x: Tensor) -> Tensor:
        """The function of the step; all but relu end on the DAC's grid."""
        y = activate(step.kind, x)
        return y if step.kind == "relu" else fake_quantize(y, self.dac)

    def unit(self, x: Tensor) -> Tensor:
        """Each token over its largest magnitude, on the DAC's grid."""
        return fake_quantize(super().unit(x), self.dac)

    def mean(self, step: Mean, total: Tensor, count: int) -> Tensor:
        """The mean, rounded to the grid its tokens live on."""
        if self.grids[step.source] == "dac":
            return fake_quantize(total / count, self.dac)
        return fake_quantize(total / count, self.adc, clip=False)

    def concat(self, parts: list[Tensor]) -> Tensor:
        """Values joined along the token axis, chips broadcast."""
        chips = max(p.shape[0] for p in parts)
        return super().concat([p.expand(chips, *p.shape[1:]) for p in parts])


def chip_layers(
    program: Program, device: Device, *, seed: int, chips: Sequence[int] | None
) -> dict[str, ChipLayer]:
    """Every layer of ``program`` as ``chips`` realise it; one ideal chip for ``chips=None``.

    Blocks are numbered over the whole program in execution order, and a chip's static errors are
    drawn for all of them at once.
    """
    profile = device.profile
    core = profile.core
    blocks = program.blocks(core.rows, core.cols)
    _, adc = quantizers(profile)
    settings = device.compile(np.stack([b.matrix for b in blocks]))
    errors = None if chips is None else device.static_errors(seed, chips, len(blocks))
    # Without noise the codes must be exact, also where tanh comes near a rounding boundary.
    dtype = torch.float64 if chips is None else torch.float32
    realised = device.realise(settings, errors).to(dtype)
    layers, first = {}, 0
    for layer in program.layers_in_order():
        down, across = tile(layer.matrix, core.rows, core.cols).shape[:2]
        tiles = realised[:, first : first + down * across]
        first += down * across
        gain = layer.gain if adc is None else round_mantissa(layer.gain, profile.output.gain_bits)
        bias = gain * layer.bias.astype(np.float64)
        if adc is not None:
            bias = np.rint(bias / adc.step) * adc.step
        layers[layer.name] = ChipLayer(
            tiles=tiles.unflatten(1, (down, across)),
            gain=gain,
            bias=torch.from_numpy(bias).to(dtype),
            out=layer.matrix.shape[0],
            fan_in=layer.matrix.shape[1],
        )
    return layers


@torch.no_grad()
def simulate(
    program: Program,
    profile: HardwareProfile,
    inputs: Mapping[str, np.ndarray],
    *,
    chips: Sequence[int] | None,
    seed: int = 0,
    part: int = 0,
) -> np.ndarray:
    """Logits ``(chips, batch, classes)``, float32.

    Args:
        program: the model.
        profile: the hardware.
        inputs: program inputs ``(batch, tokens, channels)``.
        chips: chip indices; ``None`` is one chip without static errors or noise.
        seed: of the chips and of their read noise.
        part: number of this part of the beats, so that parts have different read noise.

    Raises:
        ProgramError: inputs that do not fit, or a product that would read ADC codes.
    """
    check_inputs(program, inputs)
    if chips is not None and not len(chips):
        raise ProgramError("no chips to simulate: give at least one chip index")
    layers = chip_layers(program, device_for(profile), seed=seed, chips=chips)
    noise = None if chips is None else ReadNoise.of_chips(seed, chips, part)
    arithmetic = ChipArithmetic(layers, profile, grids(program.inputs, program.steps), noise)
    dtype = np.float64 if chips is None else np.float32
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(x, dtype=dtype))[None]
        for name, x in inputs.items()
    }
    logits = execute(tensors, program.steps, arithmetic)[program.output][..., 0, :]
    return logits.to(torch.float32).numpy()
