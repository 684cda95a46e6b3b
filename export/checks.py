"""Can the chip hold what is in the bundle? The hardware check, as a list of findings.

Pure functions of the program, the profile and real inputs; what they measure stands in
:mod:`export.matrix_checks`, :mod:`export.signal_checks`, :mod:`export.cost_checks` and
:mod:`export.link_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export.bundle import Bundle, file_faults
from export.cost_checks import check_cost
from export.findings import Finding, finding
from export.link_checks import check_link
from export.matrix_checks import check_matrices
from export.score_checks import check_score
from export.settings import check_settings
from export.signal_checks import check_signals
from photonic.errors import BundleError, ProgramError
from photonic.execute import grids
from photonic.profile import HardwareProfile
from photonic.program import Program, Unit

NOT_RUNNABLE = ("OPS002", "VAL001")
"""Findings after which the model cannot be run."""


def check_bundle(
    bundle: Bundle,
    profile: HardwareProfile | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    label: np.ndarray | None = None,
    *,
    metric: str | None = None,
    keep: float | None = None,
) -> list[Finding]:
    """Every finding about ``bundle``.

    Args:
        bundle: as :func:`export.bundle.open_bundle` gives it.
        profile: the hardware to check against; the bundle's own by default.
        inputs: real program inputs ``(n, tokens, channels)``; the reference sample by default.
        label: true classes ``(n,)`` of ``inputs``.
        metric: name of the score; F1 for two classes, macro-F1 for more by default.
        keep: share of the float model's score that the deployed one has to keep; all but the
            profile's ``limits.max_score_drop`` by default.

    Raises:
        ConfigError: a metric that is unknown or undefined on this data.
    """
    findings = _check_files(bundle)
    try:
        findings += _check_profile(bundle, profile)
        profile = profile or bundle.profile
        program = bundle.program
        sample = bundle.reference
        real, label = (sample.inputs, sample.label) if inputs is None else (inputs, label)
    except BundleError as error:
        code = "OPS002" if "unknown op" in str(error) else "BND004"
        return [*findings, finding(code, "error", str(error))]
    findings += check_program(program, profile, real)
    if any(found.code in NOT_RUNNABLE for found in findings):
        return findings
    try:
        return findings + check_score(bundle, profile, real, label, metric=metric, keep=keep)
    except BundleError as error:  # of the settings, which nothing has read before
        return [*findings, finding("BND004", "error", str(error))]


def check_program(
    program: Program, profile: HardwareProfile, inputs: Mapping[str, np.ndarray]
) -> list[Finding]:
    """Findings about a program on the core of ``profile``, bundle or not."""
    steps = _check_steps(program)
    findings = steps + check_matrices(program, profile) + check_cost(program, profile)
    findings += check_link(profile)
    if any(found.code in NOT_RUNNABLE for found in findings):
        return findings  # nothing can be run
    return findings + check_settings(program, profile) + check_signals(program, profile, inputs)


def _check_files(bundle: Bundle) -> list[Finding]:
    findings = []
    for name, fault in file_faults(bundle).items():
        if name not in bundle.files:
            findings.append(finding("BND001", "error", fault, value=name))
        elif name in bundle.manifest.files:
            findings.append(finding("BND002", "error", fault, value=name))
        else:
            findings.append(finding("BND003", "warning", fault, value=name))
    return findings


def _check_profile(bundle: Bundle, profile: HardwareProfile | None) -> list[Finding]:
    made_for, named = bundle.profile, bundle.manifest.profile
    findings = []
    if bundle.profile_hash != named.hash or made_for.name != named.name:
        findings.append(
            finding(
                "PRF002",
                "error",
                f"profile.json is {made_for.name!r} with hash {bundle.profile_hash[:12]}…, "
                f"the manifest names {named.name!r} with {named.hash[:12]}…",
                value=bundle.profile_hash,
                limit=named.hash,
            )
        )
    if profile is not None and profile.hash() != made_for.hash():
        same = "changed since the export" if profile.name == made_for.name else "another one"
        findings.append(
            finding(
                "PRF001",
                "warning",
                f"checked against {profile.name!r}, exported for {made_for.name!r} ({same})",
                value=profile.hash(),
                limit=made_for.hash(),
            )
        )
    return findings


def _check_steps(program: Program) -> list[Finding]:
    findings = [
        finding("OPS001", "warning", f"step {step.out!r} divides every token by its largest value")
        for step in program.steps
        if isinstance(step, Unit)
    ]
    try:
        grids(program.inputs, program.steps)
    except ProgramError as error:
        findings.append(finding("OPS002", "error", str(error)))
    return findings
