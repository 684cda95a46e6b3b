"""Plain noise on weights and activations while training, for students that no profile is known for.

The full scale of both is 1. Weights are disturbed once per step, as one chip would; activations
each on its own. Evaluation mode has no noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from photonic.devices.read_noise import TrainingNoise
from photonic.errors import ConfigError


class Injection:
    """Additive normal noise on the weights in use and on what activations put out.

    Args:
        weight_sigma: standard deviation on weights, as a fraction of full scale.
        activation_sigma: the same on every value that a tanh, identity or unit step hands to the
            next product.
        seed: of the noise.
        warmup_steps: steps until it has its full size.
        on: device of the numbers.

    Raises:
        ConfigError: a negative sigma or warm-up.
    """

    def __init__(
        self,
        *,
        weight_sigma: float,
        activation_sigma: float,
        seed: int,
        warmup_steps: int = 0,
        on: torch.device | str = "cpu",
    ) -> None:
        if min(weight_sigma, activation_sigma) < 0.0:
            raise ConfigError(f"noise of {min(weight_sigma, activation_sigma)}: at least 0")
        self.weight_sigma, self.activation_sigma = weight_sigma, activation_sigma
        self.noise = TrainingNoise(
            generator=torch.Generator(on).manual_seed(seed), warmup_steps=warmup_steps
        )

    def advance(self) -> None:
        """Begin the next step, further through the warm-up."""
        self.noise.step += 1

    def weight(self, weight: Tensor) -> Tensor:
        """Weights of any shape, disturbed."""
        return self._disturbed(weight, self.weight_sigma)

    def activation(self, y: Tensor, mean_of: int = 1) -> Tensor:
        """Activations of any shape, disturbed; or means of ``mean_of`` disturbed activations."""
        return self._disturbed(y, self.activation_sigma / math.sqrt(mean_of))

    def _disturbed(self, values: Tensor, sigma: float) -> Tensor:
        if not sigma:
            return values
        return values + self.noise.normal(tuple(values.shape), sigma, values)


class Injections:
    """The noise of several students whose values are stacked along a leading axis.

    Args:
        members: one per student; each draws from its own stream what it would draw alone.
    """

    def __init__(self, members: Sequence[Injection]) -> None:
        self.members = tuple(members)

    def weight(self, weight: Tensor) -> Tensor:
        """Weights ``(members, ...)``, disturbed."""
        return self._disturbed(weight, [member.weight_sigma for member in self.members])

    def activation(self, y: Tensor, mean_of: int = 1) -> Tensor:
        """Activations ``(members, ...)``, disturbed; or means of ``mean_of`` disturbed ones."""
        root = math.sqrt(mean_of)
        return self._disturbed(y, [member.activation_sigma / root for member in self.members])

    def fill_activations(self, noise: Tensor, sizes: Sequence[int], mean_of: Sequence[int]) -> None:
        """Noise of several activations, one after the other in the rows ``(members, numbers)``.

        Args:
            noise: written to.
            sizes: numbers of each.
            mean_of: of how many values each number is the mean.
        """
        for member, row in zip(self.members, noise, strict=True):
            if member.activation_sigma:
                sigmas = [member.activation_sigma / math.sqrt(count) for count in mean_of]
                member.noise.fill_parts(row, sizes, sigmas)
            else:
                row.zero_()

    def _disturbed(self, values: Tensor, sigmas: Sequence[float]) -> Tensor:
        if not any(sigmas):
            return values
        noise = torch.empty_like(values, memory_format=torch.contiguous_format)
        for member, row, sigma in zip(self.members, noise, sigmas, strict=True):
            if sigma:
                member.noise.fill(row, sigma)
            else:
                row.zero_()
        return values + noise
