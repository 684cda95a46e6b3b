"""Lines between driver and instrument: SCPI-like text, every reply numbered and checked.

The command set is documented in docs/backends.md. A reply reads ``NUMBER,VALUES;CRC``: the number
of the query it answers, so that a late reply is not taken for the next one, and the CRC-32 of what
stands before the semicolon, so that a garbled one is not taken at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

IDENTIFY, SHAPE, SLOT, GAIN = "*IDN?", "CONF:CORE?", "SOUR:SLOT", "SOUR:GAIN"
SETTING, APPLY, MEASURE, ERROR = "SOUR:SETT", "SOUR:APPL?", "MEAS:MVM?", "SYST:ERR?"
FAILED = "ERR"


class BadReplyError(ValueError):
    """A reply that was garbled, or that answers another query."""


def numbers(values: Iterable[float]) -> str:
    """Numbers as text that brings back the same bits."""
    return ",".join(repr(float(value)) for value in values)


def seal(number: int, text: str) -> str:
    """A reply to query ``number``."""
    body = f"{number},{text}"
    return f"{body};{zlib.crc32(body.encode()):08x}"


def unseal(number: int, reply: str) -> str:
    """The text of the reply to query ``number``.

    Raises:
        BadReplyError: a reply that is garbled, or of another query.
    """
    body, _, check = reply.strip().rpartition(";")
    if check != f"{zlib.crc32(body.encode()):08x}":
        raise BadReplyError("its checksum does not fit")
    answered, _, text = body.partition(",")
    if answered != str(number):
        raise BadReplyError(f"it answers query {answered}, not {number}")
    return text


def parse_numbers(text: str) -> np.ndarray:
    """Inverse of :func:`numbers`, float64.

    Raises:
        BadReplyError: something that is no number.
    """
    try:
        return np.array([float(part) for part in text.split(",")], dtype=np.float64)
    except ValueError as error:
        raise BadReplyError(str(error)) from None
