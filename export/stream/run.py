"""A whole stream from its first connection to its last, and what has to be remembered of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter

from numpy.typing import ArrayLike

from export.stream.beat import StreamedBeat
from export.stream.pipeline import BeatStream

OnBeat = Callable[[int, StreamedBeat], None]


@dataclass(slots=True)
class StreamLog:
    """What a stream has brought so far.

    Attributes:
        beats: every beat, of all sessions.
        num_samples: samples at 360 Hz.
        num_sessions: connections, one for a record.
        busy_seconds: wall time spent on the samples, without waiting for them.
    """

    beats: list[StreamedBeat] = field(default_factory=list)
    num_samples: int = 0
    num_sessions: int = 0
    busy_seconds: float = 0.0


def run_session(
    stream: BeatStream, chunks: Iterable[ArrayLike], log: StreamLog, on_beat: OnBeat | None = None
) -> None:
    """Run one connection to its end and add it to the log, also when it is interrupted.

    A connection that breaks off ends like one that was closed: what its last samples leave open is
    decided or, where a window is incomplete, counted.

    Args:
        stream: a fresh stream.
        chunks: its samples.
        log: receives beats, samples and time.
        on_beat: called with the number of the session, from 0 on, and each beat as it is decided.
    """
    session, log.num_sessions = log.num_sessions, log.num_sessions + 1

    def keep(step: Callable[[], list[StreamedBeat]]) -> None:
        started = perf_counter()
        beats = step()
        log.busy_seconds += perf_counter() - started
        log.beats.extend(beats)
        if on_beat is not None:
            for beat in beats:
                on_beat(session, beat)

    try:
        for chunk in chunks:
            keep(lambda samples=chunk: stream.push(samples))
    finally:
        keep(stream.finish)
        log.num_samples += stream.num_samples
