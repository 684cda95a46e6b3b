"""Read noise: what is new each time light is detected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from photonic.chips import read_noise_seeds
from photonic.errors import ConfigError
from photonic.kernels.normal import fill_normal, fill_normals


class ReadNoise(Protocol):
    """A source of normal numbers for a batch of chips."""

    def normal(self, shape: tuple[int, ...], sigma: float, like: Tensor) -> Tensor:
        """Normal numbers of standard deviation ``sigma``; chips are the first dimension."""
        ...


@dataclass(slots=True)
class ChipStreams:
    """A stream per chip: a chip's noise does not depend on which chips are read beside it."""

    generators: list[torch.Generator]

    @classmethod
    def of_chips(
        cls,
        seed: int,
        chips: Sequence[int],
        part: int = 0,
        device: torch.device | str = "cpu",
    ) -> ChipStreams:
        """Noise of ``chips`` while they read part ``part`` of the beats."""
        seeds = read_noise_seeds(seed, chips, part)
        return cls([torch.Generator(device).manual_seed(s) for s in seeds])

    def __getitem__(self, chips: slice) -> ChipStreams:
        return ChipStreams(self.generators[chips])

    def normal(self, shape: tuple[int, ...], sigma: float, like: Tensor) -> Tensor:
        """Each chip's part from its own stream."""
        noise = torch.empty(shape, dtype=like.dtype, device=like.device)
        for row, generator in zip(noise, self.generators, strict=True):
            fill_normal(row, sigma, generator)
        return noise


@dataclass(slots=True, kw_only=True)
class TrainingNoise:
    """Noise of training: one stream for everything, growing linearly over a warm-up.

    Attributes:
        generator: on the device that numbers are wanted on.
        warmup_steps: steps until the noise has its full size; 0 has it from the start.
        step: number of the present step.
    """

    generator: torch.Generator
    warmup_steps: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if self.warmup_steps < 0:
            raise ConfigError(f"warm-up of {self.warmup_steps} steps: at least 0")

    @property
    def strength(self) -> float:
        """Share of the full noise in this step."""
        return min(1.0, (self.step + 1) / (self.warmup_steps + 1))

    def normal(self, shape: tuple[int, ...], sigma: float, like: Tensor) -> Tensor:
        """Normal numbers of standard deviation ``sigma`` times the present strength."""
        return self.fill(torch.empty(shape, dtype=like.dtype, device=like.device), sigma)

    def fill(self, noise: Tensor, sigma: float) -> Tensor:
        """:meth:`normal` in place."""
        return fill_normal(noise, sigma * self.strength, self.generator)

    def fill_parts(self, row: Tensor, sizes: Sequence[int], sigmas: Sequence[float]) -> None:
        """:meth:`fill` of one part of a vector after the other."""
        strengths = [sigma * self.strength for sigma in sigmas]
        fill_normals(row, sizes, strengths, self.generator)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next numbers depend on."""
        return {"step": torch.tensor(self.step), "generator": self.generator.get_state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`."""
        self.step = int(state["step"])
        self.generator.set_state(state["generator"].cpu())
