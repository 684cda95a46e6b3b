"""Which inputs a layer sees, so that errors count where there is light.

The error of a product is ``E‖ΔW·x‖² = tr(ΔW·M·ΔWᵀ)`` with the second moment ``M = E[x·xᵀ]`` of
the inputs, as in rounding networks to few bits (Nagel et al. 2020, Eq. 13; Frantar et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photonic.execute import FloatArithmetic, check_inputs, execute
from photonic.program import Linear, Program

# Share of the mean square of an input by which each is taken to vary on its own, so that
# directions that never occurred still count a little.
UNSEEN = 1e-3


def input_moments(program: Program, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Second moment of what each layer of the float model reads and of a constant 1 behind it.

    ``(fan_in + 1, fan_in + 1)`` each.

    Args:
        program: the model.
        inputs: ``(n, tokens, channels)`` by name; samples that nothing is scored on.

    Raises:
        ProgramError: inputs that do not fit.
    """
    check_inputs(program, inputs)
    values = execute(inputs, program.steps, FloatArithmetic(layers=program.layers))
    total: dict[str, np.ndarray] = {}
    count: dict[str, int] = {}
    for step in program.steps:
        if isinstance(step, Linear):
            x = values[step.source].reshape(-1, values[step.source].shape[-1])
            x = np.concatenate([x, np.ones_like(x[:, :1])], axis=1)
            total[step.layer] = total.get(step.layer, 0.0) + x.T @ x
            count[step.layer] = count.get(step.layer, 0) + len(x)
    return {name: total[name] / count[name] for name in total}


def factor(moment: np.ndarray) -> np.ndarray:
    """Lower triangular ``L`` with ``L·Lᵀ`` the moment ``(n + 1, n + 1)``, a constant last.

    It is scaled to inputs of a mean square of 1, so that ``‖ΔW·L‖_F`` is the error of products, and
    ``‖ΔW‖_F`` where inputs are alike and independent.
    """
    inputs = moment[:-1, :-1]
    mean_square = np.trace(inputs) / len(inputs)
    if mean_square <= 0.0:
        return np.eye(len(moment))
    return np.linalg.cholesky(moment / mean_square + UNSEEN * np.eye(len(moment)))
