"""A program on cores that are really programmed, matrix by matrix: digital steps around ``mvm``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from photonic.backends.core import PhotonicCore, checked_mvm
from photonic.devices import device_for
from photonic.errors import ProgramError
from photonic.execute import ACTIVATIONS, check_inputs, execute, grids
from photonic.program import Activation, Linear, Mean, Program, tile
from photonic.quantize import Quantizer, round_mantissa

# Values of one step, over lanes, beats and tokens, that are kept at once.
VECTORS_AT_ONCE = 400_000

SlotSettings = Sequence[Mapping[str, np.ndarray]]


def compiled_settings(program: Program, core: PhotonicCore) -> list[dict[str, np.ndarray]]:
    """Settings of every block as designed, the same on all lanes, in execution order."""
    shape = core.profile.core
    blocks = program.blocks(shape.rows, shape.cols)
    settings = device_for(core.profile).compile(np.stack([block.matrix for block in blocks]))
    return [
        {name: np.repeat(np.asarray(a[i])[None], core.lanes, 0) for name, a in settings.items()}
        for i in range(len(blocks))
    ]


def run_on_core(
    program: Program,
    core: PhotonicCore,
    inputs: Mapping[str, np.ndarray],
    settings: SlotSettings | None = None,
    *,
    advance: Callable[[int], None] = lambda beats: None,
) -> np.ndarray:
    """Logits ``(lanes, batch, classes)``, float64.

    On a core without errors these are the integer reference's codes times the ADC's step.

    Args:
        program: the model.
        core: where it runs.
        inputs: ``(batch, tokens, channels)`` by name.
        settings: of each block in execution order; as compiled if left out.
        advance: called with the number of beats done.

    Raises:
        ProgramError: inputs that do not fit, or settings of another number of blocks.
        RunError: the core failed, or answered with what are no numbers.
    """
    check_inputs(program, inputs)
    settings = compiled_settings(program, core) if settings is None else settings
    arithmetic = CoreArithmetic(program=program, core=core, settings=settings)
    batch = len(next(iter(inputs.values())))
    most_tokens = max(tokens for tokens, _ in program.shapes().values())
    beats = max(1, VECTORS_AT_ONCE // (core.lanes * most_tokens))
    parts = []
    for first in range(0, batch, beats):
        block = {name: x[None, first : first + beats] for name, x in inputs.items()}
        parts.append(execute(block, program.steps, arithmetic)[program.output][..., 0, :])
        advance(parts[-1].shape[1])
    return np.concatenate(parts, axis=1)


class CoreArithmetic:
    """Values ``(lanes or 1, batch, tokens, channels)`` in their own units, on the core's grids.

    Raises:
        ProgramError: settings of another number of blocks.
    """

    def __init__(self, *, program: Program, core: PhotonicCore, settings: SlotSettings) -> None:
        self.program, self.core, self.settings = program, core, settings
        self.grids = grids(program.inputs, program.steps)
        self.slots, next_slot = {}, 0
        for layer in program.layers_in_order():
            self.slots[layer.name] = next_slot
            next_slot += int(np.prod(_tiles(layer.matrix, core).shape[:2]))
        if len(settings) != next_slot:
            raise ProgramError(f"settings of {len(settings)} blocks; the program has {next_slot}")
        stage_in, stage_out = core.profile.input, core.profile.output
        self.dac = self.adc = None
        if stage_in.bits is not None:
            self.dac = Quantizer(
                bits=stage_in.bits,
                full_scale=stage_in.full_scale,
                symmetric=stage_in.encoding == "intensity-differential",
            )
        if stage_out.bits is not None:
            self.adc = Quantizer(bits=stage_out.bits, full_scale=stage_out.full_scale)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """A program input on the DAC's grid."""
        values = np.asarray(x, dtype=np.float64)
        return values if self.dac is None else self.dac(values)

    def linear(self, step: Linear, x: np.ndarray) -> np.ndarray:
        """Every tile programmed and read; tiles and bias added digitally."""
        layer, core = self.program.layers[step.layer], self.core
        grid = _tiles(layer.matrix, core)
        down, across, rows, cols = grid.shape
        gain = layer.gain
        if self.adc is not None:
            gain = round_mantissa(gain, core.profile.output.gain_bits)
        lead = x.shape[:-1]
        light = np.zeros((lead[0], int(np.prod(lead[1:])), across * cols))
        light[..., : x.shape[-1]] = x.reshape(lead[0], -1, x.shape[-1])
        light = light[0] if lead[0] == 1 else light
        total = np.zeros((core.lanes, light.shape[-2], down * rows))
        for r, c in np.ndindex(down, across):
            slot = self.slots[step.layer] + r * across + c
            core.program(self.settings[slot], slot=slot, gain=gain)
            part = light[..., c * cols : (c + 1) * cols]
            total[..., r * rows : (r + 1) * rows] += checked_mvm(core, part)
        bias = gain * layer.bias.astype(np.float64)
        if self.adc is not None:
            bias = np.rint(bias / self.adc.step) * self.adc.step
        out = total[..., : layer.matrix.shape[0]] + bias
        return out.reshape(core.lanes, *lead[1:], -1)

    def activation(self, step: Activation, x: np.ndarray) -> np.ndarray:
        """The function of the step; all but relu end on the DAC's grid."""
        y = ACTIVATIONS[step.kind](x)
        return y if step.kind == "relu" else self.encode(y)

    def mean(self, step: Mean, total: np.ndarray, count: int) -> np.ndarray:
        """The mean, rounded to the grid its tokens live on."""
        grid = self.dac if self.grids[step.source] == "dac" else self.adc
        mean = total / count
        return mean if grid is None else np.rint(mean / grid.step) * grid.step

    def unit(self, x: np.ndarray) -> np.ndarray:
        """Each token over its largest magnitude, on the DAC's grid."""
        peak = np.abs(x).max(axis=-1, keepdims=True)
        return self.encode(x / np.where(peak > 0, peak, 1))

    def concat(self, parts: list[np.ndarray]) -> np.ndarray:
        """Values joined along the token axis, lanes broadcast."""
        lanes = max(len(part) for part in parts)
        joined = [np.broadcast_to(part, (lanes, *part.shape[1:])) for part in parts]
        return np.concatenate(joined, axis=-2)

    def patch(self, x: np.ndarray, size: int, stride: int) -> np.ndarray:
        """``size`` consecutive tokens flattened to one, every ``stride``."""
        starts = np.arange(0, x.shape[-2] - size + 1, stride)
        taken = x[..., starts[:, None] + np.arange(size), :]
        return taken.reshape(*taken.shape[:-2], size * x.shape[-1])


def _tiles(matrix: np.ndarray, core: PhotonicCore) -> np.ndarray:
    return tile(matrix, core.profile.core.rows, core.profile.core.cols)
