"""Hardware profiles: what one photonic core is, as a validated TOML file.

Units stand in the names. Unknown keys are refused, ranges are checked, and every value that was
published, derived or assumed says so under ``[source]``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import tomllib
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from photonic.errors import ProfileError
from photonic.profile_sections import (
    Core,
    Drift,
    Energy,
    Heater,
    InputStage,
    Limits,
    Noise,
    Optics,
    OutputStage,
    Pcm,
    Ring,
    Section,
    Timing,
    Weight,
)
from photonic.quantize import Quantizer

SCHEMA_VERSION = 1

Provenance = Literal["reported", "derived", "estimated", "assumed"]


class HardwareProfile(Section):
    """One photonic core and its converters; see the TOML files of ``hw_profiles``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(pattern=r"^[a-z0-9_]+$")
    kind: str = "generic"
    description: str
    citations: tuple[str, ...] = Field(default=(), strict=False)
    core: Core = Field(default_factory=Core)
    weight: Weight = Field(default_factory=Weight)
    input: InputStage = Field(default_factory=InputStage)
    output: OutputStage = Field(default_factory=OutputStage)
    optics: Optics = Field(default_factory=Optics)
    heater: Heater = Field(default_factory=Heater)
    ring: Ring = Field(default_factory=Ring)
    pcm: Pcm = Field(default_factory=Pcm)
    noise: Noise = Field(default_factory=Noise)
    drift: Drift = Field(default_factory=Drift)
    timing: Timing = Field(default_factory=Timing)
    energy: Energy = Field(default_factory=Energy)
    limits: Limits = Field(default_factory=Limits)
    source: dict[str, str] = Field(
        default_factory=dict,
        description="provenance of each value: 'section.key' → 'reported | derived | estimated | "
        "assumed: where it comes from'",
    )

    @model_validator(mode="after")
    def _sources_name_real_keys(self) -> Self:
        for key, note in self.source.items():
            section, _, name = key.partition(".")
            if name not in type(getattr(self, section, self)).model_fields:
                raise ValueError(f"source of {key!r}: the profile has no such value")
            if note.split(":")[0].strip() not in Provenance.__args__:
                raise ValueError(
                    f"source of {key!r}: must begin with one of {', '.join(Provenance.__args__)}"
                )
        return self

    @model_validator(mode="after")
    def _input_holds_together(self) -> Self:
        stage = self.input
        if self.kind == "mzi" and stage.encoding != "field":
            raise ValueError(
                f"input.encoding {stage.encoding!r}: a coherent mesh takes 'field' only"
            )
        if self.kind in ("mrr", "pcm") and stage.encoding == "field":
            raise ValueError(
                f"input.encoding 'field': kind {self.kind!r} adds powers; choose "
                "'intensity-differential' or 'intensity-offset'"
            )
        if stage.curve is not None:
            if stage.peak_attenuation is not None:
                raise ValueError("input.curve stands instead of input.peak_attenuation: give one")
            rising = all(a < b for a, b in pairwise(stage.curve))
            if stage.curve[0] != 0.0 or not rising or not math.isfinite(stage.curve[-1]):
                raise ValueError("input.curve: must begin at 0, rise all the way and stay finite")
        elif stage.predistortion and (stage.peak_attenuation or 0.0) < 2 / math.pi:
            raise ValueError(
                "input.predistortion: needs input.curve, or input.peak_attenuation of at least "
                "2/π = 0.637; beyond that the modulator's curve turns back and has no inverse"
            )
        if stage.dac_bits is not None and not (
            stage.predistortion and stage.bits and stage.dac_bits >= stage.bits + 2
        ):
            raise ValueError(
                f"input.dac_bits = {stage.dac_bits}: belongs to predistortion and must be at least "
                "input.bits + 2"
            )
        return self

    @model_validator(mode="after")
    def _converter_is_no_better_than_its_bits(self) -> Self:
        bits, effective = self.output.bits, self.output.effective_bits
        if effective is not None and (bits is None or effective > bits):
            raise ValueError(
                f"output.effective_bits = {effective}: needs output.bits, and at most that"
            )
        return self

    @model_validator(mode="after")
    def _channels_fit_the_free_spectral_range(self) -> Self:
        ring = self.ring
        if ring.free_spectral_range_nm is None or ring.spacing is None:
            return self
        if ring.half_linewidth_pm is None:
            raise ValueError("ring.free_spectral_range_nm: needs ring.half_linewidth_pm beside it")
        used_nm = self.core.cols * ring.spacing * ring.half_linewidth_pm / 1000
        if used_nm > ring.free_spectral_range_nm:
            raise ValueError(
                f"{self.core.cols} channels of ring.spacing take {used_nm:.3g} nm, more than "
                f"ring.free_spectral_range_nm = {ring.free_spectral_range_nm:g}"
            )
        return self

    def hash(self) -> str:
        """SHA-256 of the profile's values; two files with the same values share it."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def converters(self) -> Converters | None:
        """The converters of this core, or ``None`` when any of the three has no bit width.

        Raises:
            ProfileError: a digital difference, which rounds twice where the integer reference
                rounds once.
        """
        bits = (self.input.bits, self.weight.bits, self.output.bits)
        if None in bits:
            return None
        if self.input.encoding != "field" and self.input.difference == "digital":
            raise ProfileError(
                f"profile {self.name!r}: input.difference 'digital' rounds twice, which a "
                "quantised model and its graph do not; simulate it, or choose 'analog'"
            )
        symmetric = self.input.encoding == "intensity-differential"
        dac_bits, weight_bits, adc_bits = (int(b or 0) for b in bits)
        return Converters(
            dac=Quantizer(bits=dac_bits, full_scale=self.input.full_scale, symmetric=symmetric),
            weight=Quantizer(
                bits=weight_bits,
                full_scale=self.weight.full_scale,
                symmetric=self.weight.symmetric,
            ),
            adc=Quantizer(bits=adc_bits, full_scale=self.output.full_scale),
            gain_bits=self.output.gain_bits,
            rows=self.core.rows,
            cols=self.core.cols,
        )

    def passes(self, *, nonnegative: bool = False) -> int:
        """How often light passes the core for one product.

        A coherent field with homodyne detection needs one pass. Powers have no sign: a differential
        input takes two (one for a vector ``≥ 0``, or with doubled hardware), an offset input one,
        from which the measured ``W·1`` is taken off. Columns of cells read in turn double it.
        """
        stage = self.input
        differential = stage.encoding == "intensity-differential"
        halves = 2 if differential and not (nonnegative or stage.doubled) else 1
        return halves * (2 if self.pcm.columns_in_turn else 1)

    def with_value(self, key: str, value: Any) -> HardwareProfile:
        """A copy with one value changed, named by ``section.key``.

        Raises:
            ProfileError: unknown key (the closest names are listed) or a value out of range.
        """
        known = self.keys()
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3, cutoff=0.4) or known
            raise ProfileError(
                f"profile {self.name!r} has no value {key!r}; did you mean {', '.join(close)}?"
            )
        section, _, name = key.partition(".")
        data = self.model_dump()
        if name:
            data[section][name] = value
        else:
            data[section] = value
        return parse_profile(data, where=f"profile {self.name!r}")

    def describe(self, key: str) -> str:
        """What the value ``section.key`` is, in words; empty where its name says it all."""
        section, _, name = key.partition(".")
        known = type(getattr(self, section, self)).model_fields
        return (known[name].description or "") if name in known else ""

    def keys(self) -> list[str]:
        """Every value as ``section.key``."""
        sections = {n: getattr(self, n) for n in type(self).model_fields}
        return [
            f"{n}.{key}"
            for n, section in sections.items()
            if isinstance(section, Section)
            for key in type(section).model_fields
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converters:
    """The three grids of a core, the significand of its gain, and the core's shape."""

    dac: Quantizer
    weight: Quantizer
    adc: Quantizer
    gain_bits: int
    rows: int
    cols: int


def parse_profile(data: dict[str, Any], *, where: str) -> HardwareProfile:
    """A profile from plain values.

    Raises:
        ProfileError: one line per fault: where, key, what is wrong and what is allowed.
    """
    try:
        return HardwareProfile.model_validate(data)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"]) or "profile"
            given = "" if fault["type"] in {"missing", "value_error"} else f" = {fault['input']!r}"
            lines.append(f"{where}: {key}{given}: {_advice(fault)}")
        raise ProfileError("\n".join(lines)) from None


def _advice(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        section = HardwareProfile
        for part in fault["loc"][:-1]:
            annotation = section.model_fields[part].annotation
            section = annotation if isinstance(annotation, type) else section
        return f"unknown key; known are {', '.join(section.model_fields)}"
    return fault["msg"].removeprefix("Value error, ")


def load_profile(name_or_path: str | Path) -> HardwareProfile:
    """A shipped profile by name, or one of the user's own by path to its TOML file.

    Raises:
        ProfileError: no such profile (the shipped ones are listed), unreadable TOML, bad values.
    """
    text = str(name_or_path)
    if text in shipped_profiles():
        source = resources.files("hw_profiles").joinpath(f"{text}.toml")
        return parse_profile(
            tomllib.loads(source.read_text(encoding="utf-8")), where=f"{text}.toml"
        )
    path = Path(text)
    if not path.is_file():
        raise ProfileError(
            f"profile {text!r} is neither a file nor a shipped profile; "
            f"shipped are {', '.join(shipped_profiles())}"
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not valid TOML: {error}") from None
    return parse_profile(data, where=str(path))


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("hw_profiles")
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))
