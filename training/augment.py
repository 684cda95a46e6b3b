"""Augmentation of beats on tensors in memory: what changes between recordings, but not the class.

All draws come from one generator on the CPU, so that a run is the same on any device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from photonic.beats import FS_HZ
from photonic.errors import DataError


class AugmentOptions(BaseModel):
    """How far a training beat may move from the recorded one; all zero changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    augment_shift_samples: int = Field(
        default=0, ge=0, le=90, description="Largest shift of the window, in samples, either way."
    )
    augment_wander: float = Field(
        default=0.0, ge=0, le=1, description="Largest amplitude of a slow sine, of the beat's peak."
    )
    augment_noise: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Largest standard deviation of white noise, of the peak.",
    )
    augment_amplitude: float = Field(
        default=0.0, ge=0, lt=1, description="Largest loss of amplitude, as a share."
    )
    augment_noise_records: tuple[str, ...] = Field(
        default=(), description="WFDB noise records to add, e.g. nstdb/bw,nstdb/ma."
    )
    augment_snr_db: float = Field(
        default=12.0,
        ge=-20,
        le=60,
        description="Lowest signal-to-noise ratio of such noise, in dB.",
    )

    @property
    def active(self) -> bool:
        """Whether any of it changes a beat."""
        return bool(
            self.augment_shift_samples
            or self.augment_wander
            or self.augment_noise
            or self.augment_amplitude
            or self.augment_noise_records
        )


SNR_SPAN_DB = 24.0
"""Added noise is drawn evenly in dB between the lowest ratio and this much above it."""
WANDER_HZ = (0.1, 0.8)
"""Frequencies of breathing and electrode drift."""


class BeatAugmenter:
    """Draws another version of each beat of a batch.

    Args:
        options: how far it may go.
        noise: recorded noise at 360 Hz, ``(samples,)``, or None.
    """

    def __init__(self, options: AugmentOptions, noise: Tensor | None = None) -> None:
        self.options, self.noise = options, noise

    def __call__(
        self, inputs: Mapping[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The inputs with ``beat (batch, samples, channels)`` changed and clipped to [-1, 1].

        All channels of a beat move together; white noise is drawn for each of them.
        """
        o, beat = self.options, inputs["beat"]
        batch, samples, channels = beat.shape

        def uniform(low: float, high: float) -> Tensor:
            return torch.rand(batch, 1, generator=generator).to(beat) * (high - low) + low

        if o.augment_shift_samples:
            beat = shifted(beat, self._shifts(batch, generator).to(beat.device))
        else:
            beat = beat.clone()  # what follows writes in place: half of the time is memory
        if o.augment_wander:
            time_s = torch.arange(samples, device=beat.device) / FS_HZ
            angle = 2 * math.pi * (uniform(*WANDER_HZ) * time_s + uniform(0.0, 1.0))
            beat.add_((uniform(0.0, o.augment_wander) * torch.sin(angle))[..., None])
        if self.noise is not None:
            beat.add_(self._recorded_noise(beat, generator)[..., None])
        if o.augment_amplitude:
            beat.mul_(uniform(1.0 - o.augment_amplitude, 1.0)[..., None])
        if o.augment_noise:
            white = torch.randn(batch, samples, channels, generator=generator).to(beat)
            beat.addcmul_(white, uniform(0.0, o.augment_noise)[..., None])
        return {**inputs, "beat": beat.clamp_(-1.0, 1.0)}

    def _shifts(self, batch: int, generator: torch.Generator) -> Tensor:
        most = self.options.augment_shift_samples
        return torch.randint(-most, most + 1, (batch,), generator=generator)

    def _recorded_noise(self, beat: Tensor, generator: torch.Generator) -> Tensor:
        """A stretch of the noise record per beat, ``(batch, samples)``, at the drawn SNR.

        The ratio is of powers: the beat's first channel over the stretch, both about their mean.
        """
        assert self.noise is not None
        batch, samples, _ = beat.shape
        starts = torch.randint(len(self.noise) - samples + 1, (batch, 1), generator=generator)
        stretch = self.noise[starts + torch.arange(samples)].to(beat)
        stretch = stretch - stretch.mean(1, keepdim=True)
        lowest = self.options.augment_snr_db
        snr_db = lowest + SNR_SPAN_DB * torch.rand(batch, 1, generator=generator).to(beat)
        power = beat[..., 0].var(1, keepdim=True) / stretch.var(1, keepdim=True).clamp(min=1e-12)
        return stretch * torch.sqrt(power * 10.0 ** (-snr_db / 10.0))


def shifted(beat: Tensor, shifts: Tensor) -> Tensor:
    """Beats ``(batch, samples, channels)`` moved by whole samples; the edge value fills the gap."""
    _, samples, channels = beat.shape
    taken = (torch.arange(samples, device=beat.device) + shifts[:, None]).clamp(0, samples - 1)
    return torch.gather(beat, 1, taken[..., None].expand(-1, -1, channels))


def read_noise(records: tuple[str, ...]) -> Tensor | None:
    """All channels of WFDB noise records one after another, in units of their spread.

    Raises:
        DataError: a record that cannot be read, or is not at 360 Hz.
    """
    import wfdb

    parts = []
    for name in records:
        try:
            samples, fields = wfdb.rdsamp(str(Path(name)))
        except (OSError, ValueError) as error:
            raise DataError(f"{name}: noise record cannot be read: {error}") from None
        if fields["fs"] != FS_HZ:
            raise DataError(f"{name}: noise at {fields['fs']} Hz; {FS_HZ} Hz is needed")
        signal = np.nan_to_num(np.asarray(samples, dtype=np.float64))
        parts.extend((channel - channel.mean()) / channel.std() for channel in signal.T)
    if not parts:
        return None
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))
