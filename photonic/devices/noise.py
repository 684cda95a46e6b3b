"""Receiver noise from physical parameters: variances in A², one-sided, in a noise bandwidth.

The noise bandwidth of a single pole is ``π/2 · f₃dB`` (textbook). Shot, thermal and amplifier noise
are those of Kumar and Deen, Fiber Optic Communications (2014), Eqs. 5.70, 5.72 and 5.76
(confirmed); relative intensity noise and the homodyne current are in their textbook form; balanced
detection suppresses the local oscillator's excess noise (Yuen and Chan 1983, confirmed).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from photonic.errors import ProfileError
from photonic.profile import HardwareProfile
from photonic.profile_sections import Noise
from photonic.units import power_ratio_from_db

ELEMENTARY_CHARGE_C = 1.602176634e-19
BOLTZMANN_J_PER_K = 1.380649e-23


def shot_variance(*, current_a: float, dark_current_a: float, bandwidth_hz: float) -> float:
    """Shot noise ``2q(I + I_d)B`` in A² (Kumar and Deen; confirmed)."""
    return 2.0 * ELEMENTARY_CHARGE_C * (current_a + dark_current_a) * bandwidth_hz


def thermal_variance(*, load_ohm: float, temperature_k: float, bandwidth_hz: float) -> float:
    """Thermal noise ``4kTB/R`` of a load in A² (Kumar and Deen; confirmed)."""
    return 4.0 * BOLTZMANN_J_PER_K * temperature_k * bandwidth_hz / load_ohm


def amplifier_variance(*, noise_a_per_rthz: float, bandwidth_hz: float) -> float:
    """Input-referred amplifier noise ``i_n²·B`` in A² (Kumar and Deen; confirmed)."""
    return noise_a_per_rthz**2 * bandwidth_hz


def rin_variance(*, current_a: float, rin_db_per_hz: float, bandwidth_hz: float) -> float:
    """Relative intensity noise ``RIN·I²·B`` in A² (textbook)."""
    return power_ratio_from_db(rin_db_per_hz) * current_a**2 * bandwidth_hz


def snr_db(current_a: float, *variances_a2: float) -> float:
    """Electrical signal-to-noise ratio ``I²/Σσ²`` in dB."""
    return 10.0 * math.log10(current_a**2 / sum(variances_a2))


def homodyne_full_scale_a(
    *, responsivity_a_per_w: float, lo_power_w: float, signal_power_w: float
) -> float:
    """Balanced photocurrent of a full-scale field: ``2R√(P_LO·P_s)`` in A (textbook)."""
    return 2.0 * responsivity_a_per_w * math.sqrt(lo_power_w * signal_power_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Noise variance of one detection, ``constant + linear·P + square·S + relative·y²``.

    Units are (weight × input)², referred to the detector. ``y`` is the detected value, ``P`` the
    light on the detectors over that of one full-scale channel, ``S`` the sum of ``(w·I)²`` over the
    channels, whose sources are independent.
    """

    constant: float = 0.0
    linear: float = 0.0
    square: float = 0.0
    relative: float = 0.0

    @property
    def depends_on_signal(self) -> bool:
        """Whether the variance is more than a constant."""
        return bool(self.linear or self.square or self.relative)


def homodyne_receiver(profile: HardwareProfile) -> Receiver:
    """Noise of balanced homodyne detection of fields, one local oscillator per output.

    The full-scale current is ``2R√(P_LO·P_s)``. Shot noise ``2q[R(P_LO + P_s|e|²) + 2I_d]B`` (Yuen
    and Chan 1983) takes the detected quadrature for ``|e|²``. Excess noise of the oscillator is
    ``RIN·(R·P_LO)²·B`` over the common-mode rejection. Where signal and oscillator share a laser,
    ``σ = |i|·√(RIN·B)`` is left even with perfect balance (derived: i is proportional to the
    laser's power).

    Raises:
        ProfileError: a bandwidth without the powers of laser and oscillator.
    """
    noise, optics = profile.noise, profile.optics
    if noise.bandwidth_ghz is None:
        return Receiver()
    if optics.lo_power_mw is None:
        raise _needs(profile, "optics.lo_power_mw")
    bandwidth_hz = noise.bandwidth_ghz * 1e9
    lo_power_w, signal_power_w = optics.lo_power_mw * 1e-3, channel_power_w(profile)
    full_scale_a = homodyne_full_scale_a(
        responsivity_a_per_w=optics.responsivity_a_per_w,
        lo_power_w=lo_power_w,
        signal_power_w=signal_power_w,
    )
    lo_a, signal_a = (optics.responsivity_a_per_w * p for p in (lo_power_w, signal_power_w))
    constant, relative = _electronics(noise, bandwidth_hz), 0.0
    if noise.shot:
        constant += shot_variance(
            current_a=lo_a, dark_current_a=2 * _dark_a(noise), bandwidth_hz=bandwidth_hz
        )
        relative += shot_variance(
            current_a=signal_a, dark_current_a=0.0, bandwidth_hz=bandwidth_hz
        ) / (full_scale_a**2)
    if noise.rin_db_per_hz is not None:
        relative += power_ratio_from_db(noise.rin_db_per_hz) * bandwidth_hz
        if noise.cmrr_db is not None:
            constant += rin_variance(
                current_a=lo_a, rin_db_per_hz=noise.rin_db_per_hz, bandwidth_hz=bandwidth_hz
            ) / power_ratio_from_db(noise.cmrr_db)
    return Receiver(constant=constant / full_scale_a**2, relative=relative)


def intensity_receiver(profile: HardwareProfile) -> Receiver:
    """Noise of a balanced pair of photodiodes that adds the powers of independent channels.

    The full-scale current is ``R·P`` of one channel. Both diodes' currents make shot noise, their
    difference is the signal; each channel's laser has its own intensity noise.

    Raises:
        ProfileError: a bandwidth without the laser's power.
    """
    noise = profile.noise
    if noise.bandwidth_ghz is None:
        return Receiver()
    bandwidth_hz = noise.bandwidth_ghz * 1e9
    # Broadcast: every row of the matrix gets its share of each channel.
    full_scale_a = profile.optics.responsivity_a_per_w * channel_power_w(profile)
    full_scale_a /= profile.core.rows
    constant, linear = _electronics(noise, bandwidth_hz), 0.0
    if noise.shot:
        constant += shot_variance(
            current_a=0.0, dark_current_a=2 * _dark_a(noise), bandwidth_hz=bandwidth_hz
        )
        linear = shot_variance(
            current_a=full_scale_a, dark_current_a=0.0, bandwidth_hz=bandwidth_hz
        )
    square = 0.0
    if noise.rin_db_per_hz is not None:
        square = power_ratio_from_db(noise.rin_db_per_hz) * bandwidth_hz
    return Receiver(
        constant=constant / full_scale_a**2, linear=linear / full_scale_a**2, square=square
    )


def channel_power_w(profile: HardwareProfile) -> float:
    """Power of a full-scale input channel behind couplers and modulator, in W.

    Raises:
        ProfileError: the profile does not state the laser's power.
    """
    optics = profile.optics
    if optics.laser_power_mw is None:
        raise _needs(profile, "optics.laser_power_mw")
    loss = power_ratio_from_db(optics.coupler_loss_db + optics.modulator_loss_db)
    return optics.laser_power_mw * 1e-3 / loss


def _needs(profile: HardwareProfile, key: str) -> ProfileError:
    return ProfileError(
        f"profile {profile.name!r}: noise in physical units needs {key}; give it, "
        "or take noise.bandwidth_ghz away"
    )


def _dark_a(noise: Noise) -> float:
    return noise.dark_current_na * 1e-9


def _electronics(noise: Noise, bandwidth_hz: float) -> float:
    """Thermal and amplifier noise in A²."""
    variance = 0.0
    if noise.load_ohm is not None:
        variance += thermal_variance(
            load_ohm=noise.load_ohm,
            temperature_k=noise.temperature_k,
            bandwidth_hz=bandwidth_hz,
        )
    if noise.amplifier_pa_per_rthz is not None:
        variance += amplifier_variance(
            noise_a_per_rthz=noise.amplifier_pa_per_rthz * 1e-12, bandwidth_hz=bandwidth_hz
        )
    return variance
