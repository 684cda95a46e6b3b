"""What the bits of the core cost: the deployed model against the float model, on labelled beats."""

from __future__ import annotations

import numpy as np

from export.bundle import Bundle
from export.findings import Finding, finding
from photonic.execute import run_float, run_integer
from photonic.profile import HardwareProfile
from photonic.scores import default_score, score
from photonic.tallies import confusion_counts


def check_score(bundle: Bundle, profile: HardwareProfile) -> list[Finding]:
    """A finding when the deployed model scores worse than the limit allows.

    Both models decide on the bundle's reference sample by the bundle's own rule; without labels,
    or without bits, there is nothing to compare.
    """
    converters, reference = profile.converters(), bundle.reference
    if converters is None or reference.label is None:
        return []
    label, program, decision = reference.label, bundle.program, bundle.decision
    name = default_score(len(decision.classes))
    rule = score(name, decision.classes)

    def scored(logits: np.ndarray) -> float:
        return float(rule.of(confusion_counts(label, decision(logits), len(decision.classes))))

    ideal = scored(run_float(program, reference.inputs))
    deployed = scored(run_integer(program, reference.inputs, converters) * converters.adc.step)
    limit = profile.limits.max_score_drop
    if not ideal - deployed > limit:
        return []
    what = (
        f"{name} on {len(label)} reference beats falls from {ideal:.3f} in float to "
        f"{deployed:.3f} with the bits of {profile.name}"
    )
    return [finding("QNT006", "error", what, value=ideal - deployed, limit=limit)]
