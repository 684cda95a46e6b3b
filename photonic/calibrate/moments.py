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
    """Second moment ``(fan_in, fan_in)`` of what each layer of the float model reads.

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
            total[step.layer] = total.get(step.layer, 0.0) + x.T @ x
            count[step.layer] = count.get(step.layer, 0) + len(x)
    return {name: total[name] / count[name] for name in total}


def factor(moment: np.ndarray) -> np.ndarray:
    """Lower triangular ``L`` with ``L·Lᵀ`` the moment ``(n, n)``, scaled to a mean square of 1.

    ``‖ΔW·L‖_F`` is the error of products, and ``‖ΔW‖_F`` where inputs are alike and independent.
    """
    own = np.eye(len(moment))
    mean_square = np.trace(moment) / len(moment)
    if mean_square <= 0.0:
        return own
    return np.linalg.cholesky(moment / mean_square + UNSEEN * own)
