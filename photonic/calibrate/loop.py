"""Calibration in place: measure how the matrix answers to every knob, step, and search codes.

The algorithm knows the kind's knobs and nothing of its errors. It is a damped Gauss–Newton method
(Levenberg 1944, Marquardt 1963) whose Jacobian is measured. No knob moves what those of another
group move, so every group of every lane is a problem of its own, and all are solved at once. There
are at least as many knobs as matrix elements, so the step is the smallest one that does it. With
codes, steps end at the nearest ones, and combinations of neighbouring codes are then searched on
the measured Jacobian and tried on the core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from photonic.backends.core import PhotonicCore
from photonic.backends.settings_grid import Knob
from photonic.calibrate.bench import Bench
from photonic.calibrate.codes import neighbouring_codes
from photonic.errors import ConfigError

DAMPING_START, DAMPING_LEAST, DAMPING_MOST = 1e-3, 1e-12, 1e3
# A radian, a half-linewidth or a whole cell at once is beyond what a Jacobian can promise.
LARGEST_STEP = 0.5
# A step on codes that leaves more than this share of the error is not worth a Jacobian.
WORTHWHILE = 0.8
SMALLEST_RESPONSE = 1e-12
# Rounds of holding knobs at the ends of their range.
HOLDS = 2
# Lanes that a restart may help: cold ones that ended in a valley.
STUCK_RELATIVE_ERROR = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationOptions:
    """How much is measured.

    Attributes:
        iterations: measured Jacobians.
        searches: rounds of the code search.
        averages: readings of each matrix.
        tolerance: relative error at which a lane is done.
        restarts: fresh starts of lanes that are stuck.
    """

    iterations: int = 12
    searches: int = 24
    averages: int = 1
    tolerance: float = 1e-8
    restarts: int = 2

    def __post_init__(self) -> None:
        for name in ("iterations", "averages"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What came out, by lane.

    Attributes:
        settings: the best ones, ``(lanes, ...)`` each.
        error_before: measured ‖ΔW‖_F as compiled, ``(lanes,)``.
        error_after: with the settings, in readings that chose nothing.
        product_before: error of products relative to them, ‖ΔW·weigh‖ / ‖W·weigh‖, as compiled;
            where a modulator's extinction is finite, with what is there without a signal.
        product_after: with the settings.
        norm: ‖W‖_F of the target.
        num_programmed: how often the core was programmed.
    """

    settings: dict[str, np.ndarray]
    error_before: np.ndarray
    error_after: np.ndarray
    product_before: np.ndarray
    product_after: np.ndarray
    norm: float
    num_programmed: int

    @property
    def relative_before(self) -> np.ndarray:
        """``‖ΔW‖_F / ‖W‖_F``; absolute for a zero target."""
        return self.error_before / (self.norm or 1.0)

    @property
    def relative_after(self) -> np.ndarray:
        """``‖ΔW‖_F / ‖W‖_F``; absolute for a zero target."""
        return self.error_after / (self.norm or 1.0)


def calibrate(
    core: PhotonicCore,
    target: np.ndarray,
    *,
    slot: int = 0,
    used: tuple[int, int] | None = None,
    weigh: np.ndarray | None = None,
    options: CalibrationOptions | None = None,
    rng: np.random.Generator | None = None,
) -> Calibration:
    """Settings with which every lane of ``core`` applies ``target``, found by measuring alone.

    Args:
        core: simulated or real; nothing but ``program`` and ``mvm`` is used.
        target: ``(rows, cols)``.
        slot: where it belongs in its program.
        used: rows that are read and columns that are lit, from the first on; the rest of the
            matrix, where a tile is padded, does not count. All if left out.
        weigh: ``(cols + 1, cols + 1)``, of the used columns and of a constant 1; ‖ΔW·weigh‖ is made
            small instead of ‖ΔW‖, see :func:`photonic.calibrate.moments.factor`.
        options: how much is measured.
        rng: of restarts; needed only where lanes are stuck.

    Raises:
        ProfileError: a kind whose knobs are not known.
        RunError: readings that are no numbers.
    """
    options = options or CalibrationOptions()
    target = np.asarray(target, dtype=np.float64)
    rows, cols = used or target.shape
    bench = Bench(core, target, slot, options.averages, (rows, cols), weigh)
    best = start = bench.compiled()
    residual = bench.residual(start)
    rng = rng or np.random.default_rng(0)
    for attempt in range(options.restarts + 1):
        stuck = _norm(residual) > STUCK_RELATIVE_ERROR * bench.group_norm
        if attempt and (bench.knob.step is not None or not stuck.any()):
            break
        tried = best
        if attempt:
            fresh = rng.uniform(bench.knob.low, bench.knob.high, best.shape)
            tried = np.where(stuck[:, None], fresh, best)
        found, error = _descend(bench, tried, options)
        better = _norm(error) < _norm(residual)
        best = np.where(better[:, None], found, best)
        residual = np.where(better[:, None], error, residual)
    if bench.knob.step is not None:
        best = _search(bench, best, residual, options)
    (error_before, product_before), (error_after, product_after) = map(bench.judged, (start, best))
    return Calibration(
        settings=bench.settings(best),
        error_before=error_before,
        error_after=error_after,
        product_before=product_before,
        product_after=product_after,
        norm=float(np.linalg.norm(bench.target)),
        num_programmed=bench.num_programmed,
    )


def _descend(
    bench: Bench, knobs: np.ndarray, options: CalibrationOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Damped Gauss–Newton steps; the best knobs of each lane and their residuals."""
    residual = bench.residual(knobs)
    damping = np.full(len(knobs), DAMPING_START)
    for _ in range(options.iterations):
        if (_norm(residual) <= options.tolerance * bench.group_norm).all():
            break
        jacobian, start = bench.jacobian(knobs), _norm(residual).mean()
        for _ in range(4):
            moved = _limited(
                bench.knob, knobs + _step(bench.knob, knobs, jacobian, residual, damping)
            )
            error = bench.residual(moved)
            better = _norm(error) < _norm(residual)
            knobs = np.where(better[:, None], moved, knobs)
            residual = np.where(better[:, None], error, residual)
            damping = np.clip(
                np.where(better, damping / 30.0, damping * 10.0), DAMPING_LEAST, DAMPING_MOST
            )
            if better.mean() > 0.5:
                break
        if bench.knob.step is not None and _norm(residual).mean() > WORTHWHILE * start:
            break  # the codes are the limit now, which the search is for
    return knobs, residual


def _step(
    knob: Knob,
    knobs: np.ndarray,
    jacobian: np.ndarray,
    residual: np.ndarray,
    damping: np.ndarray,
) -> np.ndarray:
    """``−Jᵀ(JJᵀ + λI)⁻¹ r``: the smallest change that removes the residual, damped.

    Knobs that would leave their range are held and their share is given to the others.
    """
    step = _free_step(jacobian, residual, damping)
    if knob.period is not None:
        return step
    for _ in range(HOLDS):
        moved = knobs + step
        held = ((knobs <= knob.low) & (moved < knob.low)) | (
            (knobs >= knob.high) & (moved > knob.high)
        )
        step = _free_step(np.where(held[:, None], 0.0, jacobian), residual, damping)
    return step


def _free_step(jacobian: np.ndarray, residual: np.ndarray, damping: np.ndarray) -> np.ndarray:
    gram = jacobian @ jacobian.swapaxes(1, 2)
    # The floor keeps a lane solvable on which no knob does anything.
    scale = np.trace(gram, axis1=1, axis2=2) / gram.shape[1] + SMALLEST_RESPONSE
    gram = gram + (damping * scale)[:, None, None] * np.eye(gram.shape[1])
    solved = np.linalg.solve(gram, residual[..., None])
    step = -(jacobian.swapaxes(1, 2) @ solved)[..., 0]
    largest = np.abs(step).max(axis=1, keepdims=True)
    return step * np.minimum(1.0, LARGEST_STEP / np.maximum(largest, 1e-300))


def _limited(knob: Knob, knobs: np.ndarray) -> np.ndarray:
    return knobs if knob.period is not None else np.clip(knobs, knob.low, knob.high)


def _search(
    bench: Bench, knobs: np.ndarray, residual: np.ndarray, options: CalibrationOptions
) -> np.ndarray:
    """Try combinations of neighbouring codes that the measured Jacobian promises to be better."""
    knob, step = bench.knob, bench.knob.step
    assert step is not None
    best, least = knob.allowed(knobs), residual
    jacobian = bench.jacobian(best)
    rng = np.random.default_rng(0)
    for _ in range(options.searches):
        change = neighbouring_codes(jacobian * step, least, rng)
        moved = knob.allowed(best + change * step)
        changed = (moved != best).any(axis=1)
        if not changed.any():
            break  # groups of few knobs soon have nothing left to try
        error = bench.residual(moved)
        better = changed & (_norm(error) < _norm(least))
        # What the core did teaches the Jacobian its curvature (Broyden 1965).
        taken = change * step
        surprise = error - least - (jacobian @ taken[..., None])[..., 0]
        size = (taken**2).sum(axis=1)[:, None, None]
        jacobian = jacobian + np.where(
            size > 0, surprise[..., None] * taken[:, None] / np.maximum(size, 1e-300), 0.0
        )
        best = np.where(better[:, None], moved, best)
        least = np.where(better[:, None], error, least)
    return best


def _norm(residual: np.ndarray) -> np.ndarray:
    return np.linalg.norm(residual, axis=1)
