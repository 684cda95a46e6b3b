"""One target on a core: what is set, what is read, and how far that is from the target."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photonic.backends.core import PhotonicCore
from photonic.backends.settings_grid import Knob, knob_of
from photonic.calibrate.groups import Groups
from photonic.calibrate.measure import measured_matrices, probe_gain
from photonic.devices import device_for


class Bench:
    """A core with one target: from vectors of knobs to residuals, a row per lane and group.

    Args:
        core: what is calibrated.
        target: ``(rows, cols)``.
        slot: of the matrix in its program.
        averages: readings of each matrix.
        used: rows and columns that count.
        weigh: ``(cols, cols)`` of the used columns, or ``None``.
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
        self.weigh = weigh
        self.target = target[: used[0], : used[1]]
        self.knob: Knob = knob_of(core.profile)
        compiled = device_for(core.profile).compile(target[None])
        self.base: Mapping[str, np.ndarray] = {
            name: np.repeat(np.asarray(array, dtype=np.float64), core.lanes, axis=0)
            for name, array in compiled.items()
        }
        self.groups = Groups.of(self.knob.reach, self.base[self.knob.name].shape[1:], used)
        if weigh is not None:  # which mixes the errors of a row
            self.groups = self.groups.by_rows(used[1])
        self.norm = float(np.linalg.norm(self._weighed(self.target.reshape(1, -1))))
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
        absolute, products = (
            np.linalg.norm(values.reshape(self.core.lanes, -1), axis=1)
            for values in (errors, self._weighed(errors))
        )
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
        measured = measured_matrices(self.core, gain=self.gain, averages=averages, cols=cols)
        return self.groups.elements_of(measured[:, :rows] - self.target)

    def _weighed(self, errors: np.ndarray) -> np.ndarray:
        """Errors of weights ``(n, E, ...)`` as those of products, row by row."""
        if self.weigh is None:
            return errors
        rows = errors.reshape(len(errors), -1, self.used[1], *errors.shape[2:])
        return np.einsum("nrc...,ce->nre...", rows, self.weigh).reshape(errors.shape)
