"""Findings about time: matrices against cores, reprogramming, the latency of one beat."""

from __future__ import annotations

from export.findings import Finding, finding
from photonic.profile import HardwareProfile
from photonic.program import Program


def check_timing(program: Program, profile: HardwareProfile) -> list[Finding]:
    """Findings about how long one beat takes on the chip."""
    blocks = program.blocks(profile.core.rows, profile.core.cols)
    findings = []
    if len(blocks) > profile.core.count:
        reconfiguration_us = profile.timing.reconfiguration_us
        per_beat = reprogrammings(len(blocks), profile.core.count)
        takes = (
            f"{per_beat} reprogrammings, {per_beat * reconfiguration_us:g} µs per beat"
            if reconfiguration_us is not None
            else f"{per_beat} reprogrammings per beat"
        )
        what = f"{len(blocks)} matrices on {profile.core.count} core(s): {takes}"
        findings.append(
            finding("COR001", "info", what, value=len(blocks), limit=profile.core.count)
        )
    latency, budget = beat_latency_us(program, profile), profile.limits.latency_us
    if latency is None:
        if budget is not None:
            what = f"budget {budget:g} µs, but profile {profile.name!r} has no such times"
            findings.append(finding("LAT002", "warning", what, limit=budget))
    elif budget is not None and latency > budget:
        what = f"a beat takes {latency:.4g} µs; the budget is {budget:g} µs"
        findings.append(finding("LAT001", "error", what, value=latency, limit=budget))
    return findings


def reprogrammings(num_blocks: int, num_cores: int) -> int:
    """Matrices written per beat: none where every matrix has a core of its own."""
    return num_blocks if num_blocks > num_cores else 0


def beat_latency_us(program: Program, profile: HardwareProfile) -> float | None:
    """Time of one beat on the core in µs, or ``None`` where the profile does not say.

    Reprogrammings one after the other, one clock cycle per optical pass and core, and the time of
    flight of every layer, which waits for the one before it.
    """
    timing, count = profile.timing, profile.core.count
    blocks = program.blocks(profile.core.rows, profile.core.cols)
    writes = reprogrammings(len(blocks), count)
    if timing.clock_ghz is None or (writes and timing.reconfiguration_us is None):
        return None
    passes = profile.passes() * sum(block.applied_per_beat for block in blocks)
    flight_ns = (timing.time_of_flight_ns or 0.0) * len(program.layers_in_order())
    compute_us = (passes / min(count, len(blocks)) / timing.clock_ghz + flight_ns) * 1e-3
    return compute_us + writes * (timing.reconfiguration_us or 0.0)
