"""What the stream says about one beat."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Fault(Enum):
    """Why a beat has no class; the value is the word in reports."""

    CUT = "cut"
    """Its window leaves the stream: before the first sample or after the last."""
    GAP = "gap"
    """Samples of its window are missing."""
    FLAT = "flat"
    """The lead is off or shorted: part of its window stands still."""
    SATURATED = "saturated"
    """The amplifier is at its limit in part of its window."""


class StreamedBeat(NamedTuple):
    """One beat with its class, or with the reason why it has none.

    Attributes:
        sample: number of the R peak's sample since the start of the stream, at 360 Hz.
        known_at: samples that had arrived when the R peak was known.
        decided_at: samples that had arrived when everything the decision needs was there.
        label: class index, or None.
        fault: why ``label`` is None.
        logits: one number per class; empty without a class.
        preprocess_us: time to cut, normalise and make features.
        inference_us: time of the graph.
        total_us: both, and the decision.
        floor_us: time of the identity graph on the same input.
    """

    sample: int
    known_at: int
    decided_at: int
    label: int | None = None
    fault: Fault | None = None
    logits: tuple[float, ...] = ()
    preprocess_us: float = 0.0
    inference_us: float = 0.0
    total_us: float = 0.0
    floor_us: float = 0.0
