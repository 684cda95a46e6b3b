"""The one quantiser: grid, rounding and clipping of every converter and every stored weight.

Training (Brevitas), simulation, the exported graph and the NumPy re-execution all round on the grid
defined here, so that they can be compared code by code. Works on NumPy arrays and on torch tensors
alike, and imports neither torch nor anything else that is heavy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from photonic.errors import ConfigError

MIN_BITS, MAX_BITS = 2, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantizer:
    """Uniform signed quantiser of ``bits`` bits over ``[-full_scale, full_scale)``.

    Two's complement by default: codes ``-2^(b-1) … 2^(b-1)-1``, step ``full_scale / 2^(b-1)``. The
    symmetric grid (differential detection, where a signal and its complement swap) leaves out the
    lowest code and keeps the step. Rounding is half to even, as IEEE 754, NumPy, torch and ONNX do.

    Raises:
        ConfigError: for fewer than 2 or more than 16 bits, or a full scale that is not positive.
    """

    bits: int
    full_scale: float = 1.0
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ConfigError(f"bit width {self.bits}: allowed are {MIN_BITS}…{MAX_BITS} bits")
        if not (self.full_scale > 0.0 and math.isfinite(self.full_scale)):
            raise ConfigError(f"full scale {self.full_scale}: must be finite and above 0")

    @property
    def step(self) -> float:
        """Width of one code (1 LSB) in the units of ``full_scale``."""
        return self.full_scale / 2 ** (self.bits - 1)

    @property
    def min_code(self) -> int:
        """Lowest code."""
        return -(2 ** (self.bits - 1)) + (1 if self.symmetric else 0)

    @property
    def max_code(self) -> int:
        """Highest code."""
        return 2 ** (self.bits - 1) - 1

    def codes(self, values: Any) -> Any:
        """Integer-valued codes of ``values`` (same shape, type and float dtype as the input)."""
        return (values / self.step).round().clip(self.min_code, self.max_code)

    def values(self, codes: Any) -> Any:
        """The values that ``codes`` stand for."""
        return codes * self.step

    def __call__(self, values: Any) -> Any:
        """``values`` rounded to the grid."""
        return self.values(self.codes(values))


def round_mantissa(value: float, bits: int) -> float:
    """``value`` with a significand of ``bits`` bits, as a programmable-gain amplifier stores it.

    Short significands are what makes gain × code products exact in float32 (see
    :func:`exact_product_bits`).
    """
    if value == 0.0 or not math.isfinite(value):
        return value
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(mantissa, bits)), exponent - bits)


def exact_product_bits(*, input_bits: int, weight_bits: int, gain_bits: int, fan_in: int) -> int:
    """Significand bits that hold ``gain · Σ weight·input`` exactly.

    ``input_bits + weight_bits − 2 + ⌈log₂ fan_in⌉ + gain_bits``: float32 is exact up to 24, float64
    up to 53.
    """
    return input_bits + weight_bits - 2 + math.ceil(math.log2(max(fan_in, 1))) + gain_bits
