"""Converters, modulators and receiver of a core, and the units that products run in.

Values run in codes wherever a converter has bits, so that rounding is rounding to integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from photonic.devices.base import Device
from photonic.devices.encoding import InputOptics
from photonic.devices.fake_quant import round_to_codes
from photonic.devices.noise import Receiver
from photonic.profile import HardwareProfile
from photonic.quantize import Quantizer


@dataclass(frozen=True, kw_only=True)
class Readout:
    """Converters, input optics and receiver of a core.

    Attributes:
        dac: grid of the inputs, or ``None``.
        adc: grid of the results, or ``None``.
        optics: what the modulators do.
        receiver: detector noise from physical parameters.
        converter_sigma: noise of the ADC beyond its rounding, in its LSB.
    """

    profile: HardwareProfile
    dac: Quantizer | None
    adc: Quantizer | None
    optics: InputOptics
    receiver: Receiver
    converter_sigma: float

    @classmethod
    def of(cls, device: Device) -> Readout:
        """The readout of a device."""
        profile = device.profile
        stage_in, stage_out = profile.input, profile.output
        dac = adc = None
        sigma = 0.0
        if stage_in.bits is not None:
            dac = Quantizer(
                bits=stage_in.bits,
                full_scale=stage_in.full_scale,
                symmetric=stage_in.encoding == "intensity-differential",
            )
        if stage_out.bits is not None:
            adc = Quantizer(bits=stage_out.bits, full_scale=stage_out.full_scale)
            if stage_out.effective_bits is not None:
                # A converter of ENOB bits errs by its LSB²/12; rounding is ours, the rest is noise.
                lsb = 2.0 ** (stage_out.bits - stage_out.effective_bits)
                sigma = ((lsb**2 - 1.0) / 12.0) ** 0.5
        return cls(
            profile=profile,
            dac=dac,
            adc=adc,
            optics=InputOptics.of(profile),
            receiver=device.receiver(),
            converter_sigma=sigma,
        )

    @cached_property
    def x_unit(self) -> float:
        """What one unit of a running input is worth: a DAC code, or 1."""
        return self.dac.step if self.dac else 1.0

    @cached_property
    def y_unit(self) -> float:
        """What one unit of a running result is worth: an ADC code, or 1."""
        return self.adc.step if self.adc else 1.0

    @cached_property
    def is_noisy(self) -> bool:
        """Whether reading twice gives two results."""
        stage = self.profile.input
        return bool(
            stage.noise_sigma
            or stage.snr_db is not None
            or self.profile.output.noise_sigma
            or self.converter_sigma
            or self.receiver != Receiver()
        )

    @cached_property
    def is_plain(self) -> bool:
        """Whether what is converted is the product and noise that does not depend on it."""
        stage = self.profile.input
        input_noise = stage.noise_sigma or stage.snr_db is not None
        return self.optics.is_linear and not (
            input_noise or self.digital_difference or self.receiver.depends_on_signal
        )

    @cached_property
    def digital_difference(self) -> bool:
        """Whether what an intensity encoding subtracts is converted before it is subtracted."""
        stage = self.profile.input
        return stage.encoding != "field" and stage.difference == "digital"

    @cached_property
    def weight_step(self) -> float | None:
        """LSB of the stored weights, where all three converters have bits; else ``None``."""
        weight = self.profile.weight
        if weight.bits is None or self.dac is None or self.adc is None:
            return None
        return weight.full_scale / 2 ** (weight.bits - 1)

    def encode(self, x: Tensor) -> Tensor:
        """Values as the DAC takes them, in ``x_unit``; ``x`` is left alone."""
        return x if self.dac is None else round_to_codes(x / self.dac.step, self.dac)
