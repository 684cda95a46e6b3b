"""What one annotator says about a record, as far as EC57 looks at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonic.beats import FS_HZ
from training.data.labels import LabelMap, flutter_stretches, in_flutter, is_beat
from training.data.records import Annotations

CLASSES = "NSVFQ"
"""Beat classes of EC57 in the order of label map ``aami-5``."""

MATCH_WINDOW_S = 0.150
"""Two annotations of one beat are at most this far apart."""

_NOISE = "~"
_ALL_LEADS_UNREADABLE = 0x30  # bits 4 and 5 of a noise annotation's subtype
_END_OF_TIME = np.iinfo(np.int64).max // 4

Stretches = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatMarks:
    """Beats and the stretches in which they count otherwise; times in samples at 360 Hz.

    Attributes:
        samples: (n,) ascending times of the beats outside of flutter.
        classes: (n,) index into :data:`CLASSES`.
        flutter: (k, 2) first and last sample of ventricular flutter or fibrillation.
        shutdown: (k, 2) first and last sample of stretches that cannot be read.
    """

    samples: NDArray[np.int64]
    classes: NDArray[np.int64]
    flutter: Stretches
    shutdown: Stretches

    @classmethod
    def of_beats(cls, samples: NDArray[np.int64], classes: NDArray[np.int64]) -> BeatMarks:
        """The marks of an annotator who knows beats only."""
        order = np.argsort(samples, kind="stable")
        none = np.empty((0, 2), dtype=np.int64)
        return cls(
            samples=samples[order], classes=classes[order], flutter=none, shutdown=none.copy()
        )


def beat_marks(annotations: Annotations, labels: LabelMap, record: str) -> BeatMarks:
    """What EC57 takes from a WFDB annotation file.

    A shutdown begins with a noise annotation that calls both leads unreadable and ends with one
    that does not. The AHA database writes a single one in the middle: there it lasts from one match
    window after the beat or flutter before to one match window before the next annotation.

    Args:
        annotations: every annotation of the record.
        labels: label map ``aami-5``.
        record: name of the record, for the message.

    Raises:
        DataError: a symbol that WFDB does not know.
    """
    symbols, samples = annotations.symbols, annotations.samples
    flutter = flutter_stretches(symbols, samples)
    outside = ~in_flutter(symbols, samples, samples)
    beat = is_beat(symbols, samples, record) & outside
    return BeatMarks(
        samples=samples[beat],
        classes=labels.encode(symbols[beat]),
        flutter=flutter,
        shutdown=_shutdowns(annotations, outside, samples[beat], flutter),
    )


def _shutdowns(
    annotations: Annotations,
    outside: NDArray[np.bool_],
    beats: NDArray[np.int64],
    flutter: Stretches,
) -> Stretches:
    samples, mask = annotations.samples, _ALL_LEADS_UNREADABLE
    noise = annotations.symbols == _NOISE
    # What stands inside flutter is not looked at.
    unreadable = noise & outside & ((annotations.subtypes & mask) == mask)
    margin = round(MATCH_WINDOW_S * FS_HZ)
    found = []
    for index in np.flatnonzero(unreadable):
        begin, after = samples[index], index + 1
        if after == len(samples):
            found.append((begin, _END_OF_TIME))
        elif noise[after] and not unreadable[after]:
            found.append((begin, samples[after]))
        else:
            before = np.concatenate([[0], beats, flutter[:, 1]])
            last = samples[after] - margin
            found.append((min(before[before <= begin].max() + margin, last), last))
    return np.array(found, dtype=np.int64).reshape(-1, 2)
