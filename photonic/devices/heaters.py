"""Thermo-optic phase shifters: crosstalk between them, their φ(V) law, and its limits.

Phases are in rad, positions in pitches of the heater grid. Formulas are derived unless they say
otherwise.
"""

from __future__ import annotations

import math

import numpy as np

from photonic.errors import ProfileError
from photonic.profile_sections import Heater

FULL_TURN_RAD = 2.0 * math.pi


def crosstalk_matrix(positions: np.ndarray, heater: Heater) -> np.ndarray:
    """The ``C`` of ``φ = C·h``: phases that heaters set to ``h`` give, ``(P, P)``.

    A neighbour at distance d receives ``crosstalk · e^{−(d−1)/crosstalk_pitch}`` of a heater's
    phase.

    Args:
        positions: ``(P, 2)`` places of the heaters in pitches.
        heater: the profile's section.
    """
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    received = heater.crosstalk * np.exp(-(distance - 1.0) / heater.crosstalk_pitch)
    return np.where(distance > 0.0, received, 0.0) + np.eye(len(positions))


def drives_for(phases_rad: np.ndarray, crosstalk: np.ndarray) -> np.ndarray:
    """Drives ``h ≥ 0`` with ``C·h = phases`` up to full turns, ``(..., P)``.

    A heater cannot cool: where the solution is negative, that phase gets a full turn more, which
    leaves less to do for its neighbours. From phases in [0, 2π) drives stay below a full turn.
    """
    wanted = np.array(phases_rad, dtype=np.float64)
    inverse = np.linalg.inv(crosstalk)
    while True:
        drives = wanted @ inverse.T
        if not (drives < 0.0).any():
            return drives
        wanted[drives < 0.0] += FULL_TURN_RAD


def quantize_phases(phases_rad: np.ndarray, bits: int | None, *, wrap: bool = True) -> np.ndarray:
    """Phases on the uniform grid ``k·2π/2^bits``, ``k = 0 … 2^bits − 1``.

    The rms error of a mesh, ``‖ΔU‖_F/√N``, is about ``2·(2π/2^bits)/√12`` for N = 4 (derived).

    Args:
        phases_rad: at least 0.
        bits: of the codes; ``None`` leaves the phases as they are.
        wrap: a phase that rounds to the full turn becomes 0. Where heaters warm each other 0 and
            the full turn differ, and the phase takes the highest code.
    """
    if bits is None:
        return phases_rad
    step = FULL_TURN_RAD / 2**bits
    codes = np.rint(phases_rad / step)
    return (np.mod(codes, 2**bits) if wrap else np.minimum(codes, 2**bits - 1)) * step


def voltage_to_phase(voltage_v: np.ndarray, heater: Heater) -> np.ndarray:
    """``φ(V) = a·V² + b·V³`` in rad: Joule heat, and the cubic term of a warming resistor.

    Raises:
        ProfileError: the profile states no law.
    """
    quadratic, cubic = _law(heater)
    return quadratic * voltage_v**2 + cubic * voltage_v**3


def phase_to_voltage(phase_rad: np.ndarray, heater: Heater) -> np.ndarray:
    """Inverse of :func:`voltage_to_phase` for phases it reaches, by Newton's method, in V.

    Raises:
        ProfileError: no law, or a phase beyond the largest voltage.
    """
    quadratic, cubic = _law(heater)
    phase = np.asarray(phase_rad, dtype=np.float64)
    largest = math.inf if heater.max_voltage_v is None else heater.max_voltage_v
    voltage = np.sqrt(phase / quadratic)
    for _ in range(50):
        slope = 2.0 * quadratic * voltage + 3.0 * cubic * voltage**2
        error = quadratic * voltage**2 + cubic * voltage**3 - phase
        # At zero the slope vanishes with the error.
        voltage = voltage - np.divide(error, slope, out=np.zeros_like(error), where=slope > 0.0)
    if not (voltage <= largest * (1.0 + 1e-9)).all():
        raise ProfileError(
            f"heaters: {float(phase.max()):.2f} rad need {float(voltage.max()):.2f} V, allowed are "
            f"heater.max_voltage_v = {largest:g} V"
        )
    return voltage


def reachable_phases(phases_rad: np.ndarray, heater: Heater) -> np.ndarray:
    """Phases that the voltage range gives: a turn more where too small, else the nearest end."""
    if heater.quadratic_rad_per_v2 is None:
        return phases_rad
    low = float(voltage_to_phase(np.array(heater.min_voltage_v), heater))
    high = math.inf
    if heater.max_voltage_v is not None:
        high = float(voltage_to_phase(np.array(heater.max_voltage_v), heater))
    turned = np.where(
        (phases_rad < low) & (phases_rad + FULL_TURN_RAD <= high),
        phases_rad + FULL_TURN_RAD,
        phases_rad,
    )
    return np.clip(turned, low, high)


def heater_power_mw(phases_rad: np.ndarray, heater: Heater) -> np.ndarray:
    """Electrical power of the heaters of each block, ``(...,)`` in mW: proportional to the phase.

    Raises:
        ProfileError: the profile does not state ``heater.power_per_pi_mw``.
    """
    if heater.power_per_pi_mw is None:
        raise ProfileError("heater.power_per_pi_mw is not given: no heater power can be stated")
    return phases_rad.sum(-1) * (heater.power_per_pi_mw / math.pi)


def _law(heater: Heater) -> tuple[float, float]:
    if heater.quadratic_rad_per_v2 is None:
        raise ProfileError("heater.quadratic_rad_per_v2 is not given: φ(V) has no law")
    return heater.quadratic_rad_per_v2, heater.cubic_rad_per_v3
