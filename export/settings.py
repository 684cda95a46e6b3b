"""Device settings of every block, compiled for the profile, and the matrix they realise.

The device models need torch (the extra ``train``); without it a bundle's settings can be read but
not realised again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from export.findings import Finding, finding
from export.formats import json_bytes, read_model
from photonic.errors import BundleError, PhotonicError
from photonic.profile import HardwareProfile
from photonic.program import Block, Program


class BlockSettings(BaseModel):
    """``settings/NAME.json``: what to program, what it gives, and how far that is from the matrix.

    ``error_frobenius`` is ‖W_realised − W‖ and ``relative_error`` that over ‖W‖ (0 for a zero
    matrix); the realised matrix is that of a core without fabrication errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: str
    kind: str
    settings: dict[str, Any]
    dac_codes: dict[str, Any]
    realised: list[list[float]]
    error_frobenius: float
    relative_error: float


def compile_settings(blocks: Sequence[Block], profile: HardwareProfile) -> dict[str, BlockSettings]:
    """Settings of each block on an ideal core of ``profile``.

    Raises:
        ProfileError: a kind that nobody registered.
    """
    from photonic.devices import device_for

    device = device_for(profile)
    wanted = np.stack([block.matrix for block in blocks])
    settings = {key: np.asarray(values) for key, values in device.compile(wanted).items()}
    realised = device.realise(settings)[0].double().numpy()
    return {
        block.name: BlockSettings(
            block=block.name,
            kind=profile.kind,
            settings={key: array[i].tolist() for key, array in settings.items()},
            dac_codes=dac_codes(
                {key: array[i].tolist() for key, array in settings.items()}, profile
            ),
            realised=realised[i].tolist(),
            error_frobenius=float(np.linalg.norm(realised[i] - block.matrix)),
            relative_error=relative_error(realised[i], block.matrix),
        )
        for i, block in enumerate(blocks)
    }


def relative_error(realised: np.ndarray, wanted: np.ndarray) -> float:
    """‖realised − wanted‖ / ‖wanted‖ (Frobenius); 0 for a zero matrix."""
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(realised - wanted)) / size if size else 0.0


def check_settings(program: Program, profile: HardwareProfile) -> list[Finding]:
    """Findings about what the compiled settings realise on an ideal core.

    The error of a layer is held to the profile's least SQNR: to the chip it is the same whether the
    weights' bits or the phases' bits cost the accuracy. Needs torch; says so where it is missing.
    """
    blocks = program.blocks(profile.core.rows, profile.core.cols)
    try:
        compiled = compile_settings(blocks, profile)
    except ModuleNotFoundError as error:
        what = f"settings not compiled here: {error.name} is not installed"
        return [finding("SET002", "info", what, value=profile.kind)]
    except PhotonicError as error:
        return [finding("SET002", "error", str(error), value=profile.kind)]
    limit = 10.0 ** (-profile.limits.min_sqnr_db / 20.0)
    findings = []
    for layer in program.layers_in_order():
        mine = [block for block in blocks if block.layer == layer.name]
        wanted = np.stack([block.matrix for block in mine]).astype(np.float64)
        realised = np.array([compiled[block.name].realised for block in mine])
        error = relative_error(realised, wanted)
        if error > limit:
            what = f"realised with a relative error of {error:.3g}; the limit is {limit:.3g}"
            findings.append(
                finding("SET001", "error", what, layer=layer.name, value=error, limit=limit)
            )
    return findings


def dac_codes(settings: Mapping[str, Any], profile: HardwareProfile) -> dict[str, Any]:
    """Integer codes of those settings of a block that the profile gives a DAC with bits."""
    converters, ring, pcm = profile.converters(), profile.ring, profile.pcm
    phase_bits = profile.optics.phase_bits
    steps = {
        "weight": converters and converters.weight.step,
        "phases_rad": phase_bits and 2.0 * np.pi / 2**phase_bits,
        "detuning": ring.tuning_bits and ring.max_detuning / (2**ring.tuning_bits - 1),
        "cells": pcm.level_bits and 1.0 / 2**pcm.level_bits,
    }
    return {
        key: np.rint(np.asarray(settings[key]) / step).astype(np.int64).tolist()
        for key, step in steps.items()
        if step and key in settings
    }


def realise(made: Sequence[BlockSettings], profile: HardwareProfile) -> np.ndarray:
    """The matrices that settings give on an ideal core, ``(blocks, rows, cols)`` float64.

    Raises:
        BundleError: settings that the device does not take.
    """
    from photonic.devices import device_for

    names = made[0].settings.keys()
    for block in made:
        if block.settings.keys() != names:
            raise BundleError(
                f"settings/{block.block}.json: settings {', '.join(block.settings)}; "
                f"the first block has {', '.join(names)}"
            )
    try:
        arrays = {name: np.array([block.settings[name] for block in made]) for name in names}
        return device_for(profile).realise(arrays)[0].double().numpy()
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise BundleError(f"settings/: not settings of kind {profile.kind!r}: {error}") from None


def settings_files(made: Mapping[str, BlockSettings]) -> dict[str, bytes]:
    """``settings/NAME.json`` of each block."""
    return {
        f"settings/{name}.json": json_bytes(settings.model_dump(mode="json"))
        for name, settings in made.items()
    }


def read_settings(files: Mapping[str, bytes], block: str) -> BlockSettings:
    """Inverse of :func:`settings_files` for one block.

    Raises:
        BundleError: missing, damaged, or of another block.
    """
    name = f"settings/{block}.json"
    settings = read_model(files, name, BlockSettings)
    if settings.block != block:
        raise BundleError(f"{name}: settings of block {settings.block!r}")
    return settings
