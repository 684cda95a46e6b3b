"""The deployed model as a graph: integer-valued float32 codes with Round and Clip, bit for bit.

Every number is a code, so products and sums are exact in float32 whatever order an engine takes;
where 24 bits do not hold a step, that step is done in float64. What one code of a linear layer is
worth is mostly a power of two; then its sums come out as real numbers, just as exact, and a tanh
with rounding behind it takes the place of its table where no engine can get a code wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from export.abreast import readers
from export.emit import LOGITS, Emitter, block_diagonal
from export.graph import Value
from export.tables import Table, code_bounds, is_power_of_two, needs_no_table
from photonic.execute import IntegerLayer
from photonic.profile import Converters
from photonic.program import Activation, Input, Linear, Mean, Program, Unit
from photonic.quantize import exact_product_bits

FLOAT32_BITS = 24
INT8 = np.iinfo(np.int8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Where the codes that a linear step reads, and its ADC samples of every tile, are found.

    Tensors ``(batch·tokens, …)``, and the first of the step's own columns in each.
    """

    codes: str
    samples: str
    first_code: int
    first_sample: int


class IntegerEmitter(Emitter):
    """Emits codes: DAC, tile products, Round and Clip per tile, digital sums, activations."""

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
        self.products: dict[str, Product] = {}

    def places(self) -> dict[str, dict[str, Any]]:
        """Also ``products``: the :class:`Product` of every linear step."""
        products = {step: asdict(product) for step, product in self.products.items()}
        return super().places() | {"products": products}

    def encode(self, spec: Input) -> Value:
        tensor = self._convert(spec.name, f"{spec.name}/codes")
        return Value.made(spec.name, (spec.tokens, spec.channels), "cube", tensor, "float32")

    def _convert(self, tensor: str, out: str, *, least: float = -math.inf) -> str:
        """DAC codes of real numbers that are not below ``least``."""
        dac = self.converters.dac
        if not is_power_of_two(dac.step):
            rounded = self._divide_in_double(tensor, dac.step, f"{out}/rounded")
        elif dac.bits <= INT8.bits and (
            least >= dac.min_code * dac.step or dac.min_code == INT8.min
        ):
            # Only codes above the highest need clipping, or the range is that of int8: an offset
            # puts the highest at the end of int8, where the conversion saturates. One node less
            # than Mul, Round and Clip.
            step = self.graph.scalar(dac.step)
            offset = self.graph.scalar(INT8.max - dac.max_code, np.int8)
            bytes_ = self.graph.add("QuantizeLinear", [tensor, step, offset], f"{out}/bytes")
            one = self.graph.scalar(1.0)
            return self.graph.add("DequantizeLinear", [bytes_, one, offset], out)
        else:
            factor = self.graph.scalar(1.0 / dac.step)
            scaled = self.graph.add("Mul", [tensor, factor], f"{out}/scaled")
            rounded = self.graph.add("Round", [scaled], f"{out}/rounded")
        return self._clip(rounded, dac.min_code, dac.max_code, out)

    def linear(self, steps: Sequence[Linear], x: Value) -> Value:
        """One product with all tiles side by side, an ADC per tile, one sum over the tiles.

        The tiles of a row stand in a block-diagonal matrix ``(fan-in, tiles·out)``: a product with
        it is a batch of products with the tiles, as one node. So do the layers of several steps.
        """
        layers, adc = [self.layers[step.layer] for step in steps], self.converters.adc
        name, out, rows = self.layer_name(steps), self.out_name(steps), self.graph.view(x, "rows")
        samples = self._product(rows, name, layers, f"{out}/product")
        if any(can_clip(layer, self.converters) for layer in layers):
            samples = self._clip(samples, adc.min_code, adc.max_code, f"{out}/adc")
        code = sample = 0
        for step, layer in zip(steps, layers, strict=True):
            self.products[step.out] = Product(
                codes=rows, samples=samples, first_code=code, first_sample=sample
            )
            code, sample = code + layer.fan_in, sample + layer.tiles.shape[1] * layer.out
        lsb = adc.step if all(map(self._comes_out_real, steps)) else 1.0
        ones = block_diagonal([np.tile(np.eye(a.out), (a.tiles.shape[1], 1)) for a in layers])
        bias = np.concatenate([a.bias for a in layers])
        operands = [
            samples,
            self.graph.constant((lsb * ones).astype(np.float32), f"{name}/sum_tiles"),
            self.graph.constant((lsb * bias).astype(np.float32), f"{name}/bias"),
        ]
        tensor = self.graph.add("Gemm", operands, self.tensor_name(out))
        return Value.made(out, (x.tokens, len(bias)), "rows", tensor, "float32", lsb)

    def _comes_out_real(self, step: Linear) -> bool:
        """Whether the sums are emitted as real numbers: nothing that follows wants their codes."""
        reading = readers(self.program, step.out)
        return is_power_of_two(self.converters.adc.step) and all(
            isinstance(reader, Activation) and self._needs_no_table(reader) for reader in reading
        )

    def _needs_no_table(self, step: Activation) -> bool:
        return step.kind != "relu" and needs_no_table(
            step.kind, self.tables[step.out], self.converters
        )

    def _product(self, rows: str, name: str, layers: Sequence[IntegerLayer], out: str) -> str:
        """Rounded ADC samples before clipping, ``(batch·tokens, tiles·out)``."""
        codes = [side_by_side(layer) for layer in layers]
        if all(map(self._product_fits_float32, layers)):
            scaled = block_diagonal([c * a.scale for c, a in zip(codes, layers, strict=True)])
            weight = self.graph.constant(scaled.astype(np.float32), f"{name}/weight")
            # onnxruntime calls a Gemm without a third operand a tenth of a µs faster than a MatMul.
            scaled = self.graph.add("Gemm", [rows, weight], f"{out}/scaled")
            return self.graph.add("Round", [scaled], out)
        # Integers first, then the scale in one rounding, as the integer reference does it.
        weight = self.graph.constant(block_diagonal(codes), f"{name}/weight")
        wide = self.graph.cast(rows, "float64", f"{out}/wide")
        sums = self._whole(self.graph.add("MatMul", [wide, weight], f"{out}/sums"))
        scales = np.repeat([a.scale for a in layers], [c.shape[1] for c in codes])
        scale = self.graph.constant(scales, f"{name}/scale")
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

    def activation(self, steps: Sequence[Activation], x: Value) -> Value:
        rows, name, kind = self.graph.view(x, "rows"), self.out_name(steps), steps[0].kind
        out, real = self.tensor_name(name), x.lsb == self.converters.adc.step
        if kind == "relu":
            tensor = self.graph.add("Relu", [rows], out)
        elif real and all(map(self._needs_no_table, steps)):
            if kind == "tanh":
                rows = self.graph.add("Tanh", [rows], f"{name}/values")
            tensor = self._convert(rows, out, least=-1.0 if kind == "tanh" else -math.inf)
        else:
            index = self.graph.add("Cast", [rows], f"{name}/index", to=TensorProto.INT32)
            joined = Table.union([self.tables[step.out] for step in steps])
            table = self.graph.constant(wrapped(joined), f"{name}/table")
            tensor = self.graph.add("Gather", [table, index], out)
        return Value.made(name, (x.tokens, x.channels), "rows", tensor, "float32")

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
        rows = self.graph.view(x, "rows")
        if x.lsb == self.converters.adc.step:
            self.graph.add("Identity", [rows], LOGITS)
        else:
            self.graph.add("Mul", [rows, self.graph.scalar(self.converters.adc.step)], LOGITS)

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


def can_clip(layer: IntegerLayer, converters: Converters) -> bool:
    """Whether any input brings a tile of ``layer`` beyond the range of the ADC."""
    dac, adc = converters.dac, converters.adc
    at_low, at_high = layer.tiles * dac.min_code, layer.tiles * dac.max_code
    lowest = np.rint(np.minimum(at_low, at_high).sum(axis=-1) * layer.scale)
    highest = np.rint(np.maximum(at_low, at_high).sum(axis=-1) * layer.scale)
    return bool(lowest.min() < adc.min_code or highest.max() > adc.max_code)


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
