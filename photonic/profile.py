"""Hardware profiles: what one photonic core is, as a validated TOML file.

Units stand in the names. Unknown keys are refused, ranges are checked, and every value that was
published, derived or assumed says so under ``[source]``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from photonic.errors import ProfileError
from photonic.quantize import Quantizer

SCHEMA_VERSION = 1

Bits = Annotated[int, Field(ge=2, le=16)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Provenance = Literal["reported", "derived", "estimated", "assumed"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Core(_Section):
    """The optical core: one product of a ``cols``-vector with a ``rows × cols`` matrix."""

    rows: int = Field(default=4, ge=1, le=1024)
    cols: int = Field(default=4, ge=1, le=1024)
    count: int = Field(default=1, ge=1, description="cores on the chip: matrices held at once")


class Weight(_Section):
    """Stored matrix elements."""

    full_scale: Positive = 1.0
    bits: Bits | None = None
    programming_sigma: NonNegative = Field(
        default=0.0, description="static error of each element, as a fraction of full_scale"
    )


class InputStage(_Section):
    """DAC and modulator."""

    full_scale: Positive = 1.0
    bits: Bits | None = None
    encoding: Literal["field", "intensity-differential", "intensity-offset"] = "field"
    noise_sigma: NonNegative = Field(
        default=0.0, description="per sample, as a fraction of full_scale"
    )


class OutputStage(_Section):
    """Detector, electrical gain and ADC."""

    full_scale: Positive = Field(default=4.0, description="after the gain")
    bits: Bits | None = None
    noise_sigma: NonNegative = Field(
        default=0.0,
        description="at the detector, before the gain, per sample, in units of weight × input",
    )
    gain_bits: Annotated[int, Field(ge=1, le=24)] = Field(
        default=8, description="significand of the programmable gain"
    )


class Timing(_Section):
    """Clock and delays."""

    clock_ghz: Positive | None = None
    time_of_flight_ns: NonNegative | None = None
    reconfiguration_us: NonNegative | None = None


class Limits(_Section):
    """What the hardware check holds a model to."""

    max_gain: Positive = 16.0
    min_sqnr_db: float = Field(
        default=6.0, description="least signal to quantisation noise of a matrix"
    )
    max_clip_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="share of ADC samples that may clip on real data"
    )
    min_activation_bits: Annotated[int, Field(ge=1)] = 4
    latency_us: Positive | None = Field(default=None, description="budget of one beat")


class HardwareProfile(_Section):
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
    timing: Timing = Field(default_factory=Timing)
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
    def _intensity_needs_symmetric_optics(self) -> Self:
        if self.kind == "mzi" and self.input.encoding != "field":
            raise ValueError(
                f"input.encoding {self.input.encoding!r}: a coherent mesh takes 'field' only"
            )
        return self

    def hash(self) -> str:
        """SHA-256 of the profile's values; two files with the same values share it."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def converters(self) -> Converters | None:
        """The converters of this core, or ``None`` when any of the three has no bit width."""
        bits = (self.input.bits, self.weight.bits, self.output.bits)
        if None in bits:
            return None
        symmetric = self.input.encoding == "intensity-differential"
        dac_bits, weight_bits, adc_bits = (int(b or 0) for b in bits)
        return Converters(
            dac=Quantizer(bits=dac_bits, full_scale=self.input.full_scale, symmetric=symmetric),
            weight=Quantizer(bits=weight_bits, full_scale=self.weight.full_scale),
            adc=Quantizer(bits=adc_bits, full_scale=self.output.full_scale),
            gain_bits=self.output.gain_bits,
            rows=self.core.rows,
            cols=self.core.cols,
        )

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

    def keys(self) -> list[str]:
        """Every value as ``section.key``."""
        sections = {n: getattr(self, n) for n in type(self).model_fields}
        return [
            f"{n}.{key}"
            for n, section in sections.items()
            if isinstance(section, _Section)
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
