"""What bits and settings of a core cost: the bundle's embodiments scored on labelled beats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.bundle import Bundle
from export.chunks import chunks
from export.findings import Finding, finding
from export.reexecute import settings_arithmetic
from photonic.errors import ConfigError
from photonic.execute import execute, run_float, run_integer
from photonic.profile import HardwareProfile
from photonic.scores import default_score, score
from photonic.tallies import tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One score of every form of a model; more is better.

    Attributes:
        metric: name of the score.
        num_samples: samples it was formed on.
        reference: of the float model.
        deployed: of the model with the bits of the core; ``None`` without a deployed model.
        settings: of that with the matrices which ``settings/`` realise; ``None`` where the bundle
            has none for the profile.
    """

    metric: str
    num_samples: int
    reference: float
    deployed: float | None = None
    settings: float | None = None

    def keeps(self, least: float) -> bool:
        """Whether every form scores at least ``least``."""
        return all(s >= least for s in (self.deployed, self.settings) if s is not None)


def bundle_scores(
    bundle: Bundle,
    inputs: Mapping[str, np.ndarray],
    label: np.ndarray,
    *,
    profile: HardwareProfile | None = None,
    metric: str | None = None,
) -> Scores:
    """Score the forms of the model in ``bundle``, each deciding by the bundle's own rule.

    Args:
        bundle: an opened bundle.
        inputs: program inputs ``(n, tokens, channels)`` by name.
        label: true class of each sample, ``(n,)``.
        profile: the hardware whose bits are meant; the bundle's own by default.
        metric: name of the score; F1 for two classes, macro-F1 for more by default.

    Raises:
        ConfigError: an unknown metric, or one that needs a class of which there is no sample.
        BundleError: settings that are missing or damaged.
    """
    program, decision, profile = bundle.program, bundle.decision, profile or bundle.profile
    rule = score(metric or default_score(len(decision.classes)), decision.classes)
    counting = tally(rule.tally, len(decision.classes))
    converters = profile.converters()
    own = bundle.has_quantized and profile.hash() == bundle.profile_hash
    settings = settings_arithmetic(bundle) if own else None
    counts: dict[str, np.ndarray] = {}
    done = 0
    for part in chunks(inputs):
        forms = {"reference": run_float(program, part)}
        if converters is not None:
            forms["deployed"] = run_integer(program, part, converters) * converters.adc.step
        if settings is not None:
            codes = execute(part, program.steps, settings)[program.output][..., 0, :]
            forms["settings"] = codes * settings.converters.adc.step
        true = label[done : done + len(forms["reference"])]
        done += len(true)
        for name, logits in forms.items():
            counts[name] = counts.get(name, 0) + counting.count(true, logits, decision)
    found = {name: float(rule.of(total)) for name, total in counts.items()}
    if np.isnan(found["reference"]):
        raise ConfigError(f"metric {rule.name!r}: a class it needs has no sample in this data")
    return Scores(metric=rule.name, num_samples=done, **found)


def check_score(
    bundle: Bundle,
    profile: HardwareProfile,
    inputs: Mapping[str, np.ndarray],
    label: np.ndarray | None,
    *,
    metric: str | None = None,
    keep: float | None = None,
) -> list[Finding]:
    """Findings when the deployed model scores worse than allowed.

    Allowed is a drop of ``limits.max_score_drop``, or what leaves the share ``keep`` of the float
    model's score. Without labels, or without bits, there is nothing to compare; nor, unless it was
    asked for, where the score is undefined.
    """
    if profile.converters() is None or label is None:
        return []
    try:
        scores = bundle_scores(bundle, inputs, label, profile=profile, metric=metric)
    except ConfigError:
        if metric is None and keep is None:
            return []
        raise
    limit = profile.limits.max_score_drop if keep is None else (1 - keep) * scores.reference
    findings = []
    for code, form, cause in (
        ("QNT006", scores.deployed, f"the bits of {profile.name}"),
        ("SET003", scores.settings, f"what its settings realise on {profile.name}"),
    ):
        if form is not None and scores.reference - form > limit:
            what = (
                f"{scores.metric} on {scores.num_samples} beats falls from "
                f"{scores.reference:.3f} in float to {form:.3f} with {cause}"
            )
            drop = scores.reference - form
            findings.append(finding(code, "error", what, value=drop, limit=limit))
    return findings
