"""Every input a block can get, not a sample: parity of the products as a proof.

A tile with fan-in 4 and inputs of b bits can see 2^(4b) vectors of codes, a million at 5 bits. All
of them go through the product of the quantised graph, through the stored codes in NumPy, and
through the simulator on ideal optics. Other tiles get zeros, and their outputs must stay zero; the
product is linear before the ADC, so this settles every input of the whole layer. Every activation
of the graph is compared with its table on every code the table has. What remains are sums of whole
numbers that float32 holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from export.bundle import Bundle
from export.graph_parts import GraphParts
from export.reexecute import FileArithmetic, file_arithmetic
from export.vectors import expected_codes
from photonic.errors import ConfigError
from photonic.execute import IntegerLayer
from photonic.profile import Converters, HardwareProfile, parse_profile
from photonic.program import Activation, Input, Layer, Linear, Program
from photonic.quantize import Quantizer

# 2^20 inputs of each block: 5 bits at fan-in 4.
MOST_INPUT_BITS = 20
CHUNK = 1 << 16


@dataclass(slots=True, kw_only=True)
class Exhaustive:
    """Code mismatches over every input of every block; the stored codes are the measure.

    ``activation_mismatches`` are those of the graph's activations on all codes of the tables.
    """

    num_blocks: int = 0
    num_inputs: int = 0
    graph_mismatches: int = 0
    activation_mismatches: int = 0
    simulator_mismatches: int = 0
    first_departing_layer: str | None = None

    @property
    def same(self) -> bool:
        """Whether all three agree on everything."""
        return not (
            self.graph_mismatches or self.activation_mismatches or self.simulator_mismatches
        )

    def depart(self, name: str) -> None:
        """Something differs there; the first of those is named."""
        self.first_departing_layer = self.first_departing_layer or name


def verify_exhaustively(
    bundle: Bundle, *, advance: Callable[[int], None] = lambda blocks: None
) -> Exhaustive:
    """Compare graph, stored codes and simulator on every input of every block.

    Args:
        bundle: with a deployed model.
        advance: called with the number of blocks done.

    Raises:
        ConfigError: more inputs per block than can be gone through.
        BundleError: a file is missing or damaged, or there is no deployed model.
    """
    files = file_arithmetic(bundle)
    bits = files.converters.dac.bits * files.converters.cols
    if bits > MOST_INPUT_BITS:
        raise ConfigError(
            f"2^{bits} inputs per block ({files.converters.cols} inputs of "
            f"{files.converters.dac.bits} bits): at most 2^{MOST_INPUT_BITS} can be gone through; "
            "verify without --exhaustive"
        )
    parts = GraphParts(bundle, files.layers)
    ideal = ideal_optics(bundle.profile)
    result = Exhaustive()
    for step in bundle.program.steps:
        if isinstance(step, Activation) and step.out in files.tables:
            _compare_activation(parts, step, files, result)
        if not isinstance(step, Linear):
            continue
        layer, values = files.layers[step.layer], bundle.program.layers[step.layer]
        for a in range(layer.tiles.shape[1]):
            _compare_column(parts, step, layer, a, files, result)
            _compare_simulator(ideal, values, layer, a, files, result)
            result.num_blocks += layer.tiles.shape[0]
            advance(layer.tiles.shape[0])
    return result


def _compare_activation(
    parts: GraphParts, step: Activation, files: FileArithmetic, result: Exhaustive
) -> None:
    """The activation of the graph against its table, on every code the table has."""
    table = files.tables[step.out]
    made = parts.activation(step, np.arange(table.low, table.high + 1))
    wrong = int(np.count_nonzero(made != table.codes[:, None]))
    result.activation_mismatches += wrong
    if wrong:
        result.depart(step.out)


def all_codes(dac: Quantizer, width: int) -> Iterator[np.ndarray]:
    """Every vector of ``width`` DAC codes, ``(n, width)`` int64 in parts."""
    levels = dac.max_code - dac.min_code + 1
    for start in range(0, levels**width, CHUNK):
        number = np.arange(start, min(start + CHUNK, levels**width))
        digits = [(number // levels**i) % levels for i in range(width)]
        yield np.stack(digits, axis=1) + dac.min_code


def _compare_column(
    parts: GraphParts,
    step: Linear,
    layer: IntegerLayer,
    a: int,
    files: FileArithmetic,
    result: Exhaustive,
) -> None:
    """Tiles in column ``a`` of a layer: the graph's product against the stored codes."""
    cols = files.converters.cols
    for codes in all_codes(files.converters.dac, min(cols, layer.fan_in - a * cols)):
        samples, first = parts.product(step, a * cols, codes)
        mine = slice(first + a * layer.out, first + (a + 1) * layer.out)
        samples[:, mine] -= _stored(layer, a, codes, files.converters)
        wrong = int(np.count_nonzero(samples))
        result.num_inputs += len(codes)
        result.graph_mismatches += wrong
        if wrong:
            result.depart(step.layer)


def _stored(layer: IntegerLayer, a: int, codes: np.ndarray, converters: Converters) -> np.ndarray:
    padded = np.pad(codes, [(0, 0), (0, converters.cols - codes.shape[1])])
    tiles = layer.tiles[:, a].reshape(-1, converters.cols)[: layer.out]
    return expected_codes(tiles, layer.scale, padded, converters)


def _compare_simulator(
    ideal: HardwareProfile,
    values: Layer,
    layer: IntegerLayer,
    a: int,
    files: FileArithmetic,
    result: Exhaustive,
) -> None:
    """The same tiles as a program of one layer in the simulator, without errors or noise."""
    from photonic.simulate import simulate

    converters = files.converters
    matrix = values.matrix[:, a * converters.cols : (a + 1) * converters.cols]
    program = Program(
        inputs=(Input(name="x", tokens=1, channels=matrix.shape[1]),),
        steps=(Linear(out="y", source="x", layer="tile"),),
        output="y",
        layers={
            "tile": Layer(
                name="tile", matrix=matrix, bias=np.zeros_like(values.bias), gain=values.gain
            )
        },
    )
    for codes in all_codes(converters.dac, matrix.shape[1]):
        x = converters.dac.values(codes).astype(np.float32)[:, None, :]
        logits = simulate(program, ideal, {"x": x}, chips=None)[0]
        samples = np.rint(logits.astype(np.float64) / converters.adc.step)
        wrong = int((samples != _stored(layer, a, codes, converters)).sum())
        result.simulator_mismatches += wrong
        if wrong:
            result.depart(values.name)


def ideal_optics(profile: HardwareProfile) -> HardwareProfile:
    """A generic core with the converters of ``profile`` and nothing that disturbs."""
    kept = {
        "weight": ("full_scale", "bits", "symmetric"),
        "input": ("full_scale", "bits", "encoding"),
        "output": ("full_scale", "bits", "gain_bits"),
    }
    sections = profile.model_dump(include={name: set(keys) for name, keys in kept.items()})
    about = {"name": profile.name, "description": "ideal optics", "core": profile.core.model_dump()}
    return parse_profile(about | sections, where=f"profile {profile.name!r}")
