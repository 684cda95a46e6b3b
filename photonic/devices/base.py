"""What every device kind offers, and the registry by which a profile names its kind.

A kind says how matrices become settings (:meth:`Device.compile`) and what light makes of settings
on a chip with given errors (:meth:`Device.optics`). What all kinds share stands here: stored bits,
programming errors of the elements, gain and offset errors of the receivers, and the refusal of
profile values that a kind cannot honour.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from photonic.chips import BLOCK_ERRORS, CORE_ERRORS, static_normals
from photonic.devices.noise import Receiver
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile
from photonic.profile_sections import Section
from photonic.quantize import Quantizer

Settings = Mapping[str, np.ndarray | Tensor]
Errors = Mapping[str, Tensor]

# Sections and keys that every kind honours, or that link budget, cost and check read.
COMMON = frozenset(
    {
        "core", "weight", "input", "output", "timing", "energy", "limits",
        "optics.wavelength_nm", "optics.laser_power_mw", "optics.coupler_loss_db",
        "optics.modulator_loss_db", "optics.element_loss_db", "optics.responsivity_a_per_w",
        "optics.sensitivity_dbm", "optics.saturation_dbm", "heater.power_per_pi_mw",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What realised blocks do to an input x, before noise: ``matrix·x + offset``.

    Leading dimensions are ``(chips, blocks)``, the first of length 1 for one ideal chip. Float64.

    Attributes:
        matrix: ``(chips, blocks, rows, cols)``, in weight × input.
        scale: ``(blocks,)`` electrical gain between detector and result; noise grows with it.
        quadrature: like ``matrix``: multiplies ``√(1−x²)``, the field that a modulator of finite
            extinction adds in quadrature.
        power: like ``matrix``: light on the detectors per light of each channel, for shot noise.
        offset: ``(chips, blocks, rows)``, added by the receivers.
    """

    matrix: Tensor
    scale: Tensor
    quadrature: Tensor | None = None
    power: Tensor | None = None
    offset: Tensor | None = None

    def blocks(self, chosen: slice) -> Transfer:
        """Some of the blocks."""
        return self._map(lambda values: values[:, chosen], self.scale[chosen])

    def on_chips(self, num_chips: int) -> Transfer:
        """The same light on each of ``num_chips`` chips, where it was that of one."""
        return self._map(lambda values: values.expand(num_chips, *values.shape[1:]), self.scale)

    def to(self, device: torch.device) -> Transfer:
        """The same on another device."""
        if self.matrix.device == device:
            return self
        return self._map(lambda values: values.to(device), self.scale.to(device))

    def _map(self, change: Callable[[Tensor], Tensor], scale: Tensor) -> Transfer:
        """Every tensor with chips and blocks changed alike."""

        def changed(values: Tensor | None) -> Tensor | None:
            return None if values is None else change(values)

        return Transfer(
            matrix=change(self.matrix),
            scale=scale,
            quadrature=changed(self.quadrature),
            power=changed(self.power),
            offset=changed(self.offset),
        )


class Device(ABC):
    """A core of one kind.

    Attributes:
        honours: sections (``ring``) and keys (``optics.phase_bits``) that this kind acts on beside
            the common ones.

    Raises:
        ProfileError: the profile sets a value that the kind cannot honour.
    """

    honours: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, profile: HardwareProfile) -> None:
        self.profile = profile
        self._refuse_what_is_not_honoured()

    @abstractmethod
    def compile(self, matrices: np.ndarray) -> Settings:
        """Settings of ``matrices (blocks, rows, cols)``; arrays with leading dimension blocks."""

    @abstractmethod
    def decompile(self, settings: Settings) -> np.ndarray:
        """Inverse of :meth:`compile`: the matrices on a perfect core, float64."""

    @abstractmethod
    def optics(self, settings: Settings, errors: Errors | None) -> Transfer:
        """What the light makes of ``settings`` on each chip; differentiable in both."""

    def core_errors(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of what fabrication did to a core, whatever it is programmed to."""
        return {}

    def block_errors(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of what goes wrong each time a block is programmed."""
        return {}

    def receiver(self) -> Receiver:
        """Detector noise from physical parameters."""
        return Receiver()

    def static_errors(
        self, seed: int, chips: Sequence[int], num_blocks: int, *, first_block: int = 0
    ) -> Errors:
        """Standard normal errors of ``chips``, each ``(chips, blocks, ...)``, float32.

        Fabrication errors belong to a core: blocks that share a core share them, and block ``b``
        sits on core ``b mod count``. With one core their block dimension has length 1.

        Args:
            seed: of all chips.
            chips: which of them.
            num_blocks: blocks programmed.
            first_block: number of the first of them.
        """
        core, output = self.profile.core, self.profile.output
        on_core = dict(self.core_errors())
        if output.gain_sigma or output.offset_sigma:
            on_core["receiver"] = (2, core.rows)
        on_block = {"element": (core.rows, core.cols), **self.block_errors()}
        per_core = _draw(seed, chips, CORE_ERRORS, core.count, on_core)
        if core.count > 1:
            cores = torch.arange(first_block, first_block + num_blocks) % core.count
            per_core = {name: values[:, cores] for name, values in per_core.items()}
        per_block = _draw(seed, chips, BLOCK_ERRORS, first_block + num_blocks, on_block)
        return per_core | {name: values[:, first_block:] for name, values in per_block.items()}

    def transfer(self, settings: Settings, errors: Errors | None = None) -> Transfer:
        """What the core makes of ``settings``, element and receiver errors included.

        Without errors it is one chip as designed: losses, crosstalk and quantised settings remain.
        """
        if errors is None:
            return self.optics(settings, None)
        errors = {name: values.to(torch.float64) for name, values in errors.items()}
        transfer = self.optics(settings, errors)
        transfer = transfer.on_chips(len(errors["element"]))
        weight, output = self.profile.weight, self.profile.output
        if weight.programming_sigma:
            disturbance = weight.programming_sigma * weight.full_scale * errors["element"]
            transfer = replace(transfer, matrix=transfer.matrix + disturbance)
        if output.gain_sigma:
            gain = 1.0 + output.gain_sigma * errors["receiver"][..., 0, :, None]
            transfer = replace(
                transfer,
                matrix=transfer.matrix * gain,
                quadrature=None if transfer.quadrature is None else transfer.quadrature * gain,
            )
        if output.offset_sigma:
            offset = output.offset_sigma * errors["receiver"][..., 1, :]
            transfer = replace(transfer, offset=transfer.scale[:, None] * offset)
        return transfer

    def realise(self, settings: Settings, errors: Errors | None = None) -> Tensor:
        """The matrices that act on x: ``(chips, blocks, rows, cols)``, float64."""
        return self.transfer(settings, errors).matrix

    def stored(self, matrices: np.ndarray) -> np.ndarray:
        """``matrices`` on the grid of the stored weights, float64."""
        values = np.asarray(matrices, dtype=np.float64)
        weight = self.profile.weight
        if weight.bits is None:
            return values
        grid = Quantizer(bits=weight.bits, full_scale=weight.full_scale, symmetric=weight.symmetric)
        return grid(values)

    def _refuse_what_is_not_honoured(self) -> None:
        honoured = COMMON | self.honours
        for section in type(self.profile).model_fields.keys() - honoured:
            values = getattr(self.profile, section)
            if not isinstance(values, Section) or values == type(values)():
                continue
            for key, field in type(values).model_fields.items():
                value = getattr(values, key)
                if value != field.default and f"{section}.{key}" not in honoured:
                    raise ProfileError(
                        f"profile {self.profile.name!r}: {section}.{key} = {value!r} means nothing "
                        f"to kind {self.profile.kind!r}; remove it or choose another kind"
                    )


def _draw(
    seed: int, chips: Sequence[int], purpose: int, count: int, shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Normals of every shape for ``count`` cores or blocks, ``(chips, count, *shape)`` each."""
    if not shapes:
        return {}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    flat = static_normals(seed, chips, (count, sum(sizes)), purpose)
    parts = torch.from_numpy(flat).split(sizes, dim=-1)
    return {
        name: part.unflatten(-1, shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def as_tensor(values: np.ndarray | Tensor, like: Errors | None) -> Tensor:
    """Settings as float64, on the device of the errors."""
    device = next(iter(like.values())).device if like else None
    return torch.as_tensor(values, dtype=torch.float64, device=device)


_KINDS: dict[str, type[Device]] = {}
# Our own kinds register themselves when their module is imported, which their first use does.
_SHIPPED = {kind: f"photonic.devices.{kind}" for kind in ("generic", "mrr", "mzi", "pcm")}


def register_device(kind: str, device: type[Device]) -> None:
    """Make ``kind`` available to profiles; a user's own kind enters the same way as ours."""
    _KINDS[kind] = device


def device_for(profile: HardwareProfile) -> Device:
    """The device that ``profile`` describes.

    Raises:
        ProfileError: a kind that nobody registered, or a value that the kind cannot honour.
    """
    if profile.kind not in _KINDS and profile.kind in _SHIPPED:
        import_module(_SHIPPED[profile.kind])
    if profile.kind not in _KINDS:
        raise ProfileError(
            f"profile {profile.name!r}: kind {profile.kind!r} is not known; "
            f"known are {', '.join(sorted(_KINDS.keys() | _SHIPPED.keys()))}"
        )
    return _KINDS[profile.kind](profile)
