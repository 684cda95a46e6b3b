"""A log line by line: numbered, of bounded length, with a torn last line told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from photonic.errors import DataError

LONGEST_LINE = 4 * 1024 * 1024
"""Bytes; no epoch fills that, and a file without line breaks must not fill the memory."""


PROGRESS_BYTES = 1024 * 1024
"""How often the reader says how far it is."""

Advance = Callable[[int], None]


def ignore(_: int) -> None:
    """An :data:`Advance` for nobody."""


class Line(NamedTuple):
    """One line: its number from 1, its text, and whether a line break ended it."""

    number: int
    text: str
    whole: bool


def read_lines(path: Path, advance: Advance = ignore) -> Iterator[Line]:
    """The lines of a UTF-8 file that are not blank, one at a time.

    Args:
        path: the file.
        advance: called with the number of bytes that were read, now and then.

    Raises:
        DataError: no such file, a folder, a line that is too long or is not text.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        number = read = 0
        while data := file.readline(LONGEST_LINE + 1):
            number += 1
            read += len(data)
            if read >= PROGRESS_BYTES:
                advance(read)
                read = 0
            if len(data) > LONGEST_LINE:
                raise DataError(
                    f"{path}:{number}: line of more than {LONGEST_LINE} bytes; "
                    "a log has one line per epoch or event"
                )
            if b"\0" in data:
                raise DataError(f"{path}:{number}: holds NUL bytes; this is no text log")
            whole = data.endswith(b"\n")
            if number == 1:
                data = data.removeprefix(b"\xef\xbb\xbf")
            text = data.decode("utf-8", errors="replace" if whole else "ignore").strip()
            if text:
                yield Line(number, text, whole)
