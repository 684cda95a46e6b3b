"""What disturbs training: chips of a hardware profile, or plain noise where no chip is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from photonic.devices.base import device_for
from photonic.devices.converters import Readout
from photonic.devices.core import FIRST_TRAINING_CHIP, DeviceCore
from photonic.devices.read_noise import TrainingNoise
from photonic.layers import Core
from photonic.profile import HardwareProfile
from photonic.students import Student
from photonic.students.injection import Injection


class Disturbance(Protocol):
    """Something that is new every step; all that its future depends on is its ``noise``."""

    noise: TrainingNoise

    def advance(self) -> None:
        """Begin the next step."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePlan:
    """What disturbs a stage of training.

    Attributes:
        profile: fresh chips of this profile every step; if left out, plain noise.
        num_chips: chips that a batch is spread over.
        weight_sigma: plain noise on weights, as a fraction of full scale.
        activation_sigma: plain noise on activations, as a fraction of full scale.
        warmup_epochs: epochs in which it grows to its full size.
    """

    profile: HardwareProfile | None = None
    num_chips: int = 4
    weight_sigma: float = 0.0
    activation_sigma: float = 0.0
    warmup_epochs: int = 0

    def disturb(
        self, student: Student, *, seed: int, steps_per_epoch: int, on: torch.device | str
    ) -> Disturbance:
        """Disturb a student's training; in evaluation mode its present core answers.

        Args:
            student: its core, or its injection, is replaced.
            seed: of chips and noise.
            steps_per_epoch: of the learner.
            on: device of the samples.
        """
        warmup_steps = self.warmup_epochs * steps_per_epoch
        if self.profile is None:
            student.injection = Injection(
                weight_sigma=self.weight_sigma,
                activation_sigma=self.activation_sigma,
                seed=seed,
                warmup_steps=warmup_steps,
                on=on,
            )
            return student.injection
        core = DeviceCore(
            self.profile,
            seed=seed,
            warmup_steps=warmup_steps,
            num_chips=self.num_chips,
            answers=student.core,
            on=on,
        )
        student.core = core
        return core


def deployed_core(profile: HardwareProfile, on: torch.device | str = "cpu") -> Core:
    """The core that a trained student answers with.

    Its bits, exactly as the exported graph rounds, where input, weight and output have them; else
    one chip of the profile without errors or noise.
    """
    if profile.converters() is None:
        return DeviceCore(profile, seed=0, on=on).eval()
    from training.quantized import BrevitasCore  # takes a second to import

    return BrevitasCore(profile).to(on)


def has_noise(profile: HardwareProfile) -> bool:
    """Whether two chips of this profile, or two readings of one, can differ."""
    device = device_for(profile)
    if Readout.of(device).is_noisy:
        return True
    core = profile.core
    settings = device.compile(np.full((1, core.rows, core.cols), 0.25))
    chips = range(FIRST_TRAINING_CHIP, FIRST_TRAINING_CHIP + 2)
    one, two = device.transfer(settings, device.static_errors(0, chips, 1)).matrix
    return not torch.equal(one, two) or bool(profile.output.offset_sigma)
