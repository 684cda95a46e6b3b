"""The manifest of a bundle: what it is, what it takes, and the SHA-256 of every file."""

from __future__ import annotations

import json
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SCHEMA_FILE = "manifest.v1.schema.json"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputEntry(_Entry):
    """One input of the graphs: float32 ``(batch, tokens, channels)``, values in [-1, 1]."""

    name: str
    tokens: int = Field(ge=1)
    channels: int = Field(ge=1)


class LayerSummary(_Entry):
    """One layer, in execution order; its numbers stand in ``layers/``."""

    name: str
    out: int = Field(ge=1)
    fan_in: int = Field(ge=1)
    blocks: int = Field(ge=1, description="matrices on the core")
    applied_per_beat: int = Field(ge=0)


class ProfileEntry(_Entry):
    """The hardware the bundle was made for; the whole of it stands in ``profile.json``."""

    name: str
    kind: str
    hash: Sha256


class Manifest(_Entry):
    """``manifest.json``; its JSON Schema is shipped beside this module."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    workload: str
    label_map: str
    classes: tuple[str, ...] = Field(min_length=2)
    decision: dict[str, Any] = Field(description="kind, classes, threshold or offsets")
    inputs: tuple[InputEntry, ...] = Field(min_length=1)
    preprocessing: dict[str, Any] = Field(description="how a signal becomes the inputs")
    split: dict[str, Any] = Field(description="what the metrics were measured on")
    seed: int
    layers: tuple[LayerSummary, ...]
    quantized: bool = Field(description="whether model_qcdq.onnx, codes and tables are there")
    profile: ProfileEntry
    metrics: dict[str, Any] = Field(description="of the run, at export time")
    versions: dict[str, str] = Field(description="of the tools that trained and exported")
    opset: int
    files: dict[str, Sha256] = Field(description="SHA-256 of every other file of the bundle")


def json_schema() -> dict[str, Any]:
    """JSON Schema of ``manifest.json`` in this schema version."""
    return Manifest.model_json_schema()


def shipped_json_schema() -> dict[str, Any]:
    """The schema as the file that is installed with the package."""
    return json.loads(resources.files("export").joinpath(SCHEMA_FILE).read_text(encoding="utf-8"))
