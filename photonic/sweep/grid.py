"""The grid of a sweep: values by name, every combination a point."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from photonic.errors import ConfigError
from photonic.profile import HardwareProfile, load_profile

PROFILE, SEED = "profile", "seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoint:
    """One point: what was varied, the hardware that gives, and the seed of its chips."""

    params: Mapping[str, Any]
    profile: HardwareProfile
    seed: int


def grid_points(
    profile: HardwareProfile, vary: Mapping[str, Sequence[Any]], seed: int = 0
) -> list[GridPoint]:
    """Every combination of the values, the last key changing fastest.

    Args:
        profile: hardware that the grid departs from.
        vary: values by dotted profile key, e.g. ``{"weight.bits": [4, 5]}``; ``profile`` takes
            names or files of profiles and ``seed`` whole numbers.
        seed: of the chips, where ``vary`` has no seeds.

    Raises:
        ConfigError: a key without values or with one value twice, or a seed that is no whole
            number from 0 on.
        ProfileError: a key or a profile that does not exist, or a value out of range.
    """
    for key, values in vary.items():
        if not len(values):
            raise ConfigError(f"vary {key!r}: no values given")
        twice = [value for i, value in enumerate(values) if value in list(values)[:i]]
        if twice:
            raise ConfigError(f"vary {key!r}: {twice[0]!r} is given twice")
    combinations = itertools.product(*vary.values())
    return [_point(profile, dict(zip(vary, values, strict=True)), seed) for values in combinations]


def _point(profile: HardwareProfile, params: dict[str, Any], seed: int) -> GridPoint:
    # The profile comes first, whatever the order of the keys: the others depart from it.
    if PROFILE in params:
        profile = load_profile(params[PROFILE])
    for key, value in params.items():
        if key == SEED:
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ConfigError(f"vary seed: {value!r} is no whole number from 0 on")
            seed = value
        elif key != PROFILE:
            profile = profile.with_value(key, value)
    return GridPoint(params=params, profile=profile, seed=seed)
