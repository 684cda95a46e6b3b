"""Findings about the analog outputs on real data: clipping, dynamic range, dead channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from export.chunks import chunks
from export.findings import Finding, finding
from photonic.execute import IntegerArithmetic, IntegerLayer, execute
from photonic.profile import Converters, HardwareProfile
from photonic.program import Linear, Program

# An output that stays below this share of the ADC's range wastes two bits or more.
LEAST_RANGE = 0.25


@dataclass(slots=True)
class OutputStatistics:
    """ADC codes of one layer's tiles before clipping, over all data, per analog output."""

    samples: int = 0
    clipped: int = 0
    low: np.ndarray = field(default_factory=lambda: np.array(np.inf))
    high: np.ndarray = field(default_factory=lambda: np.array(-np.inf))

    def add(self, codes: np.ndarray, min_code: int, max_code: int) -> None:
        """Take in codes ``(n, outputs)``."""
        self.samples += codes.size
        self.clipped += int(((codes < min_code) | (codes > max_code)).sum())
        self.low = np.minimum(self.low, codes.min(axis=0))
        self.high = np.maximum(self.high, codes.max(axis=0))


def check_signals(
    program: Program, profile: HardwareProfile, inputs: Mapping[str, np.ndarray]
) -> list[Finding]:
    """Findings about every layer's ADC samples on ``inputs``; none without converters."""
    converters = profile.converters()
    if converters is None:
        return []
    findings = []
    for name, seen in output_statistics(program, converters, inputs).items():
        findings += _check_output(name, seen, converters, profile.limits.max_clip_rate)
    return findings


def output_statistics(
    program: Program, converters: Converters, inputs: Mapping[str, np.ndarray]
) -> dict[str, OutputStatistics]:
    """What reaches the ADC, by layer, when the deployed model runs on ``inputs``."""
    arithmetic = IntegerArithmetic.of(program, converters)
    adc = converters.adc
    statistics: dict[str, OutputStatistics] = {}
    for part in chunks(inputs):
        values = execute(part, program.steps, arithmetic)
        for step in program.steps:
            if isinstance(step, Linear):
                codes = unclipped_samples(arithmetic.layers[step.layer], values[step.source])
                seen = statistics.setdefault(step.layer, OutputStatistics())
                seen.add(codes, adc.min_code, adc.max_code)
    return statistics


def unclipped_samples(layer: IntegerLayer, x: np.ndarray) -> np.ndarray:
    """Rounded ADC codes of every tile before clipping, ``(tokens, tiles·out)``."""
    _, across, _, cols = layer.tiles.shape
    vectors = x.reshape(-1, layer.fan_in)
    vectors = np.pad(vectors, [(0, 0), (0, across * cols - layer.fan_in)])
    products = [
        vectors[:, a * cols : (a + 1) * cols] @ layer.tiles[:, a].reshape(-1, cols)[: layer.out].T
        for a in range(across)
    ]
    return np.rint(np.concatenate(products, axis=1) * layer.scale)


def _check_output(
    name: str, seen: OutputStatistics, converters: Converters, max_rate: float
) -> list[Finding]:
    adc, findings = converters.adc, []
    rate = seen.clipped / seen.samples
    if rate > max_rate:
        what = f"{rate:.1%} of the ADC samples clip; the limit is {max_rate:.1%}"
        findings.append(finding("ADC001", "error", what, layer=name, value=rate, limit=max_rate))
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
