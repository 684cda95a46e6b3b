"""What every device kind offers, and the registry by which a profile names its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from photonic.errors import ProfileError
from photonic.profile import HardwareProfile

Settings = Mapping[str, np.ndarray]


class Device(ABC):
    """A core of one kind: matrices become settings, settings and static errors become matrices.

    Matrices are ``(blocks, rows, cols)`` in the weight range; chips are a leading dimension.
    """

    def __init__(self, profile: HardwareProfile) -> None:
        self.profile = profile

    @abstractmethod
    def compile(self, matrices: np.ndarray) -> Settings:
        """Device settings of ``matrices``, each array with the leading dimension ``blocks``."""

    @abstractmethod
    def static_errors(self, seed: int, chips: Sequence[int], num_blocks: int) -> Tensor:
        """What fabrication did to each chip: float32, leading dimensions ``(chips, blocks)``."""

    @abstractmethod
    def realise(self, settings: Settings, errors: Tensor | None = None) -> Tensor:
        """The matrices the settings give: ``(chips, blocks, rows, cols)``; ideal without errors.

        Without errors the leading dimension has length 1.
        """

    def transfer(self, matrices: Tensor, errors: Tensor | None = None) -> Tensor:
        """``matrices (blocks, rows, cols)`` as they act on the chips, for training.

        The gradient passes straight through to ``matrices`` (Bengio et al. 2013); a kind with a
        better gradient overrides this.
        """
        settings = self.compile(matrices.detach().cpu().numpy())
        realised = self.realise(settings, errors).to(matrices)
        return _StraightThrough.apply(matrices, realised)


class _StraightThrough(torch.autograd.Function):
    """Forward the realised values, exactly; pass the gradient to the wanted ones."""

    @staticmethod
    def forward(wanted: Tensor, realised: Tensor) -> Tensor:  # type: ignore[override]
        return realised.clone()

    @staticmethod
    def setup_context(ctx: object, inputs: tuple, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad.sum(0), None


_KINDS: dict[str, type[Device]] = {}


def register_device(kind: str, device: type[Device]) -> None:
    """Make ``kind`` available to profiles; a user's own kind enters the same way as ours."""
    _KINDS[kind] = device


def device_for(profile: HardwareProfile) -> Device:
    """The device that ``profile`` describes.

    Raises:
        ProfileError: a kind that nobody registered.
    """
    if profile.kind not in _KINDS:
        raise ProfileError(
            f"profile {profile.name!r}: kind {profile.kind!r} is not known; "
            f"known are {', '.join(sorted(_KINDS))}"
        )
    return _KINDS[profile.kind](profile)
