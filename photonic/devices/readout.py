"""Products on chips: modulators, light, detectors, gain, ADC, and the digital sum of the tiles.

Order, fixed and tested: DAC, modulator, input noise, product, detector noise, gain, ADC (round,
clip), digital sum of the tiles. Channels stand first: a value of ``K`` chips is
``(K or 1, channels, tokens, batch)``, and a product runs over contiguous rows of tokens and batch.
Everything is differentiable; outside a graph the steps after the product overwrite its result.
"""

from __future__ import annotations

import torch
from torch import Tensor

from photonic.devices.base import Device, Transfer
from photonic.devices.converters import Readout
from photonic.devices.fake_quant import round_to_codes
from photonic.devices.layer_optics import Column, LayerOptics, prepare
from photonic.devices.read_noise import ReadNoise
from photonic.units import power_ratio_from_db


def forward(
    device: Device,
    x: Tensor,
    transfer: Transfer,
    *,
    gain: Tensor | float = 1.0,
    noise: ReadNoise | None = None,
) -> Tensor:
    """What one programmed core answers: ``(K, n, rows)`` behind the ADC, in weight × input.

    Args:
        device: the core.
        x: ``(K or 1, n, cols)`` values, in the input's full scale; the DAC rounds them.
        transfer: of one block on ``K`` chips.
        gain: electrical gain in front of the ADC.
        noise: read noise, or ``None`` for a noiseless readout.
    """
    readout = Readout.of(device)
    dtype = torch.promote_types(x.dtype, torch.float32)
    layer = prepare(readout, transfer, (1, 1), gain, dtype=dtype)
    light = readout.encode(x.to(dtype)).transpose(1, 2)[:, :, None]
    return products(readout, layer, light, noise)[:, :, 0].transpose(1, 2) * readout.y_unit


def products(
    readout: Readout, layer: LayerOptics, x: Tensor, noise: ReadNoise | None = None
) -> Tensor:
    """Digital sums ``(K, D·rows, tokens, batch)`` of ``gain · W·x``, no bias yet, in ``y_unit``.

    Args:
        readout: of the device.
        layer: its blocks, prepared.
        x: ``(K or 1, A·cols, tokens, batch)`` DAC codes, or values without a DAC, in ``x_unit``.
        noise: read noise, or ``None`` for a noiseless readout.
    """
    light = _emitted(readout, layer, x, noise)
    flat = light.reshape(*light.shape[:2], -1)
    sums = _sums(readout, layer, flat, noise)
    return sums.view(*sums.shape[:2], *x.shape[2:])


def _sums(readout: Readout, layer: LayerOptics, x: Tensor, noise: ReadNoise | None) -> Tensor:
    """The analog sum, or the digital difference of two conversions; ``n = tokens·batch``."""
    if not readout.digital_difference:
        return _conversion(readout, layer, x, noise)
    baseline = readout.optics.baseline * readout.profile.input.full_scale / readout.x_unit
    if readout.optics.encoding == "intensity-differential":
        bright = _conversion(readout, layer, x.clamp(min=0.0) + baseline, noise)
        return bright - _conversion(readout, layer, (-x).clamp(min=0.0) + baseline, noise)
    dark = torch.full_like(x[:1, :, :1], baseline)
    return _conversion(readout, layer, x + baseline, noise) - _conversion(
        readout, layer, dark, None
    )


def _emitted(readout: Readout, layer: LayerOptics, x: Tensor, noise: ReadNoise | None) -> Tensor:
    """What leaves the modulators, read with a linear scale, and its noise."""
    full_scale = readout.profile.input.full_scale / readout.x_unit
    if not readout.optics.is_linear:
        x = readout.optics.emit(x / full_scale) * full_scale
    stage = readout.profile.input
    if noise is None or not (stage.noise_sigma or stage.snr_db is not None):
        return x
    chips = layer.columns[0].matrix.shape[0]
    sigma: Tensor | float = stage.noise_sigma * full_scale
    if stage.snr_db is not None:
        power = x.detach().pow(2).mean((1, 2), keepdim=True) * power_ratio_from_db(-stage.snr_db)
        sigma = (power + sigma**2).sqrt()
    return x + noise.normal((chips, *x.shape[1:]), 1.0, x) * sigma


def _conversion(readout: Readout, layer: LayerOptics, x: Tensor, noise: ReadNoise | None) -> Tensor:
    """One product of every tile, through the ADC, and the sum of the tile columns."""
    total: Tensor | None = None
    for a, column in enumerate(layer.columns):
        part = x[:, a * layer.cols : (a + 1) * layer.cols]
        y = _detected(readout, layer, column, part, noise)
        y = round_to_codes(y, readout.adc)
        total = y if total is None else total + y
    assert total is not None
    return total


def _detected(
    readout: Readout, layer: LayerOptics, column: Column, x: Tensor, noise: ReadNoise | None
) -> Tensor:
    """The ADC's input, ``(K, D·rows, n)``."""
    features = _features(readout, layer, x)
    if noise is None:
        y = _matmul(column.matrix, features)
        return y if layer.scale == 1.0 else y * layer.scale
    if not readout.receiver.depends_on_signal:
        if isinstance(column.sigma, float) and not column.sigma:
            return _matmul(column.matrix, features)
        return _matmul(column.matrix, features, column_noise(column, noise, x, x.shape[-1]))
    shape = (column.matrix.shape[0], column.matrix.shape[1], x.shape[-1])
    y = _matmul(column.matrix, features)
    variance = readout.receiver.relative * y.detach() ** 2 + column.sigma**2
    if column.variance is not None:
        light, squares = readout.optics.powers(x.detach() * (readout.x_unit / _full_scale(readout)))
        variance = variance + _matmul(column.variance, torch.cat([light, squares], dim=-2))
    return y + noise.normal(shape, 1.0, x) * variance.sqrt()


def column_noise(column: Column, noise: ReadNoise, like: Tensor, samples: int) -> Tensor:
    """Noise that does not depend on the signal, ``(K, D·rows, samples)``."""
    shape = (column.matrix.shape[0], column.matrix.shape[1], samples)
    if isinstance(column.sigma, float):
        return noise.normal(shape, column.sigma, like)
    return noise.normal(shape, 1.0, like) * column.sigma


def _full_scale(readout: Readout) -> float:
    return readout.profile.input.full_scale


def _features(readout: Readout, layer: LayerOptics, x: Tensor) -> Tensor:
    """``[x; √(1−x²); 1]``, those of them that the layer's matrices have columns for."""
    features = [x]
    if layer.has_quadrature:
        features.append(readout.optics.quadrature(x * (readout.x_unit / _full_scale(readout))))
    if layer.has_offset:
        features.append(torch.ones_like(x[:, :1]))
    return x if len(features) == 1 else torch.cat(features, dim=-2)


def _matmul(matrix: Tensor, x: Tensor, noise: Tensor | None = None) -> Tensor:
    """``(K, rows, cols) · (K or 1, cols, n) → (K, rows, n)``, added to ``noise`` in place.

    A product per chip, also where all see the same vectors: stacked into one, the last rows of
    some chips would be summed in another order than in another batch.
    """
    x = x.expand(matrix.shape[0], -1, -1)
    return torch.bmm(matrix, x) if noise is None else noise.baddbmm_(matrix, x)
