"""One target on a core: what is set, what is read, and how far that is from the target."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photonic.backends.core import PhotonicCore
from photonic.backends.settings_grid import Knob, knob_of
from photonic.calibrate.groups import Groups
from photonic.calibrate.measure import measured_responses, probe_gain
from photonic.devices import device_for
from photonic.devices.encoding import InputOptics
from photonic.profile import HardwareProfile

# What a constant weighs beside an input that is spread evenly over the full scale.
CONSTANT = 3.0**0.5


def has_constant(profile: HardwareProfile) -> bool:
    """Whether the knobs of the design move what is there without a signal."""
    reaches_all = knob_of(profile).reach == "core"
    return reaches_all and profile.input.encoding == "field" and InputOptics.of(profile).epsilon > 0


class Bench:
    """A core with one target: from vectors of knobs to residuals, a row per lane and group.

    Args:
        core: what is calibrated.
        target: ``(rows, cols)``.
        slot: of the matrix in its program.
        averages: readings of each matrix.
        used: rows and columns that count.
        weigh: ``(cols + 1, cols + 1)``, of the used columns and of a constant 1, or ``None``.
    """

    def __init__(
        self,
        core: PhotonicCore,
        target: np.ndarray,
        slot: int,
        averages: int,
        used: tuple[int, int],
        weigh: np.ndarray | None,
    ) -> None:
        self.core, self.slot, self.averages, self.used = core, slot, averages, used
        self.target = target[: used[0], : used[1]]
        self.knob: Knob = knob_of(core.profile)
        compiled = device_for(core.profile).compile(target[None])
        self.base: Mapping[str, np.ndarray] = {
            name: np.repeat(np.asarray(array, dtype=np.float64), core.lanes, axis=0)
            for name, array in compiled.items()
        }
        # Where knobs turn the light that is there without a signal, it is a column to be cancelled.
        self.has_constant = has_constant(core.profile)
        self.width = used[1] + self.has_constant
        self.wanted = np.pad(self.target, [(0, 0), (0, self.width - used[1])])
        shape = self.base[self.knob.name].shape[1:]
        self.groups = Groups.of(self.knob.reach, shape, (used[0], self.width))
        if weigh is not None:  # which mixes the errors of a row
            self.groups = self.groups.by_rows(self.width)
            weigh = weigh[: self.width, : self.width]
        elif self.has_constant:
            weigh = np.diag([1.0] * used[1] + [CONSTANT])
        self.weigh = weigh
        self.norm = float(np.linalg.norm(self._weighed(self.wanted.reshape(1, -1))))
        # What a group's residual is compared with: its share of the matrix, were all alike.
        self.group_norm = self.norm / len(self.groups.elements) ** 0.5
        self.gain = probe_gain(core)
        self.num_programmed = 0

    def compiled(self) -> np.ndarray:
        """Knobs as compiled, ``(lanes·G, P)``."""
        return self.groups.knobs_of(self.base[self.knob.name])

    def settings(self, knobs: np.ndarray) -> dict[str, np.ndarray]:
        """Settings of the kind with these knobs."""
        base = self.base[self.knob.name]
        return {
            **self.base,
            self.knob.name: self.groups.settings_of(self.knob.allowed(knobs), base),
        }

    def residual(self, knobs: np.ndarray) -> np.ndarray:
        """Measured minus target, weighed, ``(lanes·G, E)``."""
        return self._weighed(self._errors(knobs, self.averages))

    def judged(self, knobs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """‖ΔW‖_F and the relative error of products, ``(lanes,)``, in readings that chose nothing.

        Of those taken on the way the lucky ones were kept; twice as many and one more are at other
        levels of light, too, which the ADC rounds otherwise.
        """
        errors = self._errors(knobs, 2 * self.averages + 1)
        products = np.linalg.norm(self._weighed(errors).reshape(self.core.lanes, -1), axis=1)
        if self.has_constant:
            errors = errors.reshape(-1, self.width)[:, :-1]
        absolute = np.linalg.norm(errors.reshape(self.core.lanes, -1), axis=1)
        return absolute, products / (self.norm or 1.0)

    def jacobian(self, knobs: np.ndarray) -> np.ndarray:
        """Measured change of each residual per knob, ``(lanes·G, E, P)``.

        All groups are probed at once, and within a group all knobs of a colour.
        """
        groups, low, high = self.groups, self.knob.low, self.knob.high
        slopes = np.zeros((len(knobs), *groups.moves.shape))
        for colour in range(groups.colours.max() + 1):
            mine = groups.colours == colour
            ends = []
            for sign in (1.0, -1.0):
                moved = knobs.copy()
                moved[:, mine] += sign * self.knob.probe
                if self.knob.period is None:
                    moved[:, mine] = moved[:, mine].clip(low, high)
                ends.append((moved[:, mine], self._errors(moved, self.averages)))
            (up, above), (down, below) = ends
            change = (above - below)[:, :, None] / (up - down)[:, None]
            slopes[:, :, mine] = np.where(groups.moves[:, mine], change, 0.0)
        return self._weighed(slopes)

    def _errors(self, knobs: np.ndarray, averages: int) -> np.ndarray:
        """Measured minus target, ``(lanes·G, E)``."""
        self.core.program(self.settings(knobs), slot=self.slot, gain=self.gain)
        self.num_programmed += 1
        rows, cols = self.used
        measured = measured_responses(self.core, gain=self.gain, averages=averages, cols=cols)
        return self.groups.elements_of(measured[:, :rows, : self.width] - self.wanted)

    def _weighed(self, errors: np.ndarray) -> np.ndarray:
        """Errors of weights ``(n, E, ...)`` as those of products, row by row."""
        if self.weigh is None:
            return errors
        rows = errors.reshape(len(errors), -1, self.width, *errors.shape[2:])
        return np.einsum("nrc...,ce->nre...", rows, self.weigh).reshape(errors.shape)
