"""The deployed model as a graph: integer-valued float32 codes with Round and Clip, bit for bit.

Every number is a code, so products and sums are exact in float32 whatever order an engine takes;
where 24 bits do not hold a step, that step is done in float64. The output is scaled back to logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from export.emit import LOGITS, Emitter
from export.graph import Value
from export.tables import Table, code_bounds
from photonic.execute import IntegerLayer
from photonic.profile import Converters
from photonic.program import Activation, Input, Linear, Mean, Program, Unit
from photonic.quantize import exact_product_bits

FLOAT32_BITS = 24


class IntegerEmitter(Emitter):
    """Emits codes: DAC, tile products, one Round and Clip per tile, digital sums, tables."""

    def __init__(
        self,
        program: Program,
        layers: Mapping[str, IntegerLayer],
        tables: Mapping[str, Table],
        converters: Converters,
    ) -> None:
        super().__init__(program)
        self.layers, self.tables, self.converters = layers, tables, converters
        self.bounds = code_bounds(program, layers, converters)
        # Of each linear step: the tensor its product reads, and its ADC samples of every tile.
        self.products: dict[str, tuple[str, str]] = {}

    def encode(self, spec: Input) -> Value:
        dac, name = self.converters.dac, f"{spec.name}/codes"
        if is_power_of_two(dac.step):
            scaled = self.graph.add(
                "Mul", [spec.name, self.graph.scalar(1.0 / dac.step)], f"{name}/scaled"
            )
            rounded = self.graph.add("Round", [scaled], f"{name}/rounded")
        else:
            rounded = self._divide_in_double(spec.name, dac.step, f"{name}/rounded")
        tensor = self._clip(rounded, dac.min_code, dac.max_code, name)
        return Value.made(spec.name, (spec.tokens, spec.channels), "cube", tensor, "float32")

    def linear(self, step: Linear, x: Value) -> Value:
        """One product with all tiles side by side, an ADC per tile, one sum over the tiles.

        The tiles of a row stand in a block-diagonal matrix ``(fan-in, tiles·out)``: a product with
        it is a batch of products with the tiles, as one node.
        """
        layer, adc, out = self.layers[step.layer], self.converters.adc, step.out
        rows = self.graph.view(x, "rows")
        product = self._product(rows, step.layer, layer, f"{out}/product")
        samples = self._clip(product, adc.min_code, adc.max_code, f"{out}/adc")
        self.products[out] = (rows, samples)
        across = layer.tiles.shape[1]
        bias = self.graph.constant(layer.bias.astype(np.float32), f"{step.layer}/bias")
        if across == 1:
            tensor = self.graph.add("Add", [samples, bias], self.tensor_name(out))
        else:
            ones = np.tile(np.eye(layer.out, dtype=np.float32), (across, 1))
            sum_tiles = self.graph.constant(ones, f"{step.layer}/sum_tiles")
            tensor = self.graph.add("Gemm", [samples, sum_tiles, bias], self.tensor_name(out))
        return Value.made(out, (x.tokens, layer.out), "rows", tensor, "float32")

    def _product(self, rows: str, name: str, layer: IntegerLayer, out: str) -> str:
        """Rounded ADC samples before clipping, ``(batch·tokens, tiles·out)``."""
        codes = side_by_side(layer)
        if self._product_fits_float32(layer):
            weight = self.graph.constant((codes * layer.scale).astype(np.float32), f"{name}/weight")
            scaled = self.graph.add("MatMul", [rows, weight], f"{out}/scaled")
            return self.graph.add("Round", [scaled], out)
        # Integers first, then the scale in one rounding, as the integer reference does it.
        weight = self.graph.constant(codes.astype(np.float64), f"{name}/weight")
        wide = self.graph.cast(rows, "float64", f"{out}/wide")
        sums = self._whole(self.graph.add("MatMul", [wide, weight], f"{out}/sums"))
        scale = self.graph.scalar(layer.scale, np.float64)
        scaled = self.graph.add("Mul", [sums, scale], f"{out}/scaled")
        rounded = self.graph.add("Round", [scaled], f"{out}/rounded")
        return self.graph.cast(rounded, "float32", out)

    def _product_fits_float32(self, layer: IntegerLayer) -> bool:
        c = self.converters
        bits = exact_product_bits(
            input_bits=c.dac.bits,
            weight_bits=c.weight.bits,
            gain_bits=c.gain_bits,
            fan_in=min(c.cols, layer.fan_in),
        )
        # A scale with a long significand (ranges that are no powers of two) never fits.
        return bits <= FLOAT32_BITS and significand_bits(layer.scale) <= c.gain_bits

    def activation(self, step: Activation, x: Value) -> Value:
        rows, out = self.graph.view(x, "rows"), self.tensor_name(step.out)
        if step.kind == "relu":
            tensor = self.graph.add("Relu", [rows], out)
        else:
            index = self.graph.add("Cast", [rows], f"{step.out}/index", to=TensorProto.INT32)
            table = self.graph.constant(wrapped(self.tables[step.out]), f"{step.out}/table")
            tensor = self.graph.add("Gather", [table, index], out)
        return Value.made(step.out, (x.tokens, x.channels), "rows", tensor, "float32")

    def mean(self, step: Mean, x: Value) -> Value:
        sums = self._whole(self.pool(step, x, "float32", f"{step.out}/sums", divide=False))
        counts = np.array([[stop - start] for start, stop in step.ranges], dtype=np.float32)
        largest = max(map(abs, self.bounds[step.source]))
        out = self.tensor_name(step.out)
        if quotient_fits_float32(largest, int(counts.max())):
            divisor = self.graph.constant(counts, f"{step.out}/counts")
            quotient = self.graph.add("Div", [sums, divisor], f"{step.out}/quotient")
            tensor = self.graph.add("Round", [quotient], out)
        else:
            tensor = self._divide_in_double(sums, counts.astype(np.float64), out)
        shape = (len(step.ranges), x.channels)
        return Value.made(step.out, shape, "cube", tensor, "float32")

    def unit(self, step: Unit, x: Value) -> Value:
        dac, out, rows = self.converters.dac, step.out, self.graph.view(x, "rows")
        wide = self.graph.cast(rows, "float64", f"{out}/wide")
        size = self.graph.add("Abs", [wide], f"{out}/size")
        peak = self.graph.add("ReduceMax", [size], f"{out}/peak", axes=[-1], keepdims=1)
        # Codes are whole: a peak below 1 is the zero token, which stays zero.
        divisor = self.graph.add(
            "Max", [peak, self.graph.scalar(1.0, np.float64)], f"{out}/divisor"
        )
        ratio = self.graph.add("Div", [wide, divisor], f"{out}/ratio")
        rounded = self._divide_in_double(ratio, dac.step, f"{out}/rounded")
        tensor = self._clip(rounded, dac.min_code, dac.max_code, self.tensor_name(out))
        return Value.made(out, (x.tokens, x.channels), "rows", tensor, "float32")

    def output(self, x: Value) -> None:
        step = self.graph.scalar(self.converters.adc.step)
        self.graph.add("Mul", [self.graph.view(x, "rows"), step], LOGITS)

    def _clip(self, tensor: str, low: int, high: int, out: str) -> str:
        bounds = [self.graph.scalar(float(low)), self.graph.scalar(float(high))]
        return self.graph.add("Clip", [tensor, *bounds], out)

    def _whole(self, sums: str) -> str:
        """The same whole numbers through a Round that changes nothing.

        onnxruntime fuses a product and a scalar factor behind it into one node that keeps the
        factor in float32; with this between them it does not.
        """
        return self.graph.add("Round", [sums], f"{sums}/whole")

    def _divide_in_double(self, tensor: str, divisor: float | np.ndarray, out: str) -> str:
        wide = self.graph.cast(tensor, "float64", f"{out}/wide")
        by = self.graph.constant(np.asarray(divisor, dtype=np.float64), f"{out}/divisor")
        quotient = self.graph.add("Div", [wide, by], f"{out}/quotient")
        rounded = self.graph.add("Round", [quotient], f"{out}/rounded")
        return self.graph.cast(rounded, "float32", out)


def side_by_side(layer: IntegerLayer) -> np.ndarray:
    """Codes of all tiles as one matrix ``(fan_in, tiles_across·out)``, block-diagonal by tile."""
    down, across, tile_rows, cols = layer.tiles.shape
    matrix = np.zeros((across * cols, across, down * tile_rows), dtype=np.float64)
    for a in range(across):
        column = layer.tiles[:, a].reshape(down * tile_rows, cols)
        matrix[a * cols : (a + 1) * cols, a] = column.T
    return matrix[: layer.fan_in, :, : layer.out].reshape(layer.fan_in, across * layer.out)


def wrapped(table: Table) -> np.ndarray:
    """The table as Gather wants it: codes 0, 1, … from the front, −1, −2, … from the back.

    Gather counts negative indices from the end, so no offset has to be added to a code.
    """
    length = max(table.high, -1) + 1 - min(table.low, 0)
    entries = np.zeros(length, dtype=np.float32)
    entries[np.arange(table.low, table.high + 1)] = table.codes
    return entries


def is_power_of_two(number: float) -> bool:
    """Whether scaling by ``number`` is exact."""
    return math.frexp(number)[0] == 0.5


def significand_bits(number: float) -> int:
    """Bits of the significand without trailing zeros: 1 for a power of two, 0 for zero."""
    whole = int(math.ldexp(math.frexp(abs(number))[0], 53))
    trailing_zeros = (whole & -whole).bit_length() - 1
    return 53 - trailing_zeros if whole else 0


def quotient_fits_float32(largest: int, count: int) -> bool:
    """Whether ``round(sum / count)`` is right in float32 for codes up to ``largest``.

    A quotient that is no tie lies at least ``1/(2·count)`` from one; float32 must tell them apart.
    """
    if largest * count >= 2**FLOAT32_BITS:
        return False
    error = max(largest, 1) * 2.0**-FLOAT32_BITS
    return error < 0.5 / count
