"""What one beat costs on a core: passes, reprogramming, latency, energy, beside a digital core.

Needs no torch. All figures are modelled from the profile. The accounting, a power over a rate per
conversion and a static power over the time it is needed, is that of Nahmias et al., IEEE J. Sel.
Top. Quantum Electron. 26, 7701518 (2020), whose equations are not repeated literally: every term is
written out here (derived). What a profile does not state is not guessed: the item is missing, the
missing keys are listed, and the total is a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from photonic.errors import ConfigError
from photonic.profile import HardwareProfile
from photonic.program import Program

# Arithmetic of an 8-bit multiplication and addition, 0.2 + 0.03 pJ, in 45 nm at 0.9 V; operands
# from an 8 KB cache take 10 pJ per 32 bits more. M. Horowitz, ISSCC 2014, "Computing's energy
# problem", Fig. 1.1.9 (recalled).
DIGITAL_PJ_PER_MAC = 0.23
DIGITAL_CACHE_PJ_PER_MAC = 0.23 + 2 * 10.0 / 4

PJ_PER_MW_US = 1e3  # 1 mW for 1 µs is 1 nJ


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Modelled cost of one beat.

    Attributes:
        profile: name of the hardware.
        kind: its kind.
        matrices: distinct matrices that the core holds in turn.
        cores: matrices it holds at once.
        products: products of a matrix with a vector per beat, tiles and tokens counted.
        passes: optical passes per beat.
        macs: multiply-accumulates of the model per beat, padding left out.
        reprogrammings: matrices written per beat; a fraction where beats share a load.
        compute_us: passes and time of flight, ``None`` without a clock.
        reprogramming_us: time of the writes, ``None`` where it is not stated.
        energy_pj: by item, those that the profile states.
        missing: profile keys without which items are left out.
        area_mm2: of the chip, where stated.
        reported_energy_pj: the makers' figure per MAC times the MACs of all products, padding
            included.
        digital_energy_pj: the model's MACs on a digital core.
        digital_pj_per_mac: what that is reckoned with.
    """

    profile: str
    kind: str
    matrices: int
    cores: int
    products: int
    passes: int
    macs: int
    reprogrammings: float
    compute_us: float | None
    reprogramming_us: float | None
    energy_pj: Mapping[str, float]
    missing: tuple[str, ...]
    area_mm2: float | None
    reported_energy_pj: float | None
    digital_energy_pj: float
    digital_pj_per_mac: float

    @property
    def latency_us(self) -> float | None:
        """Time of one beat; ``None`` where a part of it is not known."""
        if self.compute_us is None or self.reprogramming_us is None:
            return None
        return self.compute_us + self.reprogramming_us

    @property
    def total_energy_pj(self) -> float | None:
        """Sum of what is known, a lower bound where keys are missing; ``None`` without any."""
        return sum(self.energy_pj.values()) if self.energy_pj else None

    @property
    def pj_per_mac(self) -> float | None:
        """Total energy over the model's MACs."""
        total = self.total_energy_pj
        return None if total is None else total / self.macs

    @property
    def times_digital(self) -> float | None:
        """Total energy over that of the digital core."""
        total = self.total_energy_pj
        return None if total is None else total / self.digital_energy_pj


def cost(
    program: Program,
    profile: HardwareProfile,
    *,
    beats_per_load: int = 1,
    mean_phase_rad: float = math.pi,
    digital_pj_per_mac: float = DIGITAL_PJ_PER_MAC,
) -> Cost:
    """Cost of one beat of ``program`` on the core of ``profile``.

    Args:
        program: the model.
        profile: the hardware.
        beats_per_load: beats that each matrix is applied to before the next one is written; more
            share the cost of writing and wait for one another.
        mean_phase_rad: of all phase shifters; π is the mean over a turn.
        digital_pj_per_mac: energy of the digital core per MAC.

    Raises:
        ConfigError: a number that is not positive.
    """
    for name, value in (
        ("beats_per_load", beats_per_load),
        ("digital_pj_per_mac", digital_pj_per_mac),
    ):
        if not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"{name} {value}: must be above 0")
    core, timing = profile.core, profile.timing
    blocks = program.blocks(core.rows, core.cols)
    products = sum(block.applied_per_beat for block in blocks)
    passes = profile.passes() * products
    applied = program.applied_per_beat()
    macs = sum(applied[layer.name] * layer.matrix.size for layer in program.layers_in_order())
    writes = reprogrammings_per_beat(len(blocks), core.count, beats_per_load)
    compute_us = compute_time_us(
        passes=passes,
        num_cores=min(core.count, len(blocks)),
        depth=len(program.layers_in_order()),
        clock_ghz=timing.clock_ghz,
        time_of_flight_ns=timing.time_of_flight_ns,
    )
    writing_us = 0.0 if not writes else None
    if writes and timing.reconfiguration_us is not None:
        writing_us = writes * timing.reconfiguration_us
    busy_us = None if compute_us is None or writing_us is None else compute_us + writing_us
    ledger = _Ledger(energy={}, missing=[])
    _conversions(ledger, profile, products, passes)
    _light(ledger, profile, compute_us, min(core.count, len(blocks)))
    _tuning(ledger, profile, busy_us, min(core.count, len(blocks)), mean_phase_rad)
    if timing.clock_ghz is None:
        ledger.missing.append("timing.clock_ghz")
    if writing_us is None:
        ledger.missing.append("timing.reconfiguration_us")
    reported = profile.energy.reported_pj_per_mac
    return Cost(
        profile=profile.name,
        kind=profile.kind,
        matrices=len(blocks),
        cores=core.count,
        products=products,
        passes=passes,
        macs=macs,
        reprogrammings=writes,
        compute_us=compute_us,
        reprogramming_us=writing_us,
        energy_pj=ledger.energy,
        missing=tuple(dict.fromkeys(ledger.missing)),
        area_mm2=profile.energy.area_mm2,
        reported_energy_pj=(
            None if reported is None else reported * products * core.rows * core.cols
        ),
        digital_energy_pj=macs * digital_pj_per_mac,
        digital_pj_per_mac=digital_pj_per_mac,
    )


def reprogrammings_per_beat(num_matrices: int, num_cores: int, beats_per_load: int = 1) -> float:
    """Matrices written per beat: none where each has a core of its own, else each once per load."""
    return num_matrices / beats_per_load if num_matrices > num_cores else 0.0


def compute_time_us(
    *,
    passes: int,
    num_cores: int,
    depth: int,
    clock_ghz: float | None,
    time_of_flight_ns: float | None,
) -> float | None:
    """``passes / (cores · f) + depth · t_flight`` in µs: layers wait for one another (derived)."""
    if clock_ghz is None:
        return None
    return (passes / num_cores / clock_ghz + depth * (time_of_flight_ns or 0.0)) * 1e-3


def phase_shifters(rows: int, cols: int) -> int:
    """Heaters of two meshes of N(N−1)/2 interferometers with N output phases, and attenuators.

    ``rows² + cols² + min(rows, cols)``: two phases per interferometer (Clements et al. 2016, Reck
    et al. 1994) and one per mode and attenuator.
    """
    return rows**2 + cols**2 + min(rows, cols)


def tuned_elements(profile: HardwareProfile) -> int:
    """Rings of a bank, cells of a crossbar, or interferometers of a mesh, per core."""
    rows, cols = profile.core.rows, profile.core.cols
    if profile.kind == "mzi":
        return rows * (rows - 1) // 2 + cols * (cols - 1) // 2 + min(rows, cols)
    return rows * cols


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ledger:
    """Items as they are added, and what kept others away."""

    energy: dict[str, float]
    missing: list[str]

    def conversions(self, item: str, key: str, count: float, each_pj: float | None) -> None:
        """``count`` events of ``each_pj``."""
        if each_pj is None:
            self.missing.append(key)
        else:
            self.energy[item] = count * each_pj

    def power(self, item: str, key: str, power_mw: float | None, time_us: float | None) -> None:
        """A power for a time; a time that is not known is reported where it is computed."""
        if power_mw is None:
            self.missing.append(key)
        elif time_us is not None:
            self.energy[item] = power_mw * time_us * PJ_PER_MW_US


def _conversions(ledger: _Ledger, profile: HardwareProfile, products: int, passes: int) -> None:
    """One DAC and modulator sample per column and pass, one ADC sample per row and conversion.

    A difference that is taken in the analog domain is converted once per product.
    """
    core, energy = profile.core, profile.energy
    digital = profile.input.encoding != "field" and profile.input.difference == "digital"
    read = passes if digital else products
    ledger.conversions("dac", "energy.dac_pj", passes * core.cols, energy.dac_pj)
    ledger.conversions("modulator", "energy.modulator_pj", passes * core.cols, energy.modulator_pj)
    ledger.conversions("adc", "energy.adc_pj", read * core.rows, energy.adc_pj)


def _light(ledger: _Ledger, profile: HardwareProfile, compute_us: float | None, cores: int) -> None:
    """Lasers and receivers, on while the core computes."""
    core, optics, energy = profile.core, profile.optics, profile.energy
    laser_mw = None
    if optics.laser_power_mw is not None and energy.laser_wall_plug is not None:
        light_mw = core.cols * optics.laser_power_mw + core.rows * (optics.lo_power_mw or 0.0)
        laser_mw = cores * light_mw / energy.laser_wall_plug
    key = "optics.laser_power_mw" if optics.laser_power_mw is None else "energy.laser_wall_plug"
    ledger.power("laser", key, laser_mw, compute_us)
    receiver_mw = None if energy.receiver_mw is None else cores * core.rows * energy.receiver_mw
    ledger.power("receiver", "energy.receiver_mw", receiver_mw, compute_us)


def _tuning(
    ledger: _Ledger,
    profile: HardwareProfile,
    busy_us: float | None,
    cores: int,
    mean_phase_rad: float,
) -> None:
    """Heaters hold their phases while the core computes and while it is written.

    Of phase-change cells nothing is asked: they keep their state without power.
    """
    core, heater, energy = profile.core, profile.heater, profile.energy
    if energy.element_mw is not None:
        power_mw = cores * tuned_elements(profile) * energy.element_mw
        ledger.power("tuning", "energy.element_mw", power_mw, busy_us)
    elif profile.kind == "mrr":
        ledger.missing.append("energy.element_mw")
    if profile.kind == "mzi":
        heaters = cores * phase_shifters(core.rows, core.cols)
        power_mw = None
        if heater.power_per_pi_mw is not None:
            power_mw = heaters * heater.power_per_pi_mw * mean_phase_rad / math.pi
        ledger.power("heater", "heater.power_per_pi_mw", power_mw, busy_us)
