"""Augmentation of beats on tensors in memory: what changes between recordings, but not the class.

All draws come from one generator on the CPU, so that a run is the same on any device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from photonic.beats import FS_HZ
from photonic.errors import DataError
from photonic.kernels.loader import kernel_for
from photonic.kernels.normal import fill_normal

KERNEL = "training.augment_kernel"


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
        beat = inputs["beat"]
        drawn = self._draw(len(beat), beat[:0], generator)
        if drawn.shift is not None:
            beat = shifted(beat, drawn.shift.to(beat.device))
        else:
            beat = beat.clone()  # what follows writes in place: half of the time is memory
        if drawn.wander is not None:
            rate_hz, phase, size = drawn.wander[..., None].unbind(1)
            time_s = torch.arange(beat.shape[1], device=beat.device) / FS_HZ
            wave = torch.sin(2 * math.pi * (rate_hz * time_s + phase))
            beat.add_((size * wave)[..., None])
        if drawn.starts is not None and drawn.snr_db is not None:
            beat.add_(self._recorded_noise(beat, drawn.starts, drawn.snr_db)[..., None])
        if drawn.amplitude is not None:
            beat.mul_(drawn.amplitude[..., None])
        if drawn.white is not None and drawn.level is not None:
            beat.addcmul_(drawn.white, drawn.level[..., None])
        return {**inputs, "beat": beat.clamp_(-1.0, 1.0)}

    def of_members(
        self,
        inputs: Mapping[str, Tensor],
        batches: Tensor,
        generators: Sequence[torch.Generator],
    ) -> dict[str, Tensor]:
        """What each member of a population draws for its own batch, in one pass.

        Args:
            inputs: of every sample, each ``(n, tokens, channels)``.
            batches: numbers of the samples of each member's batch, ``(members, batch)``.
            generators: of the members.

        Returns:
            Each input as ``(members, batch, tokens, channels)``.
        """
        beats = inputs["beat"]
        kernel = kernel_for(KERNEL, beats) if self.noise is None and beats.is_contiguous() else None
        taken = {
            name: x.index_select(0, batches.flatten()).unflatten(0, batches.shape)
            for name, x in inputs.items()
            if kernel is None or name != "beat"
        }
        if kernel is None:
            parts = [
                self({"beat": own}, generator)["beat"]
                for own, generator in zip(taken["beat"], generators, strict=True)
            ]
            return {**taken, "beat": torch.stack(parts)}
        flat = beats.flatten(1)
        changed = beats.new_empty((*batches.shape, *beats.shape[1:]))
        white = beats.new_empty((batches.shape[1], *beats.shape[1:]))  # one for all
        for out, batch, generator in zip(changed, batches, generators, strict=True):
            drawn = self._draw(len(batch), beats[:0], generator, white)
            values = drawn.filled(batch, beats)
            kernel.augmented_beats(
                flat.numpy(), beats.shape[2], batch.numpy(), *(x.numpy() for x in values),
                FS_HZ, out.flatten(1).numpy(),
            )  # fmt: skip
        return {**taken, "beat": changed}

    def _draw(
        self, batch: int, like: Tensor, generator: torch.Generator, white: Tensor | None = None
    ) -> _Drawn:
        """All numbers for a batch of beats of the kind ``like (0, samples, channels)``.

        ``white (batch, samples, channels)`` may take the white noise.
        """
        o, (_, samples, channels) = self.options, like.shape
        drawn = _Drawn()

        def uniform(low: float, high: float) -> Tensor:
            return torch.rand(batch, 1, generator=generator).to(like) * (high - low) + low

        if most := o.augment_shift_samples:
            drawn.shift = torch.randint(-most, most + 1, (batch,), generator=generator)
        if o.augment_wander:
            rate, phase, size = torch.rand(3, batch, 1, generator=generator).to(like)
            low, high = WANDER_HZ
            rate_hz = rate * (high - low) + low
            drawn.wander = torch.cat([rate_hz, phase, size * o.augment_wander], dim=1)
        if self.noise is not None:
            last = len(self.noise) - samples
            drawn.starts = torch.randint(last + 1, (batch, 1), generator=generator)
            drawn.snr_db = uniform(o.augment_snr_db, o.augment_snr_db + SNR_SPAN_DB)
        if o.augment_amplitude:
            drawn.amplitude = uniform(1.0 - o.augment_amplitude, 1.0)
        if o.augment_noise:
            numbers = torch.empty(batch, samples, channels) if white is None else white
            drawn.white = fill_normal(numbers, 1.0, generator).to(like)
            drawn.level = uniform(0.0, o.augment_noise)
        return drawn

    def _recorded_noise(self, beat: Tensor, starts: Tensor, snr_db: Tensor) -> Tensor:
        """A stretch of the noise record per beat, ``(batch, samples)``, at the drawn SNR.

        The ratio is of powers: the beat's first channel over the stretch, both about their mean.
        """
        assert self.noise is not None
        stretch = self.noise[starts + torch.arange(beat.shape[1])].to(beat)
        stretch = stretch - stretch.mean(1, keepdim=True)
        power = beat[..., 0].var(1, keepdim=True) / stretch.var(1, keepdim=True).clamp(min=1e-12)
        return stretch * torch.sqrt(power * 10.0 ** (-snr_db / 10.0))


@dataclass(slots=True)
class _Drawn:
    """What was drawn for a batch; None where it is not asked for. Columns are ``(batch, 1)``.

    The wander has three: its rate in Hz, its phase in turns, its amplitude.
    """

    shift: Tensor | None = None
    wander: Tensor | None = None
    starts: Tensor | None = None
    snr_db: Tensor | None = None
    amplitude: Tensor | None = None
    white: Tensor | None = None
    level: Tensor | None = None

    def filled(self, batch: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        """Shift, wander, amplitude, white noise and level as the kernel wants them."""
        size = len(batch)
        return (
            torch.zeros_like(batch) if self.shift is None else self.shift,
            like.new_empty((0, 0)) if self.wander is None else self.wander,
            like.new_ones(size) if self.amplitude is None else self.amplitude[:, 0],
            like.new_empty((0, 0)) if self.white is None else self.white.flatten(1),
            like.new_zeros(size) if self.level is None else self.level[:, 0],
        )


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
