"""The simulated core: chips with hidden errors behind the interface of a real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from photonic.backends.settings_grid import rounded
from photonic.devices.base import Transfer, device_for
from photonic.devices.converters import Readout
from photonic.devices.layer_optics import LayerOptics, prepare
from photonic.devices.read_noise import ChipStreams
from photonic.devices.readout import products
from photonic.errors import RunError
from photonic.profile import HardwareProfile
from photonic.quantize import round_mantissa

# Errors of slots that are kept, because a program comes back to each many times.
BYTES_OF_ERRORS = 256 * 2**20


class SimulatedCore:
    """Chips of ``(seed, index)`` as lanes, with the errors that :func:`simulate` gives them.

    Args:
        profile: the hardware.
        chips: their indices; ``None`` is one chip without errors or noise.
        seed: of their errors and of their read noise.

    Raises:
        ProfileError: a profile that its kind cannot honour.
    """

    def __init__(
        self, profile: HardwareProfile, chips: Sequence[int] | None = (0,), *, seed: int = 0
    ) -> None:
        self.profile = profile
        self.chips, self.seed = chips, seed
        self.lanes = 1 if chips is None else len(chips)
        self.device = device_for(profile)
        self.readout = Readout.of(self.device)
        self._noise = None
        if chips is not None and self.readout.is_noisy:
            self._noise = ChipStreams.of_chips(seed, chips)
        self._errors: dict[int, dict[str, Tensor]] = {}  # by slot
        self._transfer: Transfer | None = None
        self._optics: LayerOptics | None = None

    def program(
        self, settings: Mapping[str, np.ndarray], *, slot: int = 0, gain: float = 1.0
    ) -> None:
        """Put a matrix on every lane."""
        exact = rounded(settings, self.profile)
        transfer = self.device.transfer(exact, self._errors_of(slot))
        if (transfer.scale != transfer.scale[0]).any():
            raise RunError("simulator: lanes of different electrical gain; program them alike")
        self._transfer = Transfer(
            matrix=transfer.matrix.transpose(0, 1),
            scale=transfer.scale[:1],
            quadrature=_lanes_first(transfer.quadrature),
            power=_lanes_first(transfer.power),
            offset=_lanes_first(transfer.offset),
        )
        if self.readout.adc is not None:
            gain = round_mantissa(gain, self.profile.output.gain_bits)
        # A chip without errors is exact, as the simulator's noiseless one.
        self._optics = prepare(
            self.readout,
            self._transfer,
            (1, 1),
            gain,
            dtype=torch.float64,
            exact=self.chips is None,
        )

    def _errors_of(self, slot: int) -> dict[str, Tensor] | None:
        """Static errors, lanes in the place of blocks so that each can have its own settings."""
        if self.chips is None:
            return None
        if slot not in self._errors:
            drawn = self.device.static_errors(self.seed, self.chips, 1, first_block=slot)
            errors = {name: values.transpose(0, 1).clone() for name, values in drawn.items()}
            size = sum(values.nbytes for values in errors.values())
            if (len(self._errors) + 1) * size > BYTES_OF_ERRORS:
                self._errors.clear()
            self._errors[slot] = errors
        return self._errors[slot]

    @torch.no_grad()
    def mvm(self, x: np.ndarray) -> np.ndarray:
        """What the ADC reads, ``(lanes, n, rows)``."""
        if self._optics is None:
            raise RunError("simulator: nothing is programmed yet; call program first")
        readout = self.readout
        inputs = torch.from_numpy(np.asarray(x, dtype=np.float64))
        light = (inputs if inputs.ndim == 3 else inputs[None]).transpose(1, 2)[..., None]
        codes = readout.encode(light.contiguous())
        y = products(readout, self._optics, codes, self._noise)
        return (y[..., 0].transpose(1, 2) * readout.y_unit).expand(self.lanes, -1, -1).numpy()

    def realised(self) -> np.ndarray:
        """The matrices that act on x, ``(lanes, rows, cols)``: the truth, which no bench knows."""
        if self._transfer is None:
            raise RunError("simulator: nothing is programmed yet; call program first")
        matrix = self._transfer.matrix[:, 0].numpy()
        return np.broadcast_to(matrix, (self.lanes, *matrix.shape[1:]))


def _lanes_first(values: torch.Tensor | None) -> torch.Tensor | None:
    return None if values is None else values.transpose(0, 1)
