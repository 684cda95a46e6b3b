"""``pcm``: a crossbar of phase-change cells, ``W = R·(G⁺ − G⁻)`` with R the weight's full scale.

Each weight is a pair of cells whose transmissions lie between 0 and 1 of the full contrast; one of
the pair stays dark. A cell has ``2^bits`` levels, ``k/2^bits``. Optically read GST is reported free
of drift (Ríos et al. 2019, confirmed), so the drift exponent is 0 unless a profile says otherwise;
``(t/t₀)^(−ν)`` with ν of 0.05–0.1 is the law of electrically read cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from photonic.devices.base import (
    Device,
    Errors,
    Settings,
    Transfer,
    as_tensor,
    register_device,
)
from photonic.devices.noise import Receiver, intensity_receiver


def drift_factor(*, time_s: float, reference_s: float, exponent: float) -> float:
    """``(t/t₀)^(−ν)``: what is left of a cell's transmission."""
    return (time_s / reference_s) ** -exponent


class PcmDevice(Device):
    """Pairs of cells; settings are ``cells (blocks, 2, rows, cols)``, G⁺ and G⁻ in [0, 1]."""

    honours: ClassVar[frozenset[str]] = frozenset(
        {
            "pcm",
            "noise.bandwidth_ghz",
            "noise.shot",
            "noise.rin_db_per_hz",
            "noise.dark_current_na",
            "noise.load_ohm",
            "noise.temperature_k",
            "noise.amplifier_pa_per_rthz",
        }
    )

    def compile(self, matrices: np.ndarray) -> Settings:
        """Transmissions of both cells of each weight, on their levels."""
        relative = self.stored(matrices) / self.profile.weight.full_scale
        cells = np.stack([relative.clip(0.0, 1.0), (-relative).clip(0.0, 1.0)], axis=1)
        bits = self.profile.pcm.level_bits
        if bits is not None:
            cells = np.rint(cells * 2**bits).clip(0, 2**bits - 1) / 2**bits
        return {"cells": cells}

    def decompile(self, settings: Settings) -> np.ndarray:
        """The matrices that the cells mean as programmed."""
        cells = np.asarray(settings["cells"], dtype=np.float64)
        return self.profile.weight.full_scale * (cells[:, 0] - cells[:, 1])

    def block_errors(self) -> Mapping[str, tuple[int, ...]]:
        """Programming error of each cell."""
        core = self.profile.core
        return {"cell": (2, core.rows, core.cols)} if self.profile.pcm.cell_sigma else {}

    def optics(self, settings: Settings, errors: Errors | None) -> Transfer:
        """``R·(G⁺ − G⁻)`` after programming errors and drift; both cells' light makes noise."""
        pcm, full_scale = self.profile.pcm, self.profile.weight.full_scale
        cells = as_tensor(settings["cells"], errors)[None]
        if errors is not None and "cell" in errors:
            cells = (cells + pcm.cell_sigma * errors["cell"]).clamp(min=0.0)
        cells = cells * drift_factor(
            time_s=pcm.drift_time_s,
            reference_s=pcm.drift_reference_s,
            exponent=pcm.drift_exponent,
        )
        return Transfer(
            matrix=full_scale * (cells[:, :, 0] - cells[:, :, 1]),
            scale=torch.full_like(cells[0, :, 0, 0, 0], full_scale),
            power=cells.sum(2),
        )

    def receiver(self) -> Receiver:
        """Balanced photodiodes, and the cells' own fluctuation from read to read."""
        receiver = intensity_receiver(self.profile)
        return replace(receiver, square=receiver.square + self.profile.pcm.read_sigma**2)


register_device("pcm", PcmDevice)
