"""Findings about time and energy: matrices against cores, reprogramming, budgets of one beat."""

from __future__ import annotations

from export.findings import Finding, finding
from photonic.cost import Cost, cost
from photonic.profile import HardwareProfile
from photonic.program import Program

PJ_PER_UJ = 1e6


def check_cost(program: Program, profile: HardwareProfile) -> list[Finding]:
    """Findings about what one beat costs on the chip, by the model of :mod:`photonic.cost`."""
    modelled = cost(program, profile)
    return [
        *_check_cores(modelled),
        *_check_latency(modelled, profile),
        *_check_energy(modelled, profile),
    ]


def _check_cores(modelled: Cost) -> list[Finding]:
    if modelled.matrices <= modelled.cores:
        return []
    what = (
        f"{modelled.matrices} matrices on {modelled.cores} core(s): "
        f"{modelled.reprogrammings:g} reprogrammings"
    )
    if modelled.reprogramming_us is not None:
        what += f", {modelled.reprogramming_us:g} µs"
    return [
        finding("COR001", "info", f"{what} per beat", value=modelled.matrices, limit=modelled.cores)
    ]


def _check_latency(modelled: Cost, profile: HardwareProfile) -> list[Finding]:
    latency, budget = modelled.latency_us, profile.limits.latency_us
    if budget is None:
        return []
    if latency is None:
        what = f"budget {budget:g} µs, but profile {profile.name!r} has no such times"
        return [finding("LAT002", "warning", what, limit=budget)]
    if latency <= budget:
        return []
    what = f"a beat takes {latency:.4g} µs; the budget is {budget:g} µs"
    return [finding("LAT001", "error", what, value=latency, limit=budget)]


def _check_energy(modelled: Cost, profile: HardwareProfile) -> list[Finding]:
    total, budget, findings = modelled.total_energy_pj, profile.limits.energy_uj, []
    if budget is None:
        return []
    known_uj = 0.0 if total is None else total / PJ_PER_UJ
    if known_uj > budget:
        what = f"a beat takes {known_uj:.4g} µJ or more; the budget is {budget:g} µJ"
        findings.append(finding("ENE001", "error", what, value=known_uj, limit=budget))
    elif modelled.missing:
        what = f"{known_uj:.4g} µJ without what needs {', '.join(modelled.missing)}"
        findings.append(finding("ENE002", "warning", what, value=known_uj, limit=budget))
    return findings
