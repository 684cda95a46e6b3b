"""A program on a batch of simulated chips.

Work is cut into groups of chips and blocks of beats. The size of a block depends on the program
and the sort of machine alone, so neither the chips beside it nor the memory at hand changes what a
chip computes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from photonic.devices.base import Device, device_for
from photonic.devices.converters import Readout
from photonic.devices.fake_quant import round_to_codes
from photonic.devices.layer_optics import LayerOptics, prepare
from photonic.devices.read_noise import ChipStreams, ReadNoise
from photonic.devices.readout import products
from photonic.errors import ProgramError
from photonic.execute import check_inputs, execute, grids
from photonic.layers import activate, scale_to_unit
from photonic.profile import HardwareProfile
from photonic.program import Activation, Linear, Mean, Program, sources, tile
from photonic.quantize import round_mantissa

# Measured: steps run fastest on values that stay in the cache, 2 MB of them. A single product has
# nothing to keep there, and is fastest where it is the result itself, without a copy.
VALUES_AT_ONCE, VALUES_OF_ONE_PRODUCT = 2**19, 2**22
VECTORS_AT_ONCE = 16384
# A GPU wants few large steps: this many times as many vectors, and values, at once.
TIMES_ON_GPU = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLayer:
    """A layer on ``K`` chips: its light, its bias ``(out, 1, 1)`` in results' units, its shape."""

    optics: LayerOptics
    bias: Tensor | None
    out: int
    fan_in: int

    def chips(self, chosen: slice) -> ChipLayer:
        """The same layer on some of the chips."""
        return ChipLayer(
            optics=self.optics.chips(chosen), bias=self.bias, out=self.out, fan_in=self.fan_in
        )


class ChipArithmetic:
    """What steps do on ``K`` chips; values are ``(K or 1, batch, tokens, channels)``.

    They are views of tensors ``(K or 1, channels, tokens, batch)``, in which products run over
    contiguous rows, and they run in codes of the DAC or the ADC, whichever grid they are on.
    """

    def __init__(
        self,
        layers: Mapping[str, ChipLayer],
        readout: Readout,
        program: Program,
        noise: ReadNoise | None,
    ) -> None:
        self.layers, self.readout, self.noise = layers, readout, noise
        self.grids = grids(program.inputs, program.steps)
        self.spent = _read_once(program)

    def encode(self, x: Tensor) -> Tensor:
        """A value as it is: program inputs are DAC codes before the first step."""
        return x

    def linear(self, step: Linear, x: Tensor) -> Tensor:
        """The optical product of every token, the ADC, the digital sum and the bias."""
        layer = self.layers[step.layer]
        light = _channels_first(x)
        missing = len(layer.optics.columns) * layer.optics.cols - layer.fan_in
        if missing:
            light = functional.pad(light, (0, 0, 0, 0, 0, missing))
        sums = products(self.readout, layer.optics, light, self.noise)
        sums = sums[:, : layer.out]
        return _channels_last(sums if layer.bias is None else sums.add_(layer.bias))

    def activation(self, step: Activation, x: Tensor) -> Tensor:
        """The function of the step; all but relu end on the DAC's grid."""
        readout = self.readout
        if step.kind == "relu":
            return torch.relu(x)
        if step.kind != "tanh" or step.source not in self.spent:
            return readout.encode(activate(step.kind, x * readout.y_unit))
        y = x if readout.y_unit == 1.0 else x.mul_(readout.y_unit)
        if readout.dac is None:
            return _tanh_in_place(y)
        return round_to_codes(y.tanh_().div_(readout.x_unit), readout.dac)

    def unit(self, x: Tensor) -> Tensor:
        """Each token over its largest magnitude, on the DAC's grid."""
        return self.readout.encode(scale_to_unit(x))

    def mean(self, step: Mean, total: Tensor, count: int) -> Tensor:
        """The mean, rounded to the grid its tokens live on."""
        readout = self.readout
        grid = readout.dac if self.grids[step.source] == "dac" else readout.adc
        return round_to_codes(total / count, grid, clip=False)

    def concat(self, parts: list[Tensor]) -> Tensor:
        """Values joined along the token axis, chips broadcast."""
        chips = max(p.shape[0] for p in parts)
        joined = [_channels_first(p).expand(chips, -1, -1, -1) for p in parts]
        return _channels_last(torch.cat(joined, dim=2))

    def patch(self, x: Tensor, size: int, stride: int) -> Tensor:
        """``size`` consecutive tokens flattened to one, every ``stride``."""
        light = _channels_first(x)
        last = light.shape[2] - size
        shifted = [light[:, :, i : i + last + 1 : stride] for i in range(size)]
        return _channels_last(torch.cat(shifted, dim=1))


def _tanh_in_place(x: Tensor) -> Tensor:
    """Hyperbolic tangent within 2e-7, as ``2σ(2x) − 1``: on many CPUs in half the time."""
    if x.dtype != torch.float32 or x.device.type != "cpu":
        return x.tanh_()
    return x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


def _read_once(program: Program) -> frozenset[str]:
    """Sums that one step reads and nobody else, which that step may overwrite."""
    reads = Counter(name for step in program.steps for name in sources(step))
    sums = (s.out for s in program.steps if isinstance(s, Linear) and s.out != program.output)
    return frozenset(name for name in sums if reads[name] == 1)


def _channels_first(x: Tensor) -> Tensor:
    """``(K, batch, tokens, channels)`` ↔ ``(K, channels, tokens, batch)``, a view."""
    return x.transpose(1, 3)


_channels_last = _channels_first


def chip_layers(
    program: Program,
    device: Device,
    readout: Readout,
    *,
    seed: int,
    chips: Sequence[int] | None,
    on: torch.device | str = "cpu",
) -> dict[str, ChipLayer]:
    """Every layer of ``program`` as ``chips`` realise it; one ideal chip for ``chips=None``.

    Blocks are numbered over the whole program in execution order, and a chip's static errors are
    drawn for all of them at once.
    """
    core = device.profile.core
    blocks = program.blocks(core.rows, core.cols)
    settings = device.compile(np.stack([b.matrix for b in blocks]))
    errors = None
    if chips is not None:
        errors = device.static_errors(seed, chips, len(blocks))
        errors = {name: values.to(on) for name, values in errors.items()}
    transfer = device.transfer(settings, errors).to(torch.device(on))
    # Without noise the codes must be exact, also where tanh comes near a rounding boundary.
    dtype = torch.float64 if chips is None else torch.float32
    layers, first = {}, 0
    for layer in program.layers_in_order():
        grid = tile(layer.matrix, core.rows, core.cols).shape[:2]
        last = first + grid[0] * grid[1]
        gain, bias = layer.gain, layer.bias.astype(np.float64)
        if readout.adc is not None:
            gain = round_mantissa(gain, device.profile.output.gain_bits)
            bias = np.rint(gain * bias / readout.adc.step)
        else:
            bias = gain * bias
        layers[layer.name] = ChipLayer(
            optics=prepare(
                readout,
                transfer.blocks(slice(first, last)),
                grid,
                gain,
                dtype=dtype,
                exact=chips is None,
            ),
            bias=torch.from_numpy(bias)[:, None, None].to(on, dtype) if bias.any() else None,
            out=layer.matrix.shape[0],
            fan_in=layer.matrix.shape[1],
        )
        first = last
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
    on: torch.device | str = "cpu",
) -> np.ndarray:
    """Logits ``(chips, batch, classes)``, float32.

    Args:
        program: the model.
        profile: the hardware.
        inputs: program inputs ``(batch, tokens, channels)``.
        chips: chip indices; ``None`` is one chip without static errors or noise.
        seed: of the chips and of their read noise.
        part: number of this part of the beats, so that parts have different read noise.
        on: where to compute, e.g. ``cuda``. Static errors are the same everywhere; read noise is
            drawn where it is used.

    Raises:
        ProgramError: inputs that do not fit, or a product that would read ADC codes.
    """
    check_inputs(program, inputs)
    if chips is not None and not len(chips):
        raise ProgramError("no chips to simulate: give at least one chip index")
    device = device_for(profile)
    readout = Readout.of(device)
    layers = chip_layers(program, device, readout, seed=seed, chips=chips, on=on)
    noise = None
    if chips is not None and readout.is_noisy:
        noise = ChipStreams.of_chips(seed, chips, part, on)
    num_chips = 1 if chips is None else len(chips)
    dtype = torch.float64 if chips is None else torch.float32
    light = {
        name: readout.encode(
            torch.from_numpy(np.asarray(x).transpose(2, 1, 0)[None]).to(on, dtype).contiguous()
        )
        for name, x in inputs.items()
    }
    batch = next(iter(light.values())).shape[-1]
    on_adc = grids(program.inputs, program.steps)[program.output] == "adc"
    unit = readout.y_unit if on_adc else readout.x_unit
    beats, group_size = _block_shape(program, batch, num_chips, torch.device(on))
    logits = None
    for first_chip in range(0, num_chips, group_size):
        group = slice(first_chip, first_chip + group_size)
        arithmetic = ChipArithmetic(
            {name: layer.chips(group) for name, layer in layers.items()},
            readout,
            program,
            None if noise is None else noise[group],
        )
        for first_beat in range(0, batch, beats):
            block = slice(first_beat, first_beat + beats)
            values = {name: _channels_last(x[..., block]) for name, x in light.items()}
            result = _channels_first(_run(program, values, arithmetic))[:, :, 0]
            if logits is None and beats >= batch and group_size >= num_chips:
                logits = result  # copying it would cost as much as computing it
                break
            if logits is None:
                logits = torch.empty(num_chips, program.num_classes, batch, device=on, dtype=dtype)
            logits[group, :, block] = result
    assert logits is not None
    logits = (logits if unit == 1.0 else logits * unit).to(torch.float32)
    return logits.transpose(1, 2).cpu().numpy()


def _run(program: Program, values: dict[str, Tensor], arithmetic: ChipArithmetic) -> Tensor:
    """The program's output; every value is let go once the last step that reads it is done."""
    last_reader = {name: i for i, step in enumerate(program.steps) for name in sources(step)}
    for i, step in enumerate(program.steps):
        values = execute(values, (step,), arithmetic)
        for name in sources(step):
            if last_reader[name] == i and name != program.output:
                values.pop(name, None)
    return values[program.output]


def _block_shape(program: Program, batch: int, num_chips: int, on: torch.device) -> tuple[int, int]:
    """Beats and chips per block; the number of beats does not depend on the chips."""
    shapes = program.shapes().values()
    times = 1 if on.type == "cpu" else TIMES_ON_GPU
    beats = max(1, times * VECTORS_AT_ONCE // max(tokens for tokens, _ in shapes))
    values_per_chip = max(tokens * channels for tokens, channels in shapes) * min(beats, batch)
    at_once = VALUES_AT_ONCE if len(program.steps) > 1 else VALUES_OF_ONE_PRODUCT
    return beats, min(num_chips, max(1, times * at_once // values_per_chip))
