"""The figures of a stream: decisions, faults, time per beat, agreement with annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from export.stream.annotated import DetectionScore
from export.stream.run import StreamLog
from photonic.beats import FS_HZ, WINDOW

_PERCENTILES = (50, 90, 99)


def summarise(log: StreamLog, classes: Sequence[str], *, deadline_us: float) -> dict[str, Any]:
    """The JSON object of ``photonic stream`` without the comparison with a reference.

    Times are microseconds per classified beat: ``latency_us`` the graph alone, beside ``floor_us``,
    the identity graph on the same input; ``preprocess_us`` window and features; ``total_us`` both
    and the decision, which is what has the deadline. Delays are samples after the R peak.

    Args:
        log: the streamed beats, and the time that they took.
        classes: class names.
        deadline_us: time that a beat may take.
    """
    beats = log.beats
    classified = [beat for beat in beats if beat.label is not None]
    total = [beat.total_us for beat in classified]
    floor = [beat.floor_us for beat in classified]
    # The floor is measured between the beats and is no part of the work.
    busy_seconds = max(log.busy_seconds - sum(floor) * 1e-6, 1e-9)
    decisions = Counter(classes[beat.label] for beat in classified if beat.label is not None)
    faults = Counter(beat.fault.value for beat in beats if beat.fault is not None)
    return {
        "num_beats": len(beats),
        "num_sessions": log.num_sessions,
        "seconds_of_signal": log.num_samples / FS_HZ,
        "num_classified": len(classified),
        "decisions": {name: decisions[name] for name in classes},
        "unclassified": dict(sorted(faults.items())),
        "latency_us": percentiles([beat.inference_us for beat in classified]),
        "floor_us": percentiles(floor),
        "preprocess_us": percentiles([beat.preprocess_us for beat in classified]),
        "total_us": percentiles(total),
        "deadline_us": deadline_us,
        "missed_deadlines": sum(value > deadline_us for value in total),
        "beats_per_second": len(beats) / busy_seconds,
        "times_real_time": log.num_samples / FS_HZ / busy_seconds,
        "detector_delay_samples": percentiles([b.known_at - b.sample for b in beats]),
        "window_delay_samples": WINDOW // 2,
        "decision_delay_samples": percentiles([b.decided_at - b.sample for b in classified]),
    }


def detection(score: DetectionScore | None) -> dict[str, Any]:
    """JSON form of a detection score; None throughout where nothing was detected or annotated."""
    names = ("sensitivity", "ppv", "num_matched", "num_missed", "num_extra")
    return {name: None if score is None else getattr(score, name) for name in names}


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Median, 90th and 99th percentile and maximum; None without values."""
    if not values:
        return dict.fromkeys([*(f"p{p}" for p in _PERCENTILES), "max"])
    found = np.percentile(values, _PERCENTILES)
    named = {f"p{p}": round(float(v), 3) for p, v in zip(_PERCENTILES, found, strict=True)}
    return {**named, "max": round(float(max(values)), 3)}
