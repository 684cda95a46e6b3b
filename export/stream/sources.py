"""Samples from the bytes of a pipe or a socket: text, a sample per line, or 16-bit integers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from photonic.errors import ConfigError

_READ_BYTES = 1 << 16
_MISSING_INT16 = -32768  # WFDB's mark of a missing sample in 16-bit signals


class Decoder(Protocol):
    """Turns bytes into samples, whatever pieces they come in."""

    num_bad: int
    """Samples that were there and could not be read, or were cut off; they are missing (NaN)."""

    def push(self, data: bytes) -> NDArray[np.float64]:
        """The samples (n,) that the next bytes complete."""
        ...

    def finish(self) -> NDArray[np.float64]:
        """What the last bytes leave."""
        ...


class CsvDecoder:
    """One sample per line: the number in one column. A heading is skipped.

    Args:
        column: number of the column, from 0 on.
        gain: units of the numbers per mV.
        baseline: number at 0 mV.
    """

    def __init__(self, column: int = 0, gain: float = 1.0, baseline: float = 0.0) -> None:
        self._column = column
        self._gain = gain
        self._baseline = baseline
        self._rest = b""
        self._at_start = True
        self.num_bad = 0

    def push(self, data: bytes) -> NDArray[np.float64]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return self._samples(lines)

    def finish(self) -> NDArray[np.float64]:
        rest, self._rest = self._rest, b""
        return self._samples([rest])

    def _samples(self, lines: list[bytes]) -> NDArray[np.float64]:
        values = []
        for line in lines:
            if line.strip():
                value = self._value(line)
                if value is not None:
                    values.append(value)
                self._at_start = False
        return (np.array(values, dtype=np.float64) - self._baseline) / self._gain

    def _value(self, line: bytes) -> float | None:
        """The number of a line, NaN where it is missing, None for a heading."""
        cells = line.split(b",")
        cell = cells[self._column].strip() if self._column < len(cells) else b""
        try:
            return float(cell) if cell else float("nan")
        except ValueError:
            if self._at_start:
                return None
            self.num_bad += 1
            return float("nan")


class Int16Decoder:
    """Signed 16-bit integers, little-endian, one lead; -32768 is a missing sample.

    Args:
        gain: steps of the converter per mV.
        baseline: number at 0 mV.
    """

    def __init__(self, gain: float = 1.0, baseline: float = 0.0) -> None:
        self._gain = gain
        self._baseline = baseline
        self._rest = b""
        self.num_bad = 0

    def push(self, data: bytes) -> NDArray[np.float64]:
        held = self._rest + data
        whole = len(held) - len(held) % 2
        self._rest = held[whole:]
        codes = np.frombuffer(held[:whole], dtype="<i2")
        return np.where(
            codes == _MISSING_INT16,
            np.nan,
            (codes.astype(np.float64) - self._baseline) / self._gain,
        )

    def finish(self) -> NDArray[np.float64]:
        self.num_bad += len(self._rest)
        self._rest = b""
        return np.empty(0)


def read_stream(stream: BinaryIO, decoder: Decoder) -> Iterator[NDArray[np.float64]]:
    """Samples of a pipe as they arrive, to its end."""
    read = getattr(stream, "read1", stream.read)
    while data := read(_READ_BYTES):
        yield decoder.push(data)
    yield decoder.finish()


def read_socket(connection: socket.socket, decoder: Decoder) -> Iterator[NDArray[np.float64]]:
    """Samples of a connection as they arrive; one that breaks off ends like one that is closed."""
    while True:
        try:
            data = connection.recv(_READ_BYTES)
        except (ConnectionError, TimeoutError):
            data = b""
        if not data:
            break
        yield decoder.push(data)
    yield decoder.finish()


def open_listener(address: str) -> socket.socket:
    """A TCP socket that waits for connections at ``HOST:PORT``; port 0 takes any that is free.

    Raises:
        ConfigError: the address has another form, or cannot be listened at.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise ConfigError(f"address {address!r}: HOST:PORT is needed, e.g. 127.0.0.1:5000")
    try:
        return socket.create_server((host, int(port)))
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {address}: {error.strerror or error}; choose another address"
        ) from error
