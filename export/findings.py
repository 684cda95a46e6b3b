"""Findings of the hardware check: stable codes, what they mean, and what to do about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Code:
    """What a finding of one code means, what to do about it, and the profile key of its limit."""

    meaning: str
    advice: str
    limit: str = ""


CODES: dict[str, Code] = {
    "BND001": Code("a file of the bundle is missing", "export the run again"),
    "BND002": Code(
        "a file is not the one that was written (SHA-256)",
        "export the run again, or restore the file",
    ),
    "BND003": Code("a file is not listed in the manifest", "remove it; no command reads it"),
    "BND004": Code("a file cannot be read or does not fit the others", "export the run again"),
    "PRF001": Code(
        "the profile is not the one the bundle was made for",
        "export the run again for this profile before the codes and settings are used",
    ),
    "PRF002": Code(
        "profile.json is not the profile that the manifest names", "export the run again"
    ),
    "BLK001": Code(
        "a layer is larger than the core and cut into tiles",
        "nothing; the partial sums are added digitally",
    ),
    "BLK002": Code(
        "blocks are smaller than the core; the rest is padded with zeros",
        "nothing, or fill the core with more channels",
    ),
    "BLK003": Code(
        "the core is smaller than the block the student is built from",
        "expect more passes per beat, or use a core of at least this size",
    ),
    "OPS001": Code(
        "a digital division between layers (scale_to_unit)",
        "train with tanh and a learned gain, which needs none",
    ),
    "OPS002": Code(
        "a step that is neither a product with blocks nor one of the digital steps",
        "build the model from the toolkit's layers",
    ),
    "VAL001": Code("a value is NaN or infinite", "train again; look at the log for divergence"),
    "VAL002": Code(
        "a weight lies outside what the core can store",
        "train with the value constraint at the profile's weight range",
        "weight.full_scale",
    ),
    "VAL003": Code("a matrix, or a row of it, is zero", "nothing, or train with fewer channels"),
    "GAN001": Code(
        "the electrical gain is above the amplifier's limit",
        "train with a smaller gain bound, or scale the layer's weights up",
        "limits.max_gain",
    ),
    "GAN002": Code(
        "gain × spectral norm is above the amplifier's limit on a passive mesh",
        "train with a smaller constraint scale or gain",
        "limits.max_gain",
    ),
    "QNT001": Code(
        "weights are too coarse: signal to quantisation noise below the limit",
        "train with the profile's bits (QAT), or use a profile with more weight bits",
        "limits.min_sqnr_db",
    ),
    "QNT002": Code(
        "weights clip at the highest code", "nothing if few; the highest code lies 1 LSB inside"
    ),
    "QNT003": Code(
        "activations have fewer bits than the limit",
        "use a profile with more DAC bits",
        "limits.min_activation_bits",
    ),
    "QNT004": Code(
        "float32 cannot hold this layer's products exactly; the graph uses float64 there",
        "nothing; fewer bits of gain, weights or inputs make the graph faster",
    ),
    "QNT005": Code(
        "the profile has no bit widths: there is no deployed model",
        "export for a profile with DAC, weight and ADC bits to have one",
    ),
    "QNT006": Code(
        "the bits of the core cost more of the score than the limit allows",
        "train with this profile (--profile), or use one with more bits",
        "limits.max_score_drop",
    ),
    "ADC001": Code(
        "clipping at the ADC changes more values on real data than the limit allows",
        "train with the profile (a larger --overflow-weight), lower the gain, or raise "
        "output.full_scale",
        "limits.max_clip_rate",
    ),
    "ADC002": Code(
        "an analog output uses a small part of the ADC's range",
        "raise the gain, or lower output.full_scale",
    ),
    "ADC003": Code(
        "an analog output has the same code on all data", "train again; this channel is dead"
    ),
    "ADC004": Code(
        "many ADC samples clip, but the activation behind is saturated there",
        "nothing; a lower gain would lose resolution where it matters",
        "limits.max_clip_rate",
    ),
    "SET001": Code(
        "the compiled settings realise the matrix too coarsely",
        "use more bits for the settings, or retrain with this profile",
        "limits.min_sqnr_db",
    ),
    "SET002": Code(
        "the settings could not be compiled for this profile",
        "install the extra train, and see the message",
    ),
    "SET003": Code(
        "the matrices that the settings realise cost more of the score than the limit allows",
        "use more bits for the settings, or train with this profile (--profile)",
        "limits.max_score_drop",
    ),
    "COR001": Code(
        "more matrices than cores: cores are reprogrammed during every beat",
        "use a chip with more cores, or a student with fewer matrices",
        "core.count",
    ),
    "LAT001": Code(
        "a beat takes longer than the latency budget",
        "use more cores or faster reprogramming, or a smaller student",
        "limits.latency_us",
    ),
    "LAT002": Code(
        "the latency of a beat cannot be told: the profile lacks clock or reprogramming time",
        "add timing.clock_ghz and timing.reconfiguration_us to the profile",
        "limits.latency_us",
    ),
    "ENE001": Code(
        "a beat takes more energy than the budget",
        "use more cores or more beats per load, or a smaller student",
        "limits.energy_uj",
    ),
    "ENE002": Code(
        "the energy of a beat is known in part only: the profile lacks values",
        "add the keys that are named to the profile",
        "limits.energy_uj",
    ),
    "LNK001": Code(
        "more light is lost between laser and detector than the limit allows",
        "use fewer or less lossy elements on the path",
        "limits.max_insertion_loss_db",
    ),
    "LNK002": Code(
        "less light arrives than the photodiode resolves",
        "use more laser power or less loss",
        "optics.sensitivity_dbm",
    ),
    "LNK003": Code(
        "more light arrives than the photodiode takes",
        "use less laser power",
        "optics.saturation_dbm",
    ),
    "LNK004": Code(
        "receiver noise hides the ADC's last bit",
        "use more light, less bandwidth, or fewer ADC bits",
        "output.bits",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding: where, what was measured, what is allowed, and in words."""

    code: str
    severity: Severity
    layer: str | None = None
    value: float | str | None = None
    limit: float | str | None = None
    message: str


def finding(
    code: str,
    severity: Severity,
    what: str,
    *,
    layer: str | None = None,
    value: float | str | None = None,
    limit: float | str | None = None,
) -> Finding:
    """A finding whose message is ``what`` was measured and the advice of its code."""
    return Finding(
        code=code,
        severity=severity,
        layer=layer,
        value=value,
        limit=limit,
        message=f"{what}; {CODES[code].advice}",
    )


def verdict(findings: Sequence[Finding]) -> Verdict:
    """``fail`` with an error, ``warn`` with a warning, else ``pass``."""
    severities = {found.severity for found in findings}
    return "fail" if "error" in severities else "warn" if "warning" in severities else "pass"
