"""Combinations of neighbouring codes whose effects nearly cancel a residual.

An integer least-squares problem with more unknowns than equations: exact search grows exponentially
with the number of knobs, so codes are changed one at a time from a random start (derived; close to
the greedy rounding of Babai 1986).
"""

from __future__ import annotations

import numpy as np

PASSES = 6
# Codes that a random start changes, on average; measured: fewer find less, more leave the range in
# which the Jacobian holds.
STARTING_CHANGES = 4.0
REACH = 2


def neighbouring_codes(
    effect: np.ndarray, residual: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Whole numbers of codes ``(lanes, P)`` to move each knob by.

    Args:
        effect: change of the residual per code, ``(lanes, elements, P)``.
        residual: what is to be cancelled, ``(lanes, elements)``.
        rng: of starts and of the order of knobs.
    """
    lanes, _, num_knobs = effect.shape
    share = min(0.5, STARTING_CHANGES / num_knobs)
    change = rng.integers(-1, 2, (lanes, num_knobs)) * (rng.random((lanes, num_knobs)) < share)
    change = change.astype(np.float64)
    left = residual + (effect @ change[..., None])[..., 0]
    square = (effect**2).sum(axis=1)
    for _ in range(PASSES):
        moved = False
        for knob in rng.permutation(num_knobs):
            column = effect[:, :, knob]
            along = (column * left).sum(axis=1)
            best = -np.rint(along / np.maximum(square[:, knob], 1e-300))
            best = np.clip(best, -REACH - change[:, knob], REACH - change[:, knob])
            moved |= bool(best.any())
            change[:, knob] += best
            left += column * best[:, None]
        if not moved:
            break
    return change
