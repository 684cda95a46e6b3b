"""A whole program calibrated on many chips, and what that is worth: errors, scores, yield."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from photonic.backends.core import PhotonicCore
from photonic.backends.run import compiled_settings, run_on_core
from photonic.calibrate.loop import Calibration, CalibrationOptions, calibrate
from photonic.calibrate.moments import factor, input_moments
from photonic.program import Block, Program
from photonic.scores import score
from photonic.sweep import SweepData
from photonic.tallies import tally


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedProgram:
    """What calibration changed, by lane.

    Attributes:
        calibrations: of each block, in execution order.
        scores_before: task metric as compiled, ``(lanes,)``.
        scores_after: with the settings found.
    """

    calibrations: tuple[Calibration, ...]
    scores_before: np.ndarray
    scores_after: np.ndarray

    @property
    def relative_before(self) -> np.ndarray:
        """Measured relative error of each block and lane, ``(blocks, lanes)``."""
        return np.stack([c.relative_before for c in self.calibrations])

    @property
    def relative_after(self) -> np.ndarray:
        """The same with the settings found."""
        return np.stack([c.relative_after for c in self.calibrations])

    @property
    def product_before(self) -> np.ndarray:
        """Relative error of the products of each block and lane, ``(blocks, lanes)``."""
        return np.stack([c.product_before for c in self.calibrations])

    @property
    def product_after(self) -> np.ndarray:
        """The same with the settings found."""
        return np.stack([c.product_after for c in self.calibrations])

    @property
    def absolute_before(self) -> np.ndarray:
        """Measured ‖ΔW‖_F of each block and lane, ``(blocks, lanes)``."""
        return np.stack([c.error_before for c in self.calibrations])

    @property
    def absolute_after(self) -> np.ndarray:
        """The same with the settings found."""
        return np.stack([c.error_after for c in self.calibrations])


def calibrate_program(
    program: Program,
    core: PhotonicCore,
    data: SweepData,
    *,
    options: CalibrationOptions,
    rng: np.random.Generator,
    inputs: Mapping[str, np.ndarray] | None = None,
    on_block: Callable[[int], None] = lambda blocks: None,
) -> CalibratedProgram:
    """Calibrate every block on every lane and score the model before and after.

    Args:
        program: the model.
        core: chips as lanes.
        data: what is scored.
        options: how much is measured.
        rng: of restarts.
        inputs: program inputs ``(n, tokens, channels)`` by name that are not scored; with them the
            error of the products is made small instead of that of the matrices.
        on_block: called with 1 after each block and each of the two scorings.

    Raises:
        ProfileError: a kind whose knobs are not known.
        RunError: readings that are no numbers.
    """
    before = _scores(program, core, data, compiled_settings(program, core))
    on_block(1)
    shape, found = core.profile.core, []
    moments = None if inputs is None else input_moments(program, inputs)
    for slot, block in enumerate(program.blocks(shape.rows, shape.cols)):
        used, weigh = _used(program, block, (shape.rows, shape.cols)), None
        if moments is not None:
            first = block.col * shape.cols
            seen = [*range(first, first + used[1]), -1]
            weigh = factor(moments[block.layer][np.ix_(seen, seen)])
        found.append(
            calibrate(
                core, block.matrix, slot=slot, used=used, weigh=weigh, options=options, rng=rng
            )
        )
        on_block(1)
    after = _scores(program, core, data, [c.settings for c in found])
    on_block(1)
    return CalibratedProgram(calibrations=tuple(found), scores_before=before, scores_after=after)


def _used(program: Program, block: Block, core: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a block that are no padding."""
    out, fan_in = program.layers[block.layer].matrix.shape
    rows, cols = core
    return min(rows, out - block.row * rows), min(cols, fan_in - block.col * cols)


def _scores(
    program: Program, core: PhotonicCore, data: SweepData, settings: list[dict[str, np.ndarray]]
) -> np.ndarray:
    metric = score(data.metric, data.decision.classes)
    counting = tally(metric.tally, len(data.decision.classes))
    logits = run_on_core(program, core, data.inputs, settings)
    return metric.of(counting.count(data.labels, logits, data.decision))
