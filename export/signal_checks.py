"""Findings about the analog outputs on real data: clipping, dynamic range, dead channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from export.chunks import chunks
from export.findings import Finding, finding
from photonic.execute import IntegerArithmetic, IntegerLayer, execute
from photonic.profile import Converters, HardwareProfile
from photonic.program import Activation, Linear, Program
from photonic.quantize import Quantizer

# An output that stays below this share of the ADC's range wastes two bits or more.
LEAST_RANGE = 0.25


@dataclass(slots=True)
class OutputStatistics:
    """What reaches the ADCs of one layer over all data.

    ``clipped`` of ``samples`` ADC samples lie outside the ADC's range; ``spoilt`` of ``values`` are
    what clipping changes in what the next step gets: a saturated tanh does not see it. ``low`` and
    ``high`` are the extreme codes of each analog output.
    """

    samples: int = 0
    clipped: int = 0
    values: int = 0
    spoilt: int = 0
    low: np.ndarray = field(default_factory=lambda: np.array(np.inf))
    high: np.ndarray = field(default_factory=lambda: np.array(-np.inf))


def check_signals(
    program: Program, profile: HardwareProfile, inputs: Mapping[str, np.ndarray]
) -> list[Finding]:
    """Findings about every layer's ADC samples on ``inputs``; none without converters."""
    converters = profile.converters()
    if converters is None:
        return []
    findings = []
    for name, seen in output_statistics(program, converters, inputs).items():
        findings += _check_clipping(name, seen, profile.limits.max_clip_rate)
        findings += _check_range(name, seen, converters.adc)
    return findings


def output_statistics(
    program: Program, converters: Converters, inputs: Mapping[str, np.ndarray]
) -> dict[str, OutputStatistics]:
    """What reaches the ADC, by layer, when the deployed model runs on ``inputs``."""
    arithmetic = IntegerArithmetic.of(program, converters)
    statistics: dict[str, OutputStatistics] = {}
    for part in chunks(inputs):
        values = execute(part, program.steps, arithmetic)
        for step in program.steps:
            if isinstance(step, Linear):
                seen = statistics.setdefault(step.layer, OutputStatistics())
                layer = arithmetic.layers[step.layer]
                codes = unclipped_samples(layer, values[step.source])
                _add_samples(seen, codes, converters.adc)
                _add_values(seen, program, step, layer, codes, arithmetic)
    return statistics


def unclipped_samples(layer: IntegerLayer, x: np.ndarray) -> np.ndarray:
    """Rounded ADC codes of every tile before clipping, ``(vectors, tiles, out)``."""
    _, across, _, cols = layer.tiles.shape
    vectors = x.reshape(-1, layer.fan_in)
    vectors = np.pad(vectors, [(0, 0), (0, across * cols - layer.fan_in)])
    products = [
        vectors[:, a * cols : (a + 1) * cols] @ layer.tiles[:, a].reshape(-1, cols)[: layer.out].T
        for a in range(across)
    ]
    return np.rint(np.stack(products, axis=1) * layer.scale)


def _add_samples(seen: OutputStatistics, codes: np.ndarray, adc: Quantizer) -> None:
    seen.samples += codes.size
    seen.clipped += int(((codes < adc.min_code) | (codes > adc.max_code)).sum())
    seen.low = np.minimum(seen.low, codes.min(axis=0))
    seen.high = np.maximum(seen.high, codes.max(axis=0))


def _add_values(
    seen: OutputStatistics,
    program: Program,
    step: Linear,
    layer: IntegerLayer,
    codes: np.ndarray,
    arithmetic: IntegerArithmetic,
) -> None:
    """Count the values that clipping changes, behind the activation where one follows."""
    adc = arithmetic.converters.adc
    free = codes.sum(axis=1) + layer.bias
    clipped = codes.clip(adc.min_code, adc.max_code).sum(axis=1) + layer.bias
    for reader in program.steps:
        if isinstance(reader, Activation) and reader.source == step.out:
            free, clipped = (arithmetic.activation(reader, x) for x in (free, clipped))
            break
    seen.values += free.size
    seen.spoilt += int((free != clipped).sum())


def _check_clipping(name: str, seen: OutputStatistics, max_rate: float) -> list[Finding]:
    rate, spoilt = seen.clipped / seen.samples, seen.spoilt / seen.values
    if spoilt > max_rate:
        what = (
            f"clipping at the ADC changes {spoilt:.1%} of the values; the limit is {max_rate:.1%}"
        )
        return [finding("ADC001", "error", what, layer=name, value=spoilt, limit=max_rate)]
    if rate > max_rate:
        what = f"{rate:.1%} of the ADC samples clip, which changes {spoilt:.1%} of the values"
        return [finding("ADC004", "info", what, layer=name, value=rate, limit=max_rate)]
    return []


def _check_range(name: str, seen: OutputStatistics, adc: Quantizer) -> list[Finding]:
    findings = []
    dead = int((seen.low == seen.high).sum())
    if dead:
        what = f"{dead} of {seen.low.size} outputs have one code on all data"
        findings.append(finding("ADC003", "warning", what, layer=name, value=dead, limit=0))
    reach = np.maximum(np.abs(seen.low), np.abs(seen.high)) / 2 ** (adc.bits - 1)
    least = float(reach.min())
    if least < LEAST_RANGE:
        small = int((reach < LEAST_RANGE).sum())
        what = f"{small} of {reach.size} outputs reach at most {least:.1%} of the ADC's range"
        findings.append(
            finding("ADC002", "warning", what, layer=name, value=least, limit=LEAST_RANGE)
        )
    return findings
