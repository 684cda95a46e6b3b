"""Laws of the one quantiser, on NumPy arrays and torch tensors alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from photonic.devices.fake_quant import fake_quantize
from photonic.errors import ConfigError
from photonic.quantize import Quantizer, exact_product_bits, round_mantissa

quantizers = st.builds(
    Quantizer,
    bits=st.integers(2, 12),
    full_scale=st.sampled_from([0.5, 0.9, 1.0, 3.7, 4.0]),
    symmetric=st.booleans(),
)
arrays = st.integers(0, 10_000).map(
    lambda seed: np.random.default_rng(seed).uniform(-6, 6, size=257)
)


@given(quantizers, arrays)
def test_rounding_twice_is_rounding_once(quantizer, x):
    once = quantizer(x)
    assert np.array_equal(quantizer(once), once)


@given(quantizers, arrays)
def test_inside_the_range_the_error_is_at_most_half_an_lsb(quantizer, x):
    low, high = quantizer.values(np.array([quantizer.min_code, quantizer.max_code]))
    inside = x[(x >= low) & (x <= high)]
    assert np.abs(quantizer(inside) - inside).max() <= quantizer.step / 2 * (1 + 1e-12)


@given(quantizers, arrays)
def test_outside_the_range_the_end_codes_stand(quantizer, x):
    codes = quantizer.codes(x)
    assert codes.min() >= quantizer.min_code
    assert codes.max() <= quantizer.max_code
    assert set(quantizer.codes(np.array([-1e9, 1e9]))) == {quantizer.min_code, quantizer.max_code}


@given(quantizers)
def test_every_code_stands_for_a_value_that_has_that_code(quantizer):
    codes = np.arange(quantizer.min_code, quantizer.max_code + 1)
    assert np.array_equal(quantizer.codes(quantizer.values(codes)), codes)


@given(quantizers, arrays)
def test_a_larger_value_never_has_a_smaller_code(quantizer, x):
    assert (np.diff(quantizer.codes(np.sort(x))) >= 0).all()


@given(quantizers, arrays)
def test_torch_and_numpy_give_the_same_codes(quantizer, x):
    tensor = torch.from_numpy(x)
    assert np.array_equal(quantizer.codes(tensor).numpy(), quantizer.codes(x))
    assert np.array_equal(fake_quantize(tensor, quantizer).numpy(), quantizer(x))


def test_ties_go_to_the_even_code():
    quantizer = Quantizer(bits=4, full_scale=8.0)
    assert quantizer.codes(np.array([0.5, 1.5, 2.5, -0.5, -1.5])).tolist() == [0, 2, 2, 0, -2]


def test_twos_complement_reaches_minus_full_scale_and_the_symmetric_grid_does_not():
    assert Quantizer(bits=3).codes(np.array([-1.0, 1.0])).tolist() == [-4, 3]
    assert Quantizer(bits=3, symmetric=True).codes(np.array([-1.0, 1.0])).tolist() == [-3, 3]


@pytest.mark.parametrize("bits", [0, 1, 17])
def test_bit_widths_outside_the_range_are_refused(bits):
    with pytest.raises(ConfigError, match=f"bit width {bits}: allowed are 2…16"):
        Quantizer(bits=bits)


@pytest.mark.parametrize("full_scale", [0.0, -1.0, math.inf, math.nan])
def test_a_full_scale_that_is_no_positive_number_is_refused(full_scale):
    with pytest.raises(ConfigError, match="must be finite and above 0"):
        Quantizer(bits=4, full_scale=full_scale)


@given(st.floats(1e-6, 1e6), st.integers(1, 20))
def test_a_short_mantissa_is_near_and_stays(value, bits):
    rounded = round_mantissa(value, bits)
    assert abs(rounded - value) <= value * 2.0**-bits
    assert round_mantissa(rounded, bits) == rounded
    significand, _ = math.frexp(rounded)
    assert (significand * 2**bits).is_integer()


@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 32), st.integers(0, 1000))
def test_products_within_24_bits_are_exact_in_float32(input_bits, weight_bits, fan_in, seed):
    gain_bits = 24 - exact_product_bits(
        input_bits=input_bits, weight_bits=weight_bits, gain_bits=0, fan_in=fan_in
    )
    if gain_bits < 1:
        return
    rng = np.random.default_rng(seed)
    x = Quantizer(bits=input_bits)(rng.uniform(-1, 1, (50, fan_in)))
    w = Quantizer(bits=weight_bits)(rng.uniform(-1, 1, fan_in))
    gain = round_mantissa(rng.uniform(0.1, 8), min(gain_bits, 8))
    single = np.float32(gain) * (x.astype(np.float32) @ w.astype(np.float32))
    assert np.array_equal(single.astype(np.float64), gain * (x @ w))


@pytest.mark.parametrize("clip", [True, False])
def test_the_gradient_passes_inside_and_stops_where_the_value_clips(clip):
    x = torch.tensor([-3.0, -0.4, 0.3, 3.0], requires_grad=True)
    fake_quantize(x, Quantizer(bits=4), clip=clip).sum().backward()
    assert x.grad.tolist() == ([0.0, 1.0, 1.0, 0.0] if clip else [1.0] * 4)


def test_without_a_quantizer_values_are_untouched():
    x = torch.tensor([0.1234567])
    assert fake_quantize(x, None) is x
