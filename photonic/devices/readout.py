"""From DAC-coded inputs and realised matrices to digital sums: detector, gain, ADC, partial sums.

Order, fixed and tested: product, detector noise, gain, ADC (round, clip), digital sum of the tiles,
digital bias. Shapes: ``K`` chips, ``N`` vectors per chip, a layer of ``D × A`` tiles of
``rows × cols``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from photonic.chips import read_noise_seed
from photonic.devices.fake_quant import fake_quantize
from photonic.profile import HardwareProfile
from photonic.quantize import Quantizer


def quantizers(profile: HardwareProfile) -> tuple[Quantizer | None, Quantizer | None]:
    """The DAC's and the ADC's grid, each ``None`` where the profile gives no bits."""
    stage_in, stage_out = profile.input, profile.output
    symmetric = stage_in.encoding == "intensity-differential"
    dac = stage_in.bits and Quantizer(
        bits=stage_in.bits, full_scale=stage_in.full_scale, symmetric=symmetric
    )
    adc = stage_out.bits and Quantizer(bits=stage_out.bits, full_scale=stage_out.full_scale)
    return dac or None, adc or None


@dataclass(slots=True)
class ReadNoise:
    """Seeded detector and input noise of a batch of chips; every chip has a stream of its own.

    With chip streams, a chip's noise does not depend on which chips are simulated beside it.
    """

    generators: list[torch.Generator]

    @classmethod
    def of_chips(cls, seed: int, chips: Sequence[int], part: int = 0) -> ReadNoise:
        """Noise of ``chips`` while they read part ``part`` of the beats."""
        return cls([torch.Generator().manual_seed(read_noise_seed(seed, c, part)) for c in chips])

    def add(self, x: Tensor, sigma: float) -> Tensor:
        """``x (K, ...)`` plus normal noise of standard deviation ``sigma``."""
        if sigma == 0.0:
            return x
        noise = torch.empty(x.shape, dtype=x.dtype)
        for row, generator in zip(noise, self.generators, strict=True):
            row.normal_(0.0, sigma, generator=generator)
        return x + noise.to(x.device)


def product(
    x: Tensor,
    tiles: Tensor,
    gain: Tensor | float,
    *,
    profile: HardwareProfile,
    noise: ReadNoise | None = None,
) -> Tensor:
    """Digital sums ``(K, N, D·rows)`` of ``gain · W·x``, before the bias.

    Args:
        x: ``(K or 1, N, A·cols)`` values as the DAC gave them.
        tiles: realised matrices ``(K, D, A, rows, cols)``.
        gain: electrical gain in front of the ADC.
        profile: bits, ranges and noise levels.
        noise: read noise, or ``None`` for a noiseless readout.
    """
    chips, down, across, rows, cols = tiles.shape
    _, adc = quantizers(profile)
    sigma = profile.output.noise_sigma if noise else 0.0
    if noise and profile.input.noise_sigma:
        x = noise.add(x.expand(chips, -1, -1), profile.input.noise_sigma * profile.input.full_scale)
    if adc is None and sigma == 0.0:
        whole = tiles.transpose(2, 3).reshape(chips, down * rows, across * cols)
        return _product(x, gain * whole)
    total: Tensor | None = None
    for a in range(across):
        column = tiles[:, :, a].reshape(chips, down * rows, cols)
        y = _product(x[..., a * cols : (a + 1) * cols], column)
        y = noise.add(y, sigma) if noise else y
        y = fake_quantize(gain * y, adc)
        total = y if total is None else total + y
    assert total is not None
    return total


def _product(x: Tensor, matrices: Tensor) -> Tensor:
    """``(K or 1, N, cols) × (K, rows, cols) → (K, N, rows)``.

    Where all chips see the same vectors, one product with all chips' rows side by side is faster
    than a batch of small ones.
    """
    chips, rows, cols = matrices.shape
    if x.shape[0] == chips:
        return torch.bmm(x, matrices.transpose(1, 2))
    side_by_side = x[0] @ matrices.reshape(chips * rows, cols).T
    return side_by_side.reshape(-1, chips, rows).transpose(0, 1)
