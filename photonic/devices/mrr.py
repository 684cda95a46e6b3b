"""``mrr``: a broadcast-and-weight bank of microrings per row, one wavelength per column.

Each ring drops part of its channel; a balanced pair of photodiodes takes drop minus through, so a
weight lies in the usable range of the rings and ``W = g·w`` with an electrical gain g. Powers carry
the input, see :mod:`photonic.devices.encoding` for their sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from photonic.devices.base import (
    Device,
    Errors,
    Settings,
    Transfer,
    as_tensor,
    register_device,
)
from photonic.devices.drift import temperature_sigma_k
from photonic.devices.heaters import crosstalk_matrix
from photonic.devices.noise import Receiver, intensity_receiver
from photonic.devices.ring import bank_detunings, bank_powers
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile


class MrrDevice(Device):
    """Ring banks; settings are ``detuning (blocks, rows, cols)``, what the heaters are set to.

    Raises:
        ProfileError: a heater's reach that lets neighbours meet, or leaves no symmetric range of
            weights, or a temperature drift without the rings' linewidth.
    """

    honours: ClassVar[frozenset[str]] = frozenset(
        {
            "ring",
            "heater.crosstalk",
            "heater.crosstalk_pitch",
            "heater.compensated",
            "noise.bandwidth_ghz",
            "noise.shot",
            "noise.rin_db_per_hz",
            "noise.dark_current_na",
            "noise.load_ohm",
            "noise.temperature_k",
            "noise.amplifier_pa_per_rthz",
            "drift.temperature_k_per_rts",
            "drift.recalibration_interval_s",
            "drift.wavelength_pm_per_k",
        }
    )

    def __init__(self, profile: HardwareProfile) -> None:
        super().__init__(profile)
        self.crosstalk = None
        if profile.heater.crosstalk:
            rows, cols = np.indices((profile.core.rows, profile.core.cols))
            positions = np.stack([rows.ravel(), cols.ravel()], axis=1).astype(np.float64)
            self.crosstalk = crosstalk_matrix(positions, profile.heater)
        self.largest_weight = self._largest_weight()
        self.gain = profile.weight.full_scale / self.largest_weight
        self.shift_sigma = self._shift_sigma()

    def compile(self, matrices: np.ndarray) -> Settings:
        """Heater settings in half-linewidths: joint inverse, crosstalk, codes."""
        ring, heater = self.profile.ring, self.profile.heater
        delta = bank_detunings(
            torch.from_numpy(self.stored(matrices)) / self.gain,
            spacing=ring.spacing,
            max_detuning=ring.max_detuning,
            drop=ring.drop_on_resonance,
            through=ring.through_on_resonance,
        ).numpy()
        if self.crosstalk is not None and heater.compensated:
            flat = delta.reshape(len(delta), -1) @ np.linalg.inv(self.crosstalk).T
            delta = flat.reshape(delta.shape)
        delta = delta.clip(0.0, ring.max_detuning)
        if ring.tuning_bits is not None:
            step = ring.max_detuning / (2**ring.tuning_bits - 1)
            delta = np.rint(delta / step) * step
        return {"detuning": delta}

    def decompile(self, settings: Settings) -> np.ndarray:
        """The matrices that the settings mean without crosstalk that was not compiled in."""
        drives = as_tensor(settings["detuning"], None)
        if self.profile.heater.compensated:
            drives = self._heated(drives)
        return self.gain * self._weights(drives).numpy()

    def core_errors(self) -> Mapping[str, tuple[int, ...]]:
        """Detuning of each ring and temperature of the core, where the profile has them."""
        core, shapes = self.profile.core, {}
        if self.profile.ring.tuning_sigma:
            shapes["tuning"] = (core.rows, core.cols)
        if self.shift_sigma:
            shapes["temperature"] = (1, 1)
        return shapes

    def optics(self, settings: Settings, errors: Errors | None) -> Transfer:
        """``g·(drop − through)``; drop and through together make the shot noise."""
        delta = self._heated(as_tensor(settings["detuning"], errors)[None])
        if errors is not None and "tuning" in errors:
            delta = delta + self.profile.ring.tuning_sigma * errors["tuning"]
        if errors is not None and "temperature" in errors:
            delta = delta + self.shift_sigma * errors["temperature"]
        dropped, through = self._powers(delta)
        return Transfer(
            matrix=self.gain * (dropped - through),
            scale=torch.full_like(delta[0, :, 0, 0], self.gain),
            power=dropped + through,
        )

    def receiver(self) -> Receiver:
        """Balanced photodiodes."""
        return intensity_receiver(self.profile)

    def _powers(self, delta: Tensor) -> tuple[Tensor, Tensor]:
        """Drop and through power of each channel."""
        ring = self.profile.ring
        return bank_powers(
            delta,
            spacing=ring.spacing,
            drop=ring.drop_on_resonance,
            through=ring.through_on_resonance,
        )

    def _weights(self, delta: Tensor) -> Tensor:
        dropped, through = self._powers(delta)
        return dropped - through

    def _heated(self, drives: Tensor) -> Tensor:
        """Detunings that heaters set to ``drives (..., rows, cols)`` give, crosstalk included."""
        if self.crosstalk is None:
            return drives
        mixed = drives.flatten(-2) @ torch.from_numpy(self.crosstalk).to(drives).T
        return mixed.unflatten(-1, drives.shape[-2:])

    def _largest_weight(self) -> float:
        """Weight that every ring reaches with both signs, its neighbours at their worst."""
        ring, cols = self.profile.ring, self.profile.core.cols
        if ring.spacing is not None and ring.max_detuning >= ring.spacing:
            raise ProfileError(
                f"profile {self.profile.name!r}: ring.max_detuning = {ring.max_detuning:g} reaches "
                f"the next channel at ring.spacing = {ring.spacing:g} half-linewidths"
            )
        # A ring heated to the red nears the channel above it and leaves the one below.
        own = torch.arange(cols)
        below = own[:, None] > own[None]
        ends = []
        for heated in (below, ~below):
            for detuning, sign in ((0.0, 1.0), (ring.max_detuning, -1.0)):
                delta = torch.where(heated, ring.max_detuning, 0.0).to(torch.float64)
                delta[own, own] = detuning
                ends.append(sign * torch.diagonal(self._weights(delta)))
        largest = float(torch.stack(ends).min())
        if largest <= 0.0:
            raise ProfileError(
                f"profile {self.profile.name!r}: rings tuned over {ring.max_detuning:g} "
                "half-linewidths reach no weight with both signs; raise ring.max_detuning or "
                "ring.spacing"
            )
        return largest

    def _shift_sigma(self) -> float:
        """Detuning by temperature between calibrations, rms in half-linewidths."""
        kelvin = temperature_sigma_k(self.profile.drift)
        if kelvin == 0.0:
            return 0.0
        if self.profile.ring.half_linewidth_pm is None:
            raise ProfileError(
                f"profile {self.profile.name!r}: a temperature drift of rings needs "
                "ring.half_linewidth_pm"
            )
        return kelvin * self.profile.drift.wavelength_pm_per_k / self.profile.ring.half_linewidth_pm


register_device("mrr", MrrDevice)
