"""``generic``: a core known only by its bits and its noise.

Weights are rounded to the weight grid and then disturbed once per chip, ``W_chip = Q(W) + σ·R·ε``
with R the full scale and ε standard normal: quantise first, then the error of the analog element.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from photonic.chips import static_normals
from photonic.devices.base import Device, Settings, register_device
from photonic.devices.fake_quant import fake_quantize
from photonic.quantize import Quantizer


class GenericDevice(Device):
    """Weight quantiser and static weight error; see the module for the formula."""

    @property
    def weight_quantizer(self) -> Quantizer | None:
        """Grid of the stored weights, if they have one."""
        weight = self.profile.weight
        if weight.bits is None:
            return None
        return Quantizer(bits=weight.bits, full_scale=weight.full_scale)

    def compile(self, matrices: np.ndarray) -> Settings:
        """The stored weight values, on their grid, float32 ``(blocks, rows, cols)``."""
        quantizer = self.weight_quantizer
        values = matrices if quantizer is None else quantizer(matrices)
        return {"weight": np.asarray(values, dtype=np.float32)}

    def static_errors(self, seed: int, chips: Sequence[int], num_blocks: int) -> Tensor:
        """Standard normal ε, ``(chips, blocks, rows, cols)``."""
        core = self.profile.core
        return torch.from_numpy(static_normals(seed, chips, (num_blocks, core.rows, core.cols)))

    def realise(self, settings: Settings, errors: Tensor | None = None) -> Tensor:
        """``Q(W) + σ·R·ε``, ``(chips, blocks, rows, cols)``."""
        return self._disturbed(torch.from_numpy(settings["weight"]), errors)

    def transfer(self, matrices: Tensor, errors: Tensor | None = None) -> Tensor:
        """As :meth:`realise` of :meth:`compile`; the gradient stops where a weight clips."""
        return self._disturbed(fake_quantize(matrices, self.weight_quantizer), errors)

    def _disturbed(self, weight: Tensor, errors: Tensor | None) -> Tensor:
        sigma = self.profile.weight.programming_sigma * self.profile.weight.full_scale
        if errors is None or sigma == 0.0:
            count = 1 if errors is None else errors.shape[0]
            return weight.expand(count, *weight.shape)
        return weight + sigma * errors.to(weight)


register_device("generic", GenericDevice)
