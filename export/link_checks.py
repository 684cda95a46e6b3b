"""Findings about light: does enough of it arrive, and not too much?"""

from __future__ import annotations

from export.findings import Finding, finding
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile

# Receiver noise above half an LSB wastes the ADC's bits.
MOST_NOISE_LSB = 0.5


def check_link(profile: HardwareProfile) -> list[Finding]:
    """Findings about the link budget; none where the profile states no laser power or no torch is.

    The device models need torch; that settings were not compiled for want of it is a finding of
    its own.
    """
    try:
        from photonic.devices.link import link_budget, longest_path_loss_db
    except ModuleNotFoundError:
        return []
    optics, findings = profile.optics, []
    loss_db, most_db = longest_path_loss_db(profile), profile.limits.max_insertion_loss_db
    if most_db is not None and loss_db > most_db:
        what = f"{loss_db:.1f} dB on the longest path; the limit is {most_db:g} dB"
        findings.append(finding("LNK001", "error", what, value=loss_db, limit=most_db))
    if optics.laser_power_mw is None:
        return findings
    try:
        budget = link_budget(profile)
    except ProfileError as error:
        return [*findings, finding("SET002", "error", str(error), value=profile.kind)]
    least, most = optics.sensitivity_dbm, optics.saturation_dbm
    if least is not None and budget.arriving_dbm < least:
        what = f"a full-scale channel arrives with {budget.arriving_dbm:.1f} dBm of {least:g} dBm"
        findings.append(finding("LNK002", "error", what, value=budget.arriving_dbm, limit=least))
    if most is not None and budget.brightest_dbm > most:
        what = f"the photodiode may see {budget.brightest_dbm:.1f} dBm, it takes {most:g} dBm"
        findings.append(finding("LNK003", "error", what, value=budget.brightest_dbm, limit=most))
    if budget.noise_lsb is not None and budget.noise_lsb > MOST_NOISE_LSB:
        what = f"receiver noise is {budget.noise_lsb:.2f} LSB of the ADC"
        findings.append(
            finding("LNK004", "warning", what, value=budget.noise_lsb, limit=MOST_NOISE_LSB)
        )
    return findings
