"""From values to light: modulator curve, extinction ratio, and the sign that powers lack.

Values are fractions of the input's full scale, in [-1, 1]. Formulas without a source are derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from photonic.profile import HardwareProfile
from photonic.units import field_ratio_from_db, power_ratio_from_db


def field(x: Tensor, extinction_ratio_db: float) -> tuple[Tensor, Tensor]:
    """Quadratures of ``E = x + j·ε·√(1−x²)`` with ``ε = 10^(−ER/20)`` (derived)."""
    epsilon = field_ratio_from_db(-extinction_ratio_db)
    return x, epsilon * _quadrature(x)


def _quadrature(x: Tensor) -> Tensor:
    """``√(1−x²)``; its slope at full scale, where it is infinite, counts as 0."""
    power = (1.0 - x * x).clamp(min=0.0)
    if not x.requires_grad:
        return power.sqrt()
    some = power > 0.0
    return torch.where(some, torch.where(some, power, 1.0).sqrt(), 0.0)


def intensity(u: Tensor, extinction_ratio_db: float) -> Tensor:
    """Power ``I = r + (1−r)·u`` of ``u`` in [0, 1], with ``r = 10^(−ER/10)`` (derived)."""
    darkest = power_ratio_from_db(-extinction_ratio_db)
    return darkest + (1.0 - darkest) * u


def value_of_intensity(power: Tensor, extinction_ratio_db: float) -> Tensor:
    """Inverse of :func:`intensity`."""
    darkest = power_ratio_from_db(-extinction_ratio_db)
    return (power - darkest) / (1.0 - darkest)


def modulation_depth(peak_attenuation: float) -> float:
    """The ``m`` in (0, π) with ``sin(m)/m = peak_attenuation``, by bisection."""
    low, high = 0.0, math.pi
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if math.sin(middle) / middle > peak_attenuation else (low, middle)
        )
    return (low + high) / 2


def modulator_curve(x: Tensor, peak_attenuation: float) -> Tensor:
    """``sin(m·x)/m``: small values pass unchanged, a full-scale one keeps ``peak_attenuation``."""
    m = modulation_depth(peak_attenuation)
    return torch.sin(m * x) / m


def predistorted(y: Tensor, peak_attenuation: float) -> Tensor:
    """The drive ``x`` with ``modulator_curve(x) = peak_attenuation·y``, for ``m ≤ π/2``."""
    m = modulation_depth(peak_attenuation)
    return torch.asin((m * peak_attenuation * y).clamp(-1.0, 1.0)) / m


def tabulated_curve(x: Tensor, table: Sequence[float]) -> Tensor:
    """A measured curve between its points, odd in ``x``; constant beyond full scale."""
    values, count = torch.tensor(table).to(x), len(table) - 1
    place = (x.abs() * count).clamp(max=count)
    index = place.detach().floor().long().clamp(max=count - 1)
    step = values[index + 1] - values[index]
    return x.sign() * (values[index] + (place - index) * step)


def tabulated_drive(y: Tensor, table: Sequence[float]) -> Tensor:
    """Inverse of :func:`tabulated_curve`, for what the curve reaches."""
    values, count = torch.tensor(table).to(y), len(table) - 1
    size = y.abs().clamp(max=table[-1])
    index = (torch.searchsorted(values, size.detach(), right=True) - 1).clamp(0, count - 1)
    share = (size - values[index]) / (values[index + 1] - values[index])
    return y.sign() * (index + share) / count


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptics:
    """What the modulators of a profile make of a value, and what the receiver has to undo.

    Attributes:
        encoding: how a sign is carried.
        darkest: power of the darkest state over that of the brightest, ``r``.
        peak_attenuation: what the modulator's curve leaves of a full-scale value, or ``None`` for a
            linear one.
        table: points of a measured curve, or ``None`` for a sine or a straight line.
        predistortion: whether the curve's inverse stands before the DAC.
        drive_step: LSB of the converter behind the predistortion, as a fraction of full scale.
    """

    encoding: str
    darkest: float
    peak_attenuation: float | None
    predistortion: bool
    drive_step: float | None
    table: tuple[float, ...] | None = None

    @classmethod
    def of(cls, profile: HardwareProfile) -> InputOptics:
        """The input optics that ``profile`` describes."""
        stage = profile.input
        ratio_db = stage.extinction_ratio_db
        return cls(
            encoding=stage.encoding,
            darkest=0.0 if ratio_db is None else power_ratio_from_db(-ratio_db),
            peak_attenuation=stage.curve[-1] if stage.curve else stage.peak_attenuation,
            predistortion=stage.predistortion,
            drive_step=None if stage.dac_bits is None else 2.0 ** (1 - stage.dac_bits),
            table=stage.curve,
        )

    @property
    def is_linear(self) -> bool:
        """Whether :meth:`emit` changes nothing."""
        return self.peak_attenuation is None

    @property
    def receiver_scale(self) -> float:
        """Factor behind the detector that makes up for the signal the encoding gives away.

        ``1/(1−r)`` of a differential and ``2/(1−r)`` of an offset intensity (signal −6 dB), and one
        over the peak attenuation that predistortion spreads over all values.
        """
        scale = 1.0
        if self.encoding != "field":
            scale = (2.0 if self.encoding == "intensity-offset" else 1.0) / (1.0 - self.darkest)
        if self.predistortion and self.peak_attenuation:
            scale /= self.peak_attenuation
        return scale

    @property
    def detections(self) -> int:
        """Independent detections per product: both halves of a differential encoding."""
        return 2 if self.encoding == "intensity-differential" else 1

    @property
    def baseline(self) -> float:
        """Constant light beside the signal, in units of the restored value, per detection."""
        if self.encoding == "intensity-differential":
            return self.darkest / (1.0 - self.darkest)
        if self.encoding == "intensity-offset":
            return (1.0 + self.darkest) / (1.0 - self.darkest)
        return 0.0

    def emit(self, x: Tensor) -> Tensor:
        """The value that arrives, after curve and predistortion, with a linear receiver's scale."""
        if self.peak_attenuation is None:
            return x
        if self.encoding == "intensity-offset":
            dark = torch.zeros((), dtype=x.dtype, device=x.device)
            return 2.0 * (self._curve((1.0 + x) / 2) - self._curve(dark + 0.5))
        return self._curve(x)

    def _curve(self, x: Tensor) -> Tensor:
        attenuation = self.peak_attenuation
        assert attenuation is not None
        if not self.predistortion:
            return self._modulated(x, attenuation)
        if self.table is None:
            drive = predistorted(x, attenuation)
        else:
            drive = tabulated_drive(x * attenuation, self.table)
        if self.drive_step is not None:
            drive = (drive / self.drive_step).round() * self.drive_step
        return self._modulated(drive, attenuation) / attenuation

    def _modulated(self, x: Tensor, attenuation: float) -> Tensor:
        if self.table is None:
            return modulator_curve(x, attenuation)
        return tabulated_curve(x, self.table)

    def quadrature(self, x: Tensor) -> Tensor:
        """``√(1−x²)``, the field in the other quadrature per unit of ε."""
        return _quadrature(x)

    @property
    def epsilon(self) -> float:
        """Field of the darkest state over that of the brightest."""
        return math.sqrt(self.darkest)

    def powers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Light of all detections of ``x`` and the sum of its squares, in full-scale channels."""
        if self.encoding == "intensity-offset":
            light = self.darkest + (1.0 - self.darkest) * (1.0 + x) / 2
            return light, light * light
        bright = self.darkest + (1.0 - self.darkest) * x.abs()
        return bright + self.darkest, bright * bright + self.darkest**2
