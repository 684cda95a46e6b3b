"""``mzi``: a coherent mesh of interferometers, ``W = g·Re(U·diag(s)·Vᴴ)``.

The singular values sit in interferometers read at their straight port, ``s = σ/(1.05·σ_max)``;
the phase ``j·e^{jθ/2}`` that these add is taken off the first mesh's output phases. The gain ``g``
is electrical. The headroom of 5 % is what lets a calibration reach any matrix exactly. Fields carry
the input, homodyne detection reads the real part. Compiled and simulated in float64 and complex128:
complex64 throughout misses 1e-6.
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
from photonic.devices.coherent import mean_path_elements, mesh_transfer, mzi_transfer
from photonic.devices.drift import temperature_sigma_k
from photonic.devices.encoding import InputOptics
from photonic.devices.heaters import (
    crosstalk_matrix,
    drives_for,
    heater_power_mw,
    quantize_phases,
    reachable_phases,
)
from photonic.devices.mesh import MeshPhases, decompose, mesh_layout, reconstruct
from photonic.devices.noise import Receiver, homodyne_receiver
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile
from photonic.units import field_ratio_from_db

HEADROOM = 1.05


class MziDevice(Device):
    """Two meshes with attenuators in between; see the module for the formula.

    Settings are ``phases_rad (blocks, P)``, the drives of all heaters, and ``gain (blocks,)``. The
    ``P`` heaters stand in the order that light meets them: of the first mesh θ, φ and output
    phases, the attenuators, then θ, φ and output phases of the second mesh.
    """

    honours: ClassVar[frozenset[str]] = frozenset(
        {
            "optics",
            "heater",
            "noise",
            "drift.temperature_k_per_rts",
            "drift.recalibration_interval_s",
            "drift.phase_rad_per_k",
        }
    )

    def __init__(self, profile: HardwareProfile) -> None:
        super().__init__(profile)
        kind, core = profile.optics.layout, profile.core
        self.first, self.second = mesh_layout(kind, core.cols), mesh_layout(kind, core.rows)
        first, second = len(self.first.modes), len(self.second.modes)
        self.num_attenuators = min(core.rows, core.cols)
        self.part_sizes = (
            first, first, core.cols, self.num_attenuators, second, second, core.rows,
        )  # fmt: skip
        self.num_phases = sum(self.part_sizes)
        self.crosstalk = None
        if profile.heater.crosstalk:
            self.crosstalk = crosstalk_matrix(self.positions(), profile.heater)

    def positions(self) -> np.ndarray:
        """Places of the heaters, ``(P, 2)``: along the light, and across the modes."""
        places, start = [], 0
        for layout in (self.first, self.second):
            for offset in (1, 0):  # θ stands behind φ
                places.append(np.stack([start + 2 * layout.columns + offset, layout.modes], axis=1))
            start += 2 * layout.num_columns
            modes = np.arange(layout.size)
            places.append(np.stack([np.full_like(modes, start), modes], axis=1))
            start += 1
            if layout is self.first and len(places) == 3:
                modes = np.arange(self.num_attenuators)
                places.append(np.stack([np.full_like(modes, start), modes], axis=1))
                start += 1
        return np.concatenate(places).astype(np.float64)

    def compile(self, matrices: np.ndarray) -> Settings:
        """Drives of all heaters and the gain of each block.

        Raises:
            ProfileError: heaters that would take more than ``heater.max_power_mw``.
        """
        kind = self.profile.optics.layout
        u, sigma, vh = np.linalg.svd(self.stored(matrices))
        largest = sigma[:, :1]
        relative = np.divide(
            sigma, HEADROOM * largest, out=np.zeros_like(sigma), where=largest > 0.0
        )
        first, second = decompose(vh, kind), decompose(u, kind)
        attenuators = 2.0 * np.arcsin(relative)
        between = first.out.copy()
        between[:, : self.num_attenuators] -= (np.pi + attenuators) / 2
        phases = np.concatenate(
            [
                first.theta, first.phi, np.mod(between, 2 * np.pi), attenuators,
                second.theta, second.phi, second.out,
            ],
            axis=1,
        )  # fmt: skip
        heater = self.profile.heater
        if self.crosstalk is not None and heater.compensated:
            phases = drives_for(phases, self.crosstalk)
        drives = quantize_phases(
            reachable_phases(phases, heater),
            self.profile.optics.phase_bits,
            wrap=self.crosstalk is None,
        )
        self._refuse_too_much_power(drives)
        gain = np.where(largest[:, 0] > 0.0, HEADROOM * largest[:, 0], 1.0)
        return {"phases_rad": drives, "gain": gain * self._loss_made_up()}

    def decompile(self, settings: Settings) -> np.ndarray:
        """The matrices that the settings mean on a lossless core without errors."""
        kind = self.profile.optics.layout
        phases = np.asarray(settings["phases_rad"], dtype=np.float64)
        if self.crosstalk is not None and self.profile.heater.compensated:
            phases = phases @ self.crosstalk.T
        edges = np.cumsum(self.part_sizes)[:-1]
        theta_1, phi_1, out_1, attenuators, theta_2, phi_2, out_2 = np.split(phases, edges, axis=1)
        vh = reconstruct(MeshPhases(theta=theta_1, phi=phi_1, out=out_1), kind)
        u = reconstruct(MeshPhases(theta=theta_2, phi=phi_2, out=out_2), kind)
        count = self.num_attenuators
        middle = (1j * np.exp(0.5j * attenuators) * np.sin(attenuators / 2))[:, :, None]
        gain = np.asarray(settings["gain"], dtype=np.float64) / self._loss_made_up()
        return gain[:, None, None] * (u[:, :, :count] @ (middle * vh[:, :count])).real

    def core_errors(self) -> Mapping[str, tuple[int, ...]]:
        """Phases, splitters, cold offsets and temperature, where the profile has them."""
        optics, drift = self.profile.optics, self.profile.drift
        num_elements = len(self.first.modes) + self.num_attenuators + len(self.second.modes)
        shapes: dict[str, tuple[int, ...]] = {}
        if optics.phase_sigma_rad:
            shapes["phase"] = (self.num_phases,)
        if optics.splitter_sigma_rad:
            shapes["splitter"] = (num_elements, 2)
        if optics.cold_start:
            shapes["cold"] = (self.num_phases,)
        if temperature_sigma_k(drift) and drift.phase_rad_per_k:
            shapes["temperature"] = (1,)
        return shapes

    def optics(self, settings: Settings, errors: Errors | None) -> Transfer:
        """``g·Re(M)`` and, with finite extinction, ``−ε·g·Im(M)``."""
        optics = self.profile.optics
        phases = self._phases(as_tensor(settings["phases_rad"], errors)[None], errors)
        theta_1, phi_1, out_1, attenuators, theta_2, phi_2, out_2 = phases.split(
            self.part_sizes, dim=-1
        )
        eta_1, eta_a, eta_2 = self._splitters(errors)
        first, second = (
            mesh_transfer(
                optics.layout,
                theta,
                phi,
                out,
                eta,
                element_loss_db=optics.element_loss_db,
                edge_dummies=optics.edge_dummies,
            )
            for theta, phi, out, eta in (
                (theta_1, phi_1, out_1, eta_1),
                (theta_2, phi_2, out_2, eta_2),
            )
        )
        errors_a = (0.0, 0.0) if eta_a is None else (eta_a[..., 0], eta_a[..., 1])
        straight = mzi_transfer(attenuators, torch.zeros_like(attenuators), *errors_a)[0]
        straight = straight * field_ratio_from_db(-optics.element_loss_db)
        count = self.num_attenuators
        fields = second[..., :count] @ (straight[..., None] * first[..., :count, :])
        gain = as_tensor(settings["gain"], errors)
        epsilon = InputOptics.of(self.profile).epsilon
        return Transfer(
            matrix=gain[:, None, None] * fields.real,
            scale=gain,
            quadrature=-epsilon * gain[:, None, None] * fields.imag if epsilon else None,
        )

    def receiver(self) -> Receiver:
        """Homodyne detection."""
        return homodyne_receiver(self.profile)

    def _phases(self, drives: Tensor, errors: Errors | None) -> Tensor:
        """Phases ``(chips, blocks, P)`` that the drives give on each chip."""
        optics, drift = self.profile.optics, self.profile.drift
        phases = drives
        if self.crosstalk is not None:
            phases = phases @ torch.from_numpy(self.crosstalk).to(phases).T
        if errors is None:
            return phases
        if "phase" in errors:
            phases = phases + optics.phase_sigma_rad * errors["phase"]
        if "cold" in errors:
            # The normal draw's own distribution function makes it uniform over a turn.
            uniform = torch.special.ndtr(errors["cold"])
            phases = phases + 2.0 * torch.pi * uniform
        if "temperature" in errors:
            kelvin = temperature_sigma_k(drift) * errors["temperature"]
            phases = phases + drift.phase_rad_per_k * kelvin
        return phases

    def _splitters(
        self, errors: Errors | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Splitter errors of the first mesh, the attenuators and the second mesh, in rad."""
        if errors is None or "splitter" not in errors:
            return None, None, None
        eta = self.profile.optics.splitter_sigma_rad * errors["splitter"]
        first, attenuators, second = eta.split(
            (len(self.first.modes), self.num_attenuators, len(self.second.modes)), dim=-2
        )
        return first, attenuators, second

    def _refuse_too_much_power(self, drives: np.ndarray) -> None:
        heater = self.profile.heater
        if heater.max_power_mw is None:
            return
        power_mw = heater_power_mw(drives, heater)
        worst = int(power_mw.argmax())
        if power_mw[worst] > heater.max_power_mw:
            raise ProfileError(
                f"profile {self.profile.name!r}: the heaters of matrix {worst} take "
                f"{power_mw[worst]:.0f} mW, allowed are heater.max_power_mw = "
                f"{heater.max_power_mw:g}; choose more efficient heaters or a larger budget"
            )

    def _loss_made_up(self) -> float:
        """Gain that makes up for the mean field loss of the paths through the core."""
        optics, core = self.profile.optics, self.profile.core
        passed = 1.0 + sum(
            mean_path_elements(optics.layout, size, edge_dummies=optics.edge_dummies)
            for size in (core.cols, core.rows)
        )
        return field_ratio_from_db(optics.element_loss_db * passed)


register_device("mzi", MziDevice)
