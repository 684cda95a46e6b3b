"""``generic``: a core known only by its bits and its noise.

Weights are rounded to the weight grid and then disturbed once per chip, ``W_chip = Q(W) + σ·R·ε``
with R the full scale and ε standard normal: quantise first, then the error of the analog element.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from photonic.devices.base import Device, Errors, Settings, Transfer, as_tensor, register_device


class GenericDevice(Device):
    """The stored weights themselves; the shared errors of :class:`Device` do the rest."""

    def compile(self, matrices: np.ndarray) -> Settings:
        """The stored weight values, on their grid, float64 ``(blocks, rows, cols)``."""
        return {"weight": self.stored(matrices)}

    def decompile(self, settings: Settings) -> np.ndarray:
        """The stored weights."""
        return np.asarray(settings["weight"], dtype=np.float64)

    def optics(self, settings: Settings, errors: Errors | None) -> Transfer:
        """``Q(W)`` on every chip."""
        weight: Tensor = as_tensor(settings["weight"], errors)
        return Transfer(matrix=weight[None], scale=torch.ones(len(weight)).to(weight))


register_device("generic", GenericDevice)
