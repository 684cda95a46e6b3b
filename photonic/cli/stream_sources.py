"""Where ``photonic stream`` takes its samples from: a record, standard input or a TCP socket."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photonic.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from export.stream.annotated import AnnotatedBeats
    from export.stream.quality import SignalRange
    from export.stream.sources import Decoder

    Chunks = Iterable[NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Samples and what is known of them.

    Attributes:
        name: for people.
        fs_hz: sampling rate.
        sessions: one iterable of chunks per connection.
        live: the samples come as they are measured, and may never end.
        lead: name of the lead, where it is known.
        signal_range: range of the converter, where it is known.
        annotated: annotated beats at 360 Hz, where there are any.
        decoders: those in use, which count what they could not read.
    """

    name: str
    fs_hz: float
    sessions: Iterable[Chunks]
    live: bool
    lead: str | None = None
    signal_range: SignalRange | None = None
    annotated: AnnotatedBeats | None = None
    decoders: list[Decoder]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFormat:
    """How samples are written on a pipe or a socket."""

    format: str
    fs_hz: float
    gain: float
    baseline: float
    column: int

    def decoder(self) -> Decoder:
        """A decoder for one connection."""
        from export.stream.sources import CsvDecoder, Int16Decoder

        if self.format == "csv":
            return CsvDecoder(self.column, self.gain, self.baseline)
        return Int16Decoder(self.gain, self.baseline)


def record_source(record: Path, lead: str, annotator: str, chunk: int) -> Source:
    """A WFDB record; its annotations are read where the file is there.

    Raises:
        DataError: the record or its annotations are missing, damaged, or lack the lead.
    """
    from export.stream.annotated import annotated_beats
    from export.stream.pipeline import in_chunks
    from export.stream.records import record_range
    from training.data.labels import is_beat
    from training.data.records import LeadChoice, read_annotations, read_header, read_signal

    folder, name = record.parent, record.name
    header = read_header(folder, name)
    channel = LeadChoice.parse(lead).channel(name, header.leads)
    annotated = None
    if (folder / f"{name}.{annotator}").exists():
        annotations = read_annotations(folder, header, annotator)
        is_beat(annotations.symbols, annotations.samples, name)  # refuses unknown symbols
        annotated = annotated_beats(annotations.samples, annotations.symbols)
    signal = read_signal(folder, header, channel)
    return Source(
        name=str(record),
        fs_hz=header.fs_hz,
        sessions=[in_chunks(signal, chunk)],
        live=False,
        lead=header.leads[channel],
        signal_range=record_range(record, channel),
        annotated=annotated,
        decoders=[],
    )


def stdin_source(how: LiveFormat, signal_range: SignalRange | None) -> Source:
    """Standard input, to its end."""
    from export.stream.sources import read_stream

    decoder = how.decoder()
    return Source(
        name="standard input",
        fs_hz=how.fs_hz,
        sessions=[read_stream(sys.stdin.buffer, decoder)],
        live=True,
        signal_range=signal_range,
        decoders=[decoder],
    )


def socket_source(
    address: str, how: LiveFormat, signal_range: SignalRange | None, num_sessions: int
) -> Source:
    """A TCP socket that is listened at: one session per connection, one after the other.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    from export.stream.sources import open_listener, read_socket

    listener = open_listener(address)
    decoders: list[Decoder] = []
    host, port = listener.getsockname()[:2]
    click.echo(f"listening at {host}:{port}", err=True)

    def sessions() -> Iterator[Chunks]:
        with listener:
            for _ in range(num_sessions):
                connection, _ = listener.accept()
                with connection:
                    decoders.append(how.decoder())
                    yield read_socket(connection, decoders[-1])

    return Source(
        name=f"{host}:{port}",
        fs_hz=how.fs_hz,
        sessions=sessions(),
        live=True,
        signal_range=signal_range,
        decoders=decoders,
    )


def check_one_source(given: dict[str, object]) -> None:
    """Refuse none or several sources, and settings that the chosen one has no use for.

    Args:
        given: the options that the user gave, by name.

    Raises:
        ConfigError: the combination cannot be honoured.
    """
    chosen = [name for name in _SETTINGS if given.get(name)]
    if len(chosen) != 1:
        raise ConfigError("give one of --record, --stdin and --listen")
    foreign = {name for names in _SETTINGS.values() for name in names} - _SETTINGS[chosen[0]]
    useless = sorted(foreign & given.keys())
    if useless:
        names = ", ".join(f"--{name.removeprefix('signal_')}" for name in useless)
        raise ConfigError(f"{names} has no meaning with --{chosen[0]}; leave it out")
    if chosen[0] != "record" and "fs" not in given:
        raise ConfigError(f"--{chosen[0]} needs --fs, the sampling rate in Hz")


_LIVE = {"format", "fs", "gain", "baseline", "column", "signal_range"}
_SETTINGS: dict[str, set[str]] = {
    "record": {"lead", "annotator", "peaks", "chunk", "annotations"},
    "stdin": _LIVE,
    "listen": _LIVE | {"sessions"},
}
