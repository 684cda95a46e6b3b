"""The plan of one of our runs that came without one: what its configuration promises.

Every switch that is on is a promise; it must leave its trace in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.inspector.plan import Component, E2Limits, L1Limits, Plan

# Records 201 and 202 are of one man (Moody and Mark 2001, "The impact of the MIT-BIH Arrhythmia
# Database"), and the literature's DS1 and DS2 hold one each.
SAME_PATIENT = (("201", "202"),)
PATIENT_ACROSS_SPLITS = ("ds1-ds2",)
PROJECTIONS = ("objective",)
"""Where the log has the gradient of the projections that the feature term learns."""


def plan_of_config(config: Mapping[str, Any]) -> Plan:
    """What a run's configuration promises.

    Args:
        config: leaves of ``config.toml`` by name.
    """
    tolerated = ("201",) if config.get("split") in PATIENT_ACROSS_SPLITS else ()
    return Plan(
        name="derived from config.toml",
        components=tuple(_components(config)),
        E2=E2Limits(beat_baselines=True),
        L1=L1Limits(same=SAME_PATIENT, tolerated=tolerated),
    )


def _components(config: Mapping[str, Any]) -> list[Component]:
    promised = []
    if config.get("use_weighted_sampler"):
        promised.append(
            Component(
                name="weighted sampler",
                kind="sampler",
                traces=("drawing",),
                expected=("weighted", "balanced"),
            )
        )
    if config.get("use_class_weights") or config.get("use_weighted_sampler"):
        promised.append(
            Component(
                name="warm-up of the rebalancing", kind="schedule", traces=("policy/actions/alpha",)
            )
        )
    if config.get("use_kd"):
        promised += [
            Component(
                name=f"distillation, {what}",
                kind="loss",
                traces=(f"term/{term}",),
                reasons=("KD off", "KD paused"),
                modules=modules,
            )
            for what, term, weight, modules in (
                ("logits", "kd_logits", "beta", ()),
                ("features", "kd_features", "gamma", PROJECTIONS),
            )
            if config.get(weight)
        ]
    profile = config.get("profile")
    if profile not in (None, "none"):
        promised.append(
            Component(
                name="training with the profile's bits",
                kind="stage",
                expected=(profile, Path(profile).stem),
            )
        )
    return promised
