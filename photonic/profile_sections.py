"""The sections of a hardware profile: every key with its unit, range and meaning.

``None`` means: the hardware has no such limit, or nobody stated the value. A device kind refuses a
profile that sets a key it cannot honour (see :mod:`photonic.devices.base`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Bits = Annotated[int, Field(ge=2, le=16)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Encoding = Literal["field", "intensity-differential", "intensity-offset"]


class Section(BaseModel):
    """Base of every section: unknown keys refused, no silent conversion, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Core(Section):
    """The optical core: one product of a ``cols``-vector with a ``rows × cols`` matrix."""

    rows: int = Field(default=4, ge=1, le=1024)
    cols: int = Field(default=4, ge=1, le=1024)
    count: int = Field(default=1, ge=1, description="cores on the chip: matrices held at once")


class Weight(Section):
    """Stored matrix elements."""

    full_scale: Positive = 1.0
    bits: Bits | None = None
    symmetric: bool = Field(
        default=False, description="no lowest code, as a difference of two positive elements"
    )
    programming_sigma: NonNegative = Field(
        default=0.0, description="static error of each element, as a fraction of full_scale"
    )


class InputStage(Section):
    """DAC and modulator."""

    full_scale: Positive = 1.0
    bits: Bits | None = Field(default=None, description="of the values that the model sees")
    encoding: Encoding = "field"
    noise_sigma: NonNegative = Field(
        default=0.0, description="per sample, as a fraction of full_scale"
    )
    snr_db: Finite | None = Field(
        default=None,
        description="mean square of a product's inputs, per beat, over that of their noise",
    )
    extinction_ratio_db: Positive | None = Field(
        default=None, description="power ratio of the modulator's brightest to darkest state"
    )
    peak_attenuation: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="sin(m)/m: what a full-scale value keeps of itself beside small values",
    )
    curve: tuple[float, ...] | None = Field(
        default=None,
        strict=False,
        min_length=2,
        description="measured modulator curve: what arrives at drives from 0 to full scale, "
        "equally spaced, odd in the drive; instead of peak_attenuation",
    )
    predistortion: bool = Field(
        default=False, description="the inverse of the modulator's curve stands before the DAC"
    )
    dac_bits: Bits | None = Field(
        default=None, description="of the converter itself, with predistortion; at least bits + 2"
    )
    difference: Literal["analog", "digital"] = Field(
        default="analog", description="where the two halves of an intensity encoding are subtracted"
    )
    doubled: bool = Field(
        default=False, description="both halves of a differential encoding have their own hardware"
    )


class OutputStage(Section):
    """Detector, electrical gain and ADC."""

    full_scale: Positive = Field(default=4.0, description="after the gain")
    bits: Bits | None = None
    effective_bits: Positive | None = Field(
        default=None, description="ENOB: the rest of the converter's error is noise"
    )
    noise_sigma: NonNegative = Field(
        default=0.0,
        description="at the detector, before the gain, per sample, in units of weight × input",
    )
    gain_bits: Annotated[int, Field(ge=1, le=24)] = Field(
        default=8, description="significand of the programmable gain"
    )
    gain_sigma: NonNegative = Field(
        default=0.0, description="static relative gain error of each output"
    )
    offset_sigma: NonNegative = Field(
        default=0.0, description="static offset of each output, as noise_sigma"
    )


class Optics(Section):
    """Light: sources, losses, the mesh or bank it passes, the detector's responsivity."""

    wavelength_nm: Positive | None = None
    laser_power_mw: Positive | None = Field(default=None, description="per input channel")
    lo_power_mw: Positive | None = Field(
        default=None, description="local oscillator of a homodyne receiver, per output"
    )
    coupler_loss_db: NonNegative = Field(
        default=0.0, description="power; chip in and out together, and everything passed once"
    )
    modulator_loss_db: NonNegative = Field(default=0.0, description="power")
    element_loss_db: NonNegative = Field(
        default=0.0, description="power; of each interferometer, ring or cell on the path"
    )
    responsivity_a_per_w: Positive = 1.0
    sensitivity_dbm: Finite | None = Field(
        default=None, description="least power that the photodiode resolves"
    )
    saturation_dbm: Finite | None = Field(
        default=None, description="most power that the photodiode takes"
    )
    layout: Literal["clements", "reck"] = Field(default="clements", description="of the mesh")
    edge_dummies: bool = Field(
        default=False, description="dummy elements make every path through the mesh equally lossy"
    )
    phase_bits: Bits | None = Field(default=None, description="uniform codes over 2π")
    phase_sigma_rad: NonNegative = Field(default=0.0, description="static error of each phase")
    splitter_sigma_rad: NonNegative = Field(
        default=0.0, description="static error of each splitter's angle from π/4"
    )
    cold_start: bool = Field(
        default=False, description="unknown phase offsets, uniform over 2π: needs calibration"
    )


class Heater(Section):
    """Thermo-optic phase shifters: crosstalk, φ(V) law and limits."""

    crosstalk: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        default=0.0, description="share of a heater's phase that reaches a neighbour one pitch off"
    )
    crosstalk_pitch: Positive = Field(
        default=0.5, description="pitches over which crosstalk falls to 1/e"
    )
    compensated: bool = Field(
        default=False, description="phases are compiled with the inverse of the crosstalk"
    )
    power_per_pi_mw: Positive | None = None
    quadratic_rad_per_v2: Positive | None = Field(
        default=None, description="φ(V) = quadratic·V² + cubic·V³"
    )
    cubic_rad_per_v3: Finite = 0.0
    min_voltage_v: NonNegative = 0.0
    max_voltage_v: Positive | None = None
    max_power_mw: Positive | None = Field(default=None, description="all heaters of a core")


class Ring(Section):
    """Add-drop microrings of a weight bank; detunings in half-linewidths."""

    drop_on_resonance: Annotated[float, Field(gt=0, le=1)] = 1.0
    through_on_resonance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_detuning: Positive = Field(default=10.0, description="reach of the heater")
    spacing: Positive | None = Field(
        default=None, description="of neighbouring channels; without it no spectral crosstalk"
    )
    tuning_bits: Bits | None = Field(default=None, description="uniform codes over max_detuning")
    tuning_sigma: NonNegative = Field(default=0.0, description="static error of each detuning")
    half_linewidth_pm: Positive | None = None
    free_spectral_range_nm: Positive | None = None


class Pcm(Section):
    """Cells of phase-change material; transmissions as fractions of the full contrast."""

    level_bits: Bits | None = Field(default=None, description="2^bits levels in each cell")
    cell_sigma: NonNegative = Field(
        default=0.0, description="static programming error of each cell's transmission"
    )
    read_sigma: NonNegative = Field(
        default=0.0, description="relative fluctuation of each cell's transmission per read"
    )
    drift_exponent: NonNegative = Field(default=0.0, description="ν of (t/t₀)^(−ν)")
    drift_time_s: Positive = Field(default=1.0, description="t, since programming")
    drift_reference_s: Positive = Field(default=1.0, description="t₀")
    columns_in_turn: bool = Field(
        default=False, description="positive and negative cells are read one after the other"
    )


class Noise(Section):
    """Receiver noise from physical parameters; nothing is added without a bandwidth."""

    bandwidth_ghz: Positive | None = Field(
        default=None, description="noise bandwidth: π/2 · f₃dB for a single pole"
    )
    shot: bool = True
    rin_db_per_hz: Finite | None = Field(default=None, description="relative intensity noise")
    cmrr_db: NonNegative | None = Field(
        default=None, description="rejection of the local oscillator's RIN; perfect without it"
    )
    dark_current_na: NonNegative = 0.0
    load_ohm: Positive | None = Field(default=None, description="thermal noise 4kTB/R")
    temperature_k: Positive = 300.0
    amplifier_pa_per_rthz: NonNegative | None = Field(
        default=None, description="input-referred current noise of the amplifier"
    )


class Drift(Section):
    """Temperature between two calibrations."""

    temperature_k_per_rts: NonNegative = Field(
        default=0.0, description="random walk of the core's temperature, per √second"
    )
    recalibration_interval_s: NonNegative = 0.0
    phase_rad_per_k: Finite = Field(default=0.0, description="dφ/dT of every phase shifter")
    wavelength_pm_per_k: Finite = Field(default=83.0, description="dλ/dT of every ring")


class Timing(Section):
    """Clock and delays."""

    clock_ghz: Positive | None = None
    time_of_flight_ns: NonNegative | None = None
    reconfiguration_us: NonNegative | None = None


class Energy(Section):
    """What a conversion, a detector and a laser cost."""

    dac_pj: NonNegative | None = Field(default=None, description="per conversion")
    adc_pj: NonNegative | None = Field(default=None, description="per conversion")
    modulator_pj: NonNegative | None = Field(default=None, description="per symbol")
    receiver_mw: NonNegative | None = Field(default=None, description="amplifier, per output")
    element_mw: NonNegative | None = Field(
        default=None, description="static tuning power of each ring or interferometer"
    )
    laser_wall_plug: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="optical over electrical power"
    )
    reported_pj_per_mac: Positive | None = Field(
        default=None, description="of the whole chip, as its makers state it"
    )
    area_mm2: Positive | None = Field(default=None, description="of the chip")


class Limits(Section):
    """What the hardware check holds a model to."""

    max_gain: Positive = 16.0
    min_sqnr_db: float = Field(
        default=6.0, description="least signal to quantisation noise of a matrix"
    )
    max_score_drop: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="score that the bits alone may cost on the reference sample"
    )
    max_clip_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="share of ADC samples that may clip on real data"
    )
    min_activation_bits: Annotated[int, Field(ge=1)] = 4
    latency_us: Positive | None = Field(default=None, description="budget of one beat")
    energy_uj: Positive | None = Field(default=None, description="budget of one beat")
    max_insertion_loss_db: Positive | None = Field(default=None, description="laser to detector")
