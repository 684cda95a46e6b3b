"""A program on a real core beside what it should be: the deployed model's codes and decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from photonic.backends.core import PhotonicCore
from photonic.backends.run import run_on_core
from photonic.decision import Decision
from photonic.execute import run_float, run_integer
from photonic.program import Program

BEATS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreParity:
    """What a core did to a sample, beside the integer reference (the float model without bits).

    Attributes:
        num_samples: beats that were run.
        decision_mismatches: decisions that differ from the reference's.
        mean_abs_diff: of a logit.
        max_abs_diff: of a logit.
        lsb: of the ADC, in units of a logit; ``None`` without bits.
        agreement_needed: share of decisions that must agree.
    """

    num_samples: int
    decision_mismatches: int
    mean_abs_diff: float
    max_abs_diff: float
    lsb: float | None
    agreement_needed: float

    @property
    def passed(self) -> bool:
        """Whether enough decisions agree; a chip with noise is not expected to agree on all."""
        return self.decision_mismatches <= (1.0 - self.agreement_needed) * self.num_samples


def compare_core(
    program: Program,
    core: PhotonicCore,
    inputs: Mapping[str, np.ndarray],
    decision: Decision,
    *,
    agreement: float,
    advance: Callable[[int], None] = lambda beats: None,
) -> CoreParity:
    """Run ``inputs`` on the first lane of ``core`` and compare.

    Args:
        program: the model.
        core: where it runs.
        inputs: ``(batch, tokens, channels)`` by name.
        decision: from logits to a class.
        agreement: share of decisions that must agree.
        advance: called with the number of beats done.

    Raises:
        RunError: the core failed, or answered with what are no numbers.
    """
    converters = core.profile.converters()
    if converters is None:
        expected = run_float(program, inputs)
    else:
        expected = run_integer(program, inputs, converters) * converters.adc.step
    parts = []
    for first in range(0, len(expected), BEATS_AT_ONCE):
        block = {name: x[first : first + BEATS_AT_ONCE] for name, x in inputs.items()}
        parts.append(run_on_core(program, core, block, advance=advance)[0])
    logits = np.concatenate(parts)
    difference = np.abs(logits - expected)
    return CoreParity(
        num_samples=len(logits),
        decision_mismatches=int((decision(logits) != decision(expected)).sum()),
        mean_abs_diff=float(difference.mean()),
        max_abs_diff=float(difference.max()),
        lsb=None if converters is None else converters.adc.step,
        agreement_needed=agreement,
    )
