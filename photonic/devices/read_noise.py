"""Read noise: what is new each time light is detected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from photonic.chips import read_noise_seeds


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
            row.normal_(0.0, sigma, generator=generator)
        return noise


@dataclass(slots=True)
class OneStream:
    """One generator for everything, as training uses it; ``strength`` scales what comes of it."""

    generator: torch.Generator
    strength: float = 1.0

    def normal(self, shape: tuple[int, ...], sigma: float, like: Tensor) -> Tensor:
        """Numbers of one stream."""
        noise = torch.empty(shape, dtype=like.dtype, device=like.device)
        return noise.normal_(0.0, sigma * self.strength, generator=self.generator)
