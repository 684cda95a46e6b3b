"""Findings about the numbers themselves: shape, range, gain, quantisation."""

from __future__ import annotations

import math

import numpy as np

from export.findings import Finding, finding
from photonic.profile import Converters, HardwareProfile
from photonic.program import Layer, Program, tile
from photonic.quantize import exact_product_bits

FLOAT32_BITS = 24
# Every student is built from blocks of this size; a smaller core cuts each of them up.
STUDENT_BLOCK = 4


def check_matrices(program: Program, profile: HardwareProfile) -> list[Finding]:
    """Findings about every layer's matrix, bias and gain."""
    findings = _check_core(profile) + _check_bits(profile)
    for layer in program.layers_in_order():
        bad = _check_finite(layer)
        findings += bad or [
            *_check_shape(layer, profile),
            *_check_values(layer, profile),
            *_check_gain(layer, profile),
            *_check_quantisation(layer, profile),
        ]
    return findings


def sqnr_db(matrix: np.ndarray, converters: Converters) -> float:
    """``10·log₁₀(Σ W² / Σ (Q(W) − W)²)`` in dB; infinite where nothing is lost."""
    values = matrix.astype(np.float64)
    noise = float(((converters.weight(values) - values) ** 2).sum())
    signal = float((values**2).sum())
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal else -math.inf


def _check_core(profile: HardwareProfile) -> list[Finding]:
    rows, cols = profile.core.rows, profile.core.cols
    if min(rows, cols) >= STUDENT_BLOCK:
        return []
    return [
        finding(
            "BLK003",
            "warning",
            f"the core is {rows}×{cols}, the students' blocks {STUDENT_BLOCK}×{STUDENT_BLOCK}",
            value=f"{rows}x{cols}",
            limit=f"{STUDENT_BLOCK}x{STUDENT_BLOCK}",
        )
    ]


def _check_bits(profile: HardwareProfile) -> list[Finding]:
    if profile.converters() is None:
        return [finding("QNT005", "info", f"profile {profile.name!r} has no bit widths")]
    bits, least = profile.input.bits or 0, profile.limits.min_activation_bits
    if bits >= least:
        return []
    what = f"activations pass a DAC of {bits} bits; the limit is {least}"
    return [finding("QNT003", "error", what, value=bits, limit=least)]


def _check_finite(layer: Layer) -> list[Finding]:
    parts = {"matrix": layer.matrix, "bias": layer.bias, "gain": np.float64(layer.gain)}
    return [
        finding("VAL001", "error", f"{name} of {layer.name!r} is not finite", layer=layer.name)
        for name, values in parts.items()
        if not np.isfinite(values).all()
    ]


def _check_shape(layer: Layer, profile: HardwareProfile) -> list[Finding]:
    core = profile.core
    out, fan_in = layer.matrix.shape
    down, across = tile(layer.matrix, core.rows, core.cols).shape[:2]
    findings = []
    if down * across > 1:
        what = f"{out}×{fan_in} takes {down}×{across} tiles of {core.rows}×{core.cols}"
        findings.append(finding("BLK001", "info", what, layer=layer.name, value=down * across))
    used = out * fan_in / (down * across * core.rows * core.cols)
    if used < 1.0:
        what = f"{out}×{fan_in} uses {used:.0%} of its tiles"
        findings.append(finding("BLK002", "info", what, layer=layer.name, value=used, limit=1.0))
    return findings


def _check_values(layer: Layer, profile: HardwareProfile) -> list[Finding]:
    findings = []
    largest, full = float(np.abs(layer.matrix).max()), profile.weight.full_scale
    if largest > full:
        what = f"weights reach {largest:.4g}; the core stores ±{full:g}"
        findings.append(
            finding("VAL002", "error", what, layer=layer.name, value=largest, limit=full)
        )
    empty = int((np.abs(layer.matrix).max(axis=1) == 0).sum())
    if empty:
        what = f"{empty} of {len(layer.matrix)} rows are zero"
        findings.append(finding("VAL003", "warning", what, layer=layer.name, value=empty, limit=0))
    return findings


def _check_gain(layer: Layer, profile: HardwareProfile) -> list[Finding]:
    most = profile.limits.max_gain
    if abs(layer.gain) > most:
        what = f"gain {layer.gain:.4g}; the limit is {most:g}"
        return [finding("GAN001", "error", what, layer=layer.name, value=layer.gain, limit=most)]
    if profile.kind != "mzi":
        return []
    # A passive mesh realises W / σ_max; the amplifier makes up for it.
    tiles = tile(layer.matrix.astype(np.float64), profile.core.rows, profile.core.cols)
    needed = layer.gain * float(np.linalg.norm(tiles, ord=2, axis=(-2, -1)).max())
    if needed <= most:
        return []
    what = f"gain × spectral norm is {needed:.4g}; the limit is {most:g}"
    return [finding("GAN002", "error", what, layer=layer.name, value=needed, limit=most)]


def _check_quantisation(layer: Layer, profile: HardwareProfile) -> list[Finding]:
    converters = profile.converters()
    if converters is None:
        return []
    findings = []
    ratio, least = sqnr_db(layer.matrix, converters), profile.limits.min_sqnr_db
    if ratio < least:
        what = f"{ratio:.1f} dB at {converters.weight.bits} bits; the limit is {least:g} dB"
        findings.append(
            finding("QNT001", "error", what, layer=layer.name, value=ratio, limit=least)
        )
    highest = converters.weight.values(converters.weight.max_code)
    share = float((layer.matrix > highest + converters.weight.step / 2).mean())
    if share:
        what = f"{share:.1%} of the weights lie above the highest code, {highest:.4g}"
        findings.append(finding("QNT002", "info", what, layer=layer.name, value=share, limit=0.0))
    bits = exact_product_bits(
        input_bits=converters.dac.bits,
        weight_bits=converters.weight.bits,
        gain_bits=converters.gain_bits,
        fan_in=min(converters.cols, layer.matrix.shape[1]),
    )
    if bits > FLOAT32_BITS:
        what = f"products of {layer.name!r} take {bits} bits; float32 holds {FLOAT32_BITS}"
        findings.append(
            finding("QNT004", "info", what, layer=layer.name, value=bits, limit=FLOAT32_BITS)
        )
    return findings
