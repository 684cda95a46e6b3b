"""What the settings of each device kind can be set to: limits, steps, and which ones go round."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from photonic.errors import ProfileError
from photonic.profile import HardwareProfile

Reach = Literal["element", "row", "core"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """The adjustable array of a kind's settings.

    Attributes:
        name: of the array.
        low: least value.
        high: largest value.
        step: distance of neighbouring codes; ``None`` for values without codes.
        period: after which values repeat; ``None`` where they do not.
        probe: a change that is large enough to be seen and small enough to be linear.
        reach: what of the matrix one of them moves: an element, which is then the last two indices
            of the array, a row, which is the last but one, or anything.
    """

    name: str
    low: float
    high: float
    step: float | None
    period: float | None
    probe: float
    reach: Reach

    def allowed(self, values: np.ndarray) -> np.ndarray:
        """The nearest values that the hardware can set."""
        if self.step is None:
            return values if self.period is not None else np.clip(values, self.low, self.high)
        codes = np.rint((values - self.low) / self.step)
        last = round((self.high - self.low) / self.step)
        codes = np.clip(codes, 0, last) if self.period is None else np.mod(codes, last + 1)
        return self.low + codes * self.step


def knob_of(profile: HardwareProfile) -> Knob:
    """The knob of the profile's kind.

    Raises:
        ProfileError: a kind whose settings are not known here.
    """
    match profile.kind:
        case "mzi":
            return _phases(profile)
        case "mrr":
            reach, bits = profile.ring.max_detuning, profile.ring.tuning_bits
            step = None if bits is None else reach / (2**bits - 1)
            probe = max(0.1 if _reads_coarsely(profile) else 0.02, 2 * (step or 0.0))
            return Knob(
                name="detuning", low=0.0, high=reach, step=step, period=None, probe=probe,
                reach=_reach_of_rings(profile),
            )  # fmt: skip
        case "pcm":
            bits = profile.pcm.level_bits
            step = None if bits is None else 2.0**-bits
            high = 1.0 if step is None else 1.0 - step
            return Knob(
                name="cells", low=0.0, high=high, step=step, period=None, probe=step or 0.05,
                reach="element",
            )  # fmt: skip
        case "generic":
            weight = profile.weight
            full = weight.full_scale
            step = None if weight.bits is None else full / 2 ** (weight.bits - 1)
            low = -full if step is None or not weight.symmetric else -full + step
            high = full if step is None else full - step
            return Knob(
                name="weight", low=low, high=high, step=step, period=None, probe=step or 0.05,
                reach="element",
            )  # fmt: skip
        case kind:
            raise ProfileError(
                f"profile {profile.name!r}: what can be adjusted on kind {kind!r} is not known; "
                "known are mzi, mrr, pcm, generic"
            )


def _phases(profile: HardwareProfile) -> Knob:
    """Phases of heaters; where these warm each other, 0 and a full turn are not the same."""
    bits, turn = profile.optics.phase_bits, 2.0 * math.pi
    step = None if bits is None else turn / 2**bits
    coupled = profile.heater.crosstalk > 0.0
    high = 2.0 * turn if step is None else turn - step
    return Knob(
        name="phases_rad",
        low=0.0,
        high=high,
        step=step,
        period=None if coupled else turn,
        probe=max(0.1 if _reads_coarsely(profile) else 1e-3, 2.0 * (step or 0.0)),
        reach="core",
    )


def _reach_of_rings(profile: HardwareProfile) -> Reach:
    """Heaters warm other rings; without that, rings of one bus still share its light."""
    if profile.heater.crosstalk:
        return "core"
    return "element" if profile.ring.spacing is None else "row"


def _reads_coarsely(profile: HardwareProfile) -> bool:
    """Whether a reading has codes or noise, in which a small change would drown."""
    output = profile.output
    return bool(
        output.bits is not None or output.noise_sigma or profile.noise.bandwidth_ghz is not None
    )


def rounded(settings: Mapping[str, np.ndarray], profile: HardwareProfile) -> dict[str, np.ndarray]:
    """Settings as the hardware sets them."""
    knob = knob_of(profile)
    values = {name: np.asarray(array, dtype=np.float64) for name, array in settings.items()}
    return values | {knob.name: knob.allowed(values[knob.name])}
