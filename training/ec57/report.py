"""The result of EC57 scoring: per record, gross and average, as a table, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from training.bootstrap import Interval, draw_weights, interval, summed
from training.ec57.marks import CLASSES, MATCH_WINDOW_S
from training.ec57.match import LEARNING_S, MISSED, SIZE, Counts
from training.ec57.tally import FIGURES, called_abnormal, figures

GROSS, AVERAGE = "gross", "average"
COUNT_NAMES = tuple(
    f"{row}{column}"
    for row in f"{CLASSES}OX"
    for column in f"{CLASSES}OX".lower()
    if row not in "OX" or column not in "ox"
)
"""Names of the counts as ``bxb`` has them: reference class in capitals, test class small."""

_TITLES = {"qrs": "QRS", "veb": "V", "sveb": "S", "abnormal": "abnormal"}
_SHORT = {"sensitivity": "Se", "ppv": "+P", "fpr": "FPR"}

Figures = dict[str, dict[str, float | None]]


@dataclass(frozen=True, kw_only=True)
class Ec57Report:
    """Matrices of beat pairs of several records and what follows from them.

    Attributes:
        records: names.
        counts: (records, 7, 7) as :func:`training.ec57.match.match` counts them.
        events: the events of :data:`FIGURES` that the test classes can tell.
        called: class of the model -> class of EC57 that it counts as.
        excluded: paced records, left out.
        notes: what must be said beside the figures.
        seed: of the draws for the intervals.
    """

    records: tuple[str, ...]
    counts: Counts
    events: tuple[str, ...]
    called: Mapping[str, str]
    excluded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seed: int = field(default=0)

    @property
    def per_record(self) -> list[Figures]:
        """Figures of every record; None where one is undefined or cannot be told."""
        return [self._plain(counts) for counts in self.counts]

    @property
    def gross(self) -> Figures:
        """Figures of the sum of all records: every beat weighs the same."""
        return self._plain(self.counts.sum(axis=0))

    @property
    def average(self) -> Figures:
        """Mean over the records where a figure is defined: every such record weighs the same."""
        return {
            event: {
                name: float(np.nanmean(values)) if (~np.isnan(values)).any() else None
                for name, values in self._of_records[event].items()
            }
            for event in self.events
        }

    @property
    def intervals(self) -> dict[str, dict[str, Interval]]:
        """95 % interval of every gross figure over draws of records; None for one record."""
        drawn = self._drawn
        return {
            event: {
                name: None if drawn is None else interval(drawn[event][name])
                for name in FIGURES[event]
            }
            for event in self.events
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        gross, average, intervals = self.gross, self.average, self.intervals
        held = {
            event: {
                name: int((~np.isnan(values)).sum())
                for name, values in self._of_records[event].items()
            }
            for event in self.events
        }
        return {
            "rules": "ANSI/AAMI EC57 as in PhysioNet bxb",
            "match_window_s": MATCH_WINDOW_S,
            "scored_from_s": LEARNING_S,
            "events": list(self.events),
            "called": dict(self.called),
            "num_records": len(self.records),
            "excluded_paced": list(self.excluded),
            GROSS: {
                **gross,
                "intervals": intervals,
                "called_abnormal": self.called_abnormal,
                "counts": self._named(self.counts.sum(axis=0)),
            },
            AVERAGE: {**average, "num_records": held},
            "per_record": [
                {"record": name, **values, "counts": self._named(counts)}
                for name, values, counts in zip(
                    self.records, self.per_record, self.counts, strict=True
                )
            ],
            "notes": list(self.notes),
        }

    @property
    def called_abnormal(self) -> dict[str, float | None]:
        """Share of the beats of each abnormal reference class that were called abnormal."""
        shares = called_abnormal(self.counts.sum(axis=0))
        return {name: _number(share) for name, share in shares.items()}

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Headings and rows: one per record, then gross and average; rates in percent."""
        columns = [
            f"{_TITLES[event]} {_SHORT[name]}" for event in self.events for name in FIGURES[event]
        ]
        headings = ["record", "beats", "missed", "extra", *(f"{c} %" for c in columns)]
        total = self.counts.sum(axis=0)
        rows = [
            [name, *_sizes(counts), *self._percent(values)]
            for name, counts, values in zip(self.records, self.counts, self.per_record, strict=True)
        ]
        rows.append([GROSS, *_sizes(total), *self._percent(self.gross)])
        rows.append([AVERAGE, None, None, None, *self._percent(self.average)])
        return headings, rows

    def to_csv(self) -> str:
        """One line per record, then gross and average: figures as fractions, then all counts."""
        names = [f"{event}_{name}" for event in self.events for name in FIGURES[event]]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["record", *names, *COUNT_NAMES])
        rows = [*zip(self.records, self.per_record, self.counts, strict=True)]
        for name, values, counts in [*rows, (GROSS, self.gross, self.counts.sum(axis=0))]:
            writer.writerow([name, *self._flat(values), *self._named(counts).values()])
        writer.writerow([AVERAGE, *self._flat(self.average), *[""] * len(COUNT_NAMES)])
        return buffer.getvalue()

    @cached_property
    def _of_records(self) -> dict[str, dict[str, np.ndarray]]:
        return figures(self.counts)

    @cached_property
    def _drawn(self) -> dict[str, dict[str, np.ndarray]] | None:
        if len(self.records) < 2:
            return None
        return figures(summed(draw_weights(len(self.records), seed=self.seed), self.counts))

    def _plain(self, counts: Counts) -> Figures:
        found = figures(counts)
        return {
            event: {name: _number(found[event][name]) for name in FIGURES[event]}
            for event in self.events
        }

    def _flat(self, values: Figures) -> list[float | None]:
        return [values[event][name] for event in self.events for name in FIGURES[event]]

    def _percent(self, values: Figures) -> list[float | None]:
        return [None if value is None else 100.0 * value for value in self._flat(values)]

    @staticmethod
    def _named(counts: Counts) -> dict[str, int]:
        flat = [
            int(counts[row, column])
            for row in range(SIZE)
            for column in range(SIZE)
            if row < MISSED or column < MISSED
        ]
        return dict(zip(COUNT_NAMES, flat, strict=True))


def _sizes(counts: Counts) -> tuple[int, int, int]:
    """Reference beats, missed ones, extra ones."""
    beats = counts[:MISSED]
    return int(beats.sum()), int(beats[:, MISSED:].sum()), int(counts[MISSED:].sum())


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
