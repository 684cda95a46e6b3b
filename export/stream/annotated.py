"""Annotated beats beside streamed ones: which were found, and which class they were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from export.stream.beat import StreamedBeat
from photonic.beats import BEAT_SYMBOLS, FS_HZ

MATCH_WINDOW = 54
"""150 ms in samples at 360 Hz: how far ANSI/AAMI EC57 lets a beat lie from its annotation."""

MISSED = "missed"
"""Column of annotated beats that the detector did not find."""

UNCLASSIFIED = "unclassified"
"""Column of beats that were found and got no class."""

EXTRA = "extra"
"""Row of detected beats that no annotation belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedBeats:
    """The annotated beats of a record.

    Attributes:
        samples: (beats,) ascending sample numbers at 360 Hz.
        symbols: (beats,) WFDB symbols.
        excluded: (ranges, 2) sample ranges that are not scored: ventricular flutter.
    """

    samples: NDArray[np.int64]
    symbols: NDArray[np.str_]
    excluded: NDArray[np.int64]


def annotated_beats(samples: NDArray[np.int64], symbols: NDArray[np.str_]) -> AnnotatedBeats:
    """The beats among all annotations of a record; ventricular flutter is not scored.

    Args:
        samples: (n,) ascending sample numbers at 360 Hz.
        symbols: (n,) WFDB symbols; ``[`` and ``]`` enclose flutter, to the end if never closed.
    """
    beat = np.isin(symbols, sorted(BEAT_SYMBOLS))
    ends = samples[symbols == "]"]
    excluded = [
        (start, min(ends[ends >= start], default=np.iinfo(np.int64).max))
        for start in samples[symbols == "["]
    ]
    return AnnotatedBeats(
        samples=samples[beat],
        symbols=symbols[beat],
        excluded=np.array(excluded, dtype=np.int64).reshape(-1, 2),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionScore:
    """How many annotated beats were found."""

    num_matched: int
    num_missed: int
    num_extra: int

    @property
    def sensitivity(self) -> float | None:
        """Share of the annotated beats that were found; None without annotated beats."""
        return _share(self.num_matched, self.num_missed)

    @property
    def ppv(self) -> float | None:
        """Share of the detected beats that are annotated; None without detected beats."""
        return _share(self.num_matched, self.num_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Pairs of annotated and detected beats.

    Attributes:
        of_reference: (annotated beats,) index of the detected beat, -1 where it was missed.
        of_detected: (detected beats,) index of the annotated beat, -1 where it is extra.
        scored_reference: (annotated beats,) bool, outside the excluded ranges.
        scored_detected: (detected beats,) bool, outside the excluded ranges.
    """

    of_reference: NDArray[np.int64]
    of_detected: NDArray[np.int64]
    scored_reference: NDArray[np.bool_]
    scored_detected: NDArray[np.bool_]

    def score(self) -> DetectionScore:
        """Counts outside the excluded ranges."""
        matched = self.of_reference >= 0
        return DetectionScore(
            num_matched=int((matched & self.scored_reference).sum()),
            num_missed=int((~matched & self.scored_reference).sum()),
            num_extra=int(((self.of_detected < 0) & self.scored_detected).sum()),
        )


def match(reference: AnnotatedBeats, detected_samples: ArrayLike) -> Matches:
    """Pair every detected beat with the annotated beat within 150 ms of it, one to one.

    Args:
        reference: annotated beats.
        detected_samples: (n,) ascending sample numbers at 360 Hz.
    """
    detected = np.asarray(detected_samples, dtype=np.int64)
    of_reference = np.full(len(reference.samples), -1, dtype=np.int64)
    if len(detected) and len(reference.samples):
        from wfdb.processing import compare_annotations  # takes half a second to import

        pairs = compare_annotations(reference.samples, detected, MATCH_WINDOW)
        of_reference[:] = pairs.matching_sample_nums
    of_detected = np.full(len(detected), -1, dtype=np.int64)
    found = np.flatnonzero(of_reference >= 0)
    of_detected[of_reference[found]] = found
    scored_detected = ~_inside(detected, reference.excluded)
    scored_reference = ~_inside(reference.samples, reference.excluded)
    # A pair is scored as its annotation is.
    scored_detected[of_reference[found]] = scored_reference[found]
    return Matches(
        of_reference=of_reference,
        of_detected=of_detected,
        scored_reference=scored_reference,
        scored_detected=scored_detected,
    )


def confusion(
    reference: AnnotatedBeats,
    matches: Matches,
    beats: Sequence[StreamedBeat],
    classes: Sequence[str],
    symbols: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    """Annotated class -> decided class -> number of beats, with missed and extra beats.

    Annotated beats whose symbol has no class are left out, and with them the beats they match.

    Args:
        reference: annotated beats.
        matches: its pairs with ``beats``.
        beats: streamed beats.
        classes: class names.
        symbols: WFDB symbol -> class index.
    """
    columns = [*classes, UNCLASSIFIED]
    table = {row: dict.fromkeys([*columns, MISSED], 0) for row in classes}
    table[EXTRA] = dict.fromkeys(columns, 0)
    decided = [UNCLASSIFIED if beat.label is None else classes[beat.label] for beat in beats]
    for i in np.flatnonzero(matches.scored_reference):
        label = symbols.get(str(reference.symbols[i]))
        if label is not None:
            pair = matches.of_reference[i]
            table[classes[label]][decided[pair] if pair >= 0 else MISSED] += 1
    for i in np.flatnonzero(matches.scored_detected & (matches.of_detected < 0)):
        table[EXTRA][decided[i]] += 1
    return table


def scoring_from(reference: AnnotatedBeats, seconds: float) -> AnnotatedBeats:
    """The same beats with the first ``seconds`` excluded, e.g. EC57's learning period of 300 s."""
    start = np.array([[-MATCH_WINDOW, round(seconds * FS_HZ) - 1]])
    return AnnotatedBeats(
        samples=reference.samples,
        symbols=reference.symbols,
        excluded=np.concatenate([start, reference.excluded]),
    )


def _inside(samples: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.bool_]:
    inside = np.zeros(len(samples), dtype=bool)
    for first, last in ranges:
        inside |= (samples >= first) & (samples <= last)
    return inside


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
