"""Label maps: which WFDB beat symbol belongs to which class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from photonic.beats import BEAT_SYMBOLS, NON_BEAT_SYMBOLS
from photonic.errors import ConfigError, DataError

PACED_SYMBOL = "/"
"""A record with this symbol is paced: ANSI/AAMI EC57 leaves it out of arrhythmia scoring."""

DROPPED = -1
"""Class index of a beat that a label map leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """A named classification of beats.

    Attributes:
        name: name in the registry.
        classes: class names, by class index.
        symbols: beat symbol -> class index; beats with other symbols are left out.
        excludes_paced: records with paced beats are left out unless asked for.
        excludes_flutter: beats inside ventricular flutter or fibrillation are left out.
        note: one sentence for reports.
    """

    name: str
    classes: tuple[str, ...]
    symbols: Mapping[str, int]
    excludes_paced: bool
    excludes_flutter: bool
    note: str

    def encode(self, symbols: NDArray[np.str_]) -> NDArray[np.int64]:
        """Class index of each beat symbol, :data:`DROPPED` where the map leaves it out."""
        labels = np.full(len(symbols), DROPPED, dtype=np.int64)
        for symbol, index in self.symbols.items():
            labels[symbols == symbol] = index
        return labels


# ANSI/AAMI EC57 classes; B, n, r and ? as in PhysioNet's `bxb`, e and j chosen by the caller.
_AAMI = {
    "N": "NLRB",
    "S": "AaJSn",
    "V": "VEr",
    "F": "F",
    "Q": "/fQ?",
}
_ESCAPE_BEATS = "ej"

_BINARY = ("normal", "abnormal")
# name -> (classes, class of each AAMI group, note)
_AAMI_MAPS: dict[str, tuple[tuple[str, ...], dict[str, int], str]] = {
    "aami-binary": (
        _BINARY,
        {"N": 0, "S": 1, "V": 1, "F": 1, "Q": 1},
        "AAMI class N against S, V, F and Q",
    ),
    "aami-4": (
        ("N", "S", "V", "O"),
        {"N": 0, "S": 1, "V": 2, "F": 3, "Q": 3},
        "AAMI classes with F and Q joined as O",
    ),
    "aami-5": (
        ("N", "S", "V", "F", "Q"),
        {"N": 0, "S": 1, "V": 2, "F": 3, "Q": 4},
        "the five classes of ANSI/AAMI EC57",
    ),
}

LABEL_MAPS = ("seed-binary", *_AAMI_MAPS)
"""Names that :func:`label_map` knows."""


def label_map(name: str, *, escape: str = "N") -> LabelMap:
    """The label map of this name.

    Args:
        name: one of :data:`LABEL_MAPS`.
        escape: class of atrial and junctional escape beats (``e``, ``j``) in the AAMI maps: "N" as
            in de Chazal et al. 2004, or "S" as in PhysioNet's `bxb`.

    Raises:
        ConfigError: the name or the class is unknown.
    """
    if escape not in ("N", "S"):
        raise ConfigError(f"class {escape!r} for escape beats (e, j): choose N or S")
    if name == "seed-binary":
        return LabelMap(
            name=name,
            classes=_BINARY,
            symbols=MappingProxyType({"N": 0, "V": 1, "S": 1, "F": 1, "Q": 1}),
            excludes_paced=False,
            excludes_flutter=False,
            note="symbol N against V, S, F and Q; beats with any other symbol are left out",
        )
    if name not in _AAMI_MAPS:
        raise ConfigError(f"label map {name!r} is unknown: choose one of {', '.join(LABEL_MAPS)}")
    classes, index_of_group, note = _AAMI_MAPS[name]
    symbols = {
        symbol: index_of_group[group] for group, members in _AAMI.items() for symbol in members
    }
    symbols.update(dict.fromkeys(_ESCAPE_BEATS, index_of_group[escape]))
    return LabelMap(
        name=name,
        classes=classes,
        symbols=MappingProxyType(symbols),
        excludes_paced=True,
        excludes_flutter=True,
        note=f"{note}; escape beats count as {escape}",
    )


def is_beat(
    symbols: NDArray[np.str_], samples: NDArray[np.int64], record: str
) -> NDArray[np.bool_]:
    """Which annotations (n,) mark a beat.

    Args:
        symbols: (n,) WFDB annotation symbols.
        samples: (n,) their sample numbers, for the message.
        record: name of the record, for the message.

    Raises:
        DataError: a symbol is neither a beat nor a non-beat symbol of WFDB.
    """
    beat = np.isin(symbols, sorted(BEAT_SYMBOLS))
    unknown = ~beat & ~np.isin(symbols, sorted(NON_BEAT_SYMBOLS))
    if unknown.any():
        first = int(np.argmax(unknown))
        raise DataError(
            f"record {record}: annotation symbol {str(symbols[first])!r} at sample "
            f"{samples[first]} is not a WFDB symbol ({int(unknown.sum())} such): beats are "
            f"{''.join(sorted(BEAT_SYMBOLS))}; correct the annotation file"
        )
    return beat


def in_flutter(
    symbols: NDArray[np.str_], samples: NDArray[np.int64], beats: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which beats (m,) lie in a stretch between ``[`` and ``]``, ventricular flutter.

    A stretch that is never closed lasts to the end of the record.

    Args:
        symbols: (n,) all annotation symbols of the record.
        samples: (n,) their sample numbers, ascending.
        beats: (m,) sample numbers of the beats.
    """
    inside = np.zeros(len(beats), dtype=bool)
    for start, stop in flutter_stretches(symbols, samples):
        inside |= (beats >= start) & (beats <= stop)
    return inside


def flutter_stretches(symbols: NDArray[np.str_], samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """First and last sample (k, 2) of every stretch between ``[`` and ``]``.

    Args:
        symbols: (n,) all annotation symbols of the record.
        samples: (n,) their sample numbers, ascending.
    """
    starts = samples[symbols == "["]
    ends = np.append(samples[symbols == "]"], np.iinfo(np.int64).max)
    return np.stack([starts, ends[np.searchsorted(ends, starts)]], axis=1)
