"""Which candidates are QRS complexes: adaptive threshold, T-wave test, search-back.

The rules are those of Pan & Tompkins 1985 and of Hamilton & Tompkins 1986 in the form that suits an
envelope with one maximum per complex.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import fsum
from statistics import median
from typing import NamedTuple

from export.stream.candidates import REFRACTORY, Candidate
from photonic.beats import FS_HZ

LEARNING = 2 * FS_HZ
"""Samples of envelope that the first levels are taken from; beats in them are announced after."""

MEMORY = 3 * FS_HZ
"""A candidate older than that is not searched any more."""

_THRESHOLD = 0.33  # between the level of the noise and that of the complexes
_LEVEL_BEATS = 8  # complexes and noise maxima that the levels are taken from
_FIRST_NOISE = 0.1  # of the first complex, before there is any noise maximum
# A T wave follows its complex within 0.33 s and has little of the QRS band.
_T_WAVE_SAMPLES, _T_WAVE_HEIGHT = 120, 0.55
# Search-back: where no complex came for 1.4 mean intervals, a candidate over half the threshold
# is one after all. Each search in vain lowers the level of the complexes, down to the floors.
_SEARCH_AFTER, _SEARCH_THRESHOLD = 1.4, 0.5
_DECAY, _LOWEST_LEVEL, _LEVEL_OVER_NOISE = 0.7, 0.05, 3.0
_FADED_FOR_GOOD = 3  # searches in vain; a pause of the heart is shorter, or costs a few T waves
_INTERVALS, _FIRST_INTERVAL, _LONGEST_INTERVAL = 8, FS_HZ, 2 * FS_HZ


class Complex(NamedTuple):
    """A QRS complex: its position, and up to where the envelope had to be settled to know it."""

    position: int
    settled: int


class QrsRules:
    """Decides on candidates in the order of time."""

    def __init__(self) -> None:
        self._learning: list[Candidate] | None = []
        self._signal: deque[float] = deque(maxlen=_LEVEL_BEATS)
        self._noise: deque[float] = deque(maxlen=_LEVEL_BEATS)
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._last: Candidate | None = None
        self._rejected: deque[Candidate] = deque()
        self._searches = 0

    def push(self, candidates: Iterable[Candidate], settled: int) -> list[Complex]:
        """Take the next candidates and return the complexes known now.

        Args:
            candidates: ascending, before ``settled``.
            settled: no other candidate will come before this position.
        """
        if self._learning is not None:
            self._learning.extend(candidates)
            if settled < LEARNING:
                return []
            return self._learn(settled)
        return self._decide(candidates, settled)

    def finish(self, settled: int) -> list[Complex]:
        """The complexes of a stream that ended before the levels were learned."""
        return [] if self._learning is None else self._learn(settled)

    def _learn(self, settled: int) -> list[Complex]:
        candidates, self._learning = self._learning or [], None
        early = [c.height for c in candidates if c.position < LEARNING]
        highest = max(early, default=0.0)
        self._signal.append(highest)
        self._noise.append(_FIRST_NOISE * highest)
        found = self._decide(candidates, settled)
        return [Complex(c.position, max(c.settled, LEARNING)) for c in found]

    def _decide(self, candidates: Iterable[Candidate], settled: int) -> list[Complex]:
        found: list[Complex] = []
        for candidate in candidates:
            self._search_until(candidate.position, found)
            if self._is_complex(candidate, self._threshold()):
                self._accept(candidate)
                found.append(Complex(candidate.position, candidate.position + 1))
            else:
                self._reject(candidate)
        self._search_until(settled, found)
        return found

    def _search_until(self, position: int, found: list[Complex]) -> None:
        """Every search-back that is due before ``position``."""
        while self._last is not None:
            num = len(self._intervals)
            mean = sum(self._intervals) / num if num else _FIRST_INTERVAL
            due = self._last.position + int(_SEARCH_AFTER * mean) * (self._searches + 1)
            if due >= position:
                return
            threshold = _SEARCH_THRESHOLD * self._threshold()
            possible = [
                c
                for c in self._rejected
                if due - MEMORY < c.position <= due and self._is_complex(c, threshold)
            ]
            if possible:
                missed = max(possible, key=lambda c: c.height)
                self._accept(missed)
                found.append(Complex(missed.position, due + 1))
            else:
                self._searches += 1

    def _threshold(self) -> float:
        noise = fsum(self._noise) / len(self._noise)
        usual = median(self._signal)
        faded = usual * _DECAY**self._searches
        level = max(faded, min(usual, max(_LOWEST_LEVEL * usual, _LEVEL_OVER_NOISE * noise)))
        return noise + _THRESHOLD * (level - noise)

    def _is_complex(self, candidate: Candidate, threshold: float) -> bool:
        if candidate.height <= threshold:
            return False
        if self._last is None:
            return True
        since = candidate.position - self._last.position
        is_t_wave = since < _T_WAVE_SAMPLES and (
            candidate.height < _T_WAVE_HEIGHT * self._last.height
        )
        return since >= REFRACTORY and not is_t_wave

    def _accept(self, candidate: Candidate) -> None:
        if self._last is not None:
            interval = candidate.position - self._last.position
            self._intervals.append(min(interval, _LONGEST_INTERVAL))
        if self._searches >= _FADED_FOR_GOOD:  # the signal has become smaller: so do its levels
            faded = [height * _DECAY**self._searches for height in self._signal]
            self._signal = deque(faded, maxlen=_LEVEL_BEATS)
        self._signal.append(candidate.height)
        self._last = candidate
        self._searches = 0
        while self._rejected and self._rejected[0].position <= candidate.position:
            self._rejected.popleft()

    def _reject(self, candidate: Candidate) -> None:
        self._noise.append(candidate.height)
        self._rejected.append(candidate)
        while self._rejected[0].position <= candidate.position - MEMORY:
            self._rejected.popleft()
