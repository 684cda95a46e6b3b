"""Link budget: does enough light arrive, not too much, and is it worth the ADC's bits?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from photonic.devices.mesh import mesh_layout
from photonic.devices.noise import (
    Receiver,
    channel_power_w,
    homodyne_receiver,
    intensity_receiver,
)
from photonic.profile import HardwareProfile
from photonic.quantize import Quantizer
from photonic.units import dbm_from_mw, mw_from_dbm, power_ratio_from_db

_RECEIVERS = {
    "mzi": homodyne_receiver,
    "mrr": intensity_receiver,
    "pcm": intensity_receiver,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBudget:
    """Powers from the laser to the photodiode, and what is wrong with them.

    Attributes:
        launched_dbm: laser power of one channel.
        loss_db: power lost on the longest path, sharing among the rows included.
        arriving_dbm: a full-scale channel at the photodiode, on the longest path.
        brightest_dbm: all channels at full scale on a lossless path, and the local oscillator.
        half_lsb_dbm: light that makes half an LSB of the ADC at a gain of 1, or ``None``.
        noise_lsb: constant receiver noise in LSB of the ADC at a gain of 1, or ``None``.
        findings: each a sentence with its numbers; empty for a sound link.
    """

    launched_dbm: float
    loss_db: float
    arriving_dbm: float
    brightest_dbm: float
    half_lsb_dbm: float | None
    noise_lsb: float | None
    findings: tuple[str, ...]


def longest_path_loss_db(profile: HardwareProfile) -> float:
    """Power loss from the laser to the photodiode along the longest path, in dB.

    A mesh is passed twice, once for each factor, with an attenuator in between. Rings are passed
    one after another, and banks and crossbars share each channel among their rows.
    """
    optics, core = profile.optics, profile.core
    passed, shared_db = 1, 0.0
    if profile.kind == "mzi":
        passed += sum(mesh_layout(optics.layout, n).num_columns for n in (core.cols, core.rows))
    elif profile.kind == "mrr":
        passed = core.cols
    if profile.kind in ("mrr", "pcm"):
        shared_db = 10.0 * math.log10(core.rows)
    once = optics.coupler_loss_db + optics.modulator_loss_db
    return once + passed * optics.element_loss_db + shared_db


def link_budget(profile: HardwareProfile) -> LinkBudget:
    """The budget of one core and its findings.

    The photodiode must see at least ``optics.sensitivity_dbm`` of a full-scale channel and at most
    ``optics.saturation_dbm`` of all; receiver noise above half an LSB of the ADC wastes its bits;
    and the loss must stay within ``limits.max_insertion_loss_db``.

    Raises:
        ProfileError: the profile does not state the laser's power.
    """
    optics, limits = profile.optics, profile.limits
    channel_mw = channel_power_w(profile) * 1e3
    launched_dbm = dbm_from_mw(
        channel_mw * power_ratio_from_db(optics.coupler_loss_db + optics.modulator_loss_db)
    )
    loss_db = longest_path_loss_db(profile)
    arriving_dbm = launched_dbm - loss_db
    brightest_dbm = dbm_from_mw(_brightest_mw(profile, channel_mw))
    half_lsb_dbm = noise_lsb = None
    if profile.output.bits is not None:
        adc = Quantizer(bits=profile.output.bits, full_scale=profile.output.full_scale)
        half = adc.step / 2 / (profile.weight.full_scale * profile.input.full_scale)
        half_lsb_dbm = dbm_from_mw(mw_from_dbm(arriving_dbm) * half)
        receiver = _RECEIVERS.get(profile.kind, lambda _: Receiver())(profile)
        noise_lsb = math.sqrt(receiver.constant) / adc.step
    findings = []
    if limits.max_insertion_loss_db is not None and loss_db > limits.max_insertion_loss_db:
        findings.append(
            f"insertion loss {loss_db:.1f} dB, allowed are limits.max_insertion_loss_db = "
            f"{limits.max_insertion_loss_db:g} dB: fewer elements or less lossy ones"
        )
    if optics.sensitivity_dbm is not None and arriving_dbm < optics.sensitivity_dbm:
        findings.append(
            f"a full-scale channel arrives with {arriving_dbm:.1f} dBm, the photodiode needs "
            f"optics.sensitivity_dbm = {optics.sensitivity_dbm:g} dBm: more laser power or less "
            "loss"
        )
    if optics.saturation_dbm is not None and brightest_dbm > optics.saturation_dbm:
        findings.append(
            f"the photodiode may see {brightest_dbm:.1f} dBm and saturates at "
            f"optics.saturation_dbm = {optics.saturation_dbm:g} dBm: less laser power"
        )
    if noise_lsb is not None and noise_lsb > 0.5:
        findings.append(
            f"receiver noise is {noise_lsb:.2f} LSB of the ADC, more than half of one: more light, "
            "less bandwidth, or fewer bits"
        )
    return LinkBudget(
        launched_dbm=launched_dbm,
        loss_db=loss_db,
        arriving_dbm=arriving_dbm,
        brightest_dbm=brightest_dbm,
        half_lsb_dbm=half_lsb_dbm,
        noise_lsb=noise_lsb,
        findings=tuple(findings),
    )


def _brightest_mw(profile: HardwareProfile, channel_mw: float) -> float:
    """Most light on one photodiode, in mW.

    Fields of all channels can add up in one output, whose power then is that of all of them; half
    of it and of the oscillator, and their interference, reaches each diode of a homodyne pair.
    """
    core = profile.core
    if profile.kind != "mzi":
        shared = core.rows if profile.kind in ("mrr", "pcm") else 1
        return channel_mw * core.cols / shared
    oscillator_mw = profile.optics.lo_power_mw or 0.0
    return (math.sqrt(channel_mw * core.cols) + math.sqrt(oscillator_mw)) ** 2 / 2
