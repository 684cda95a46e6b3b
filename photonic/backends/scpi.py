"""A chip behind an instrument that speaks SCPI over VISA; see docs/backends.md for the commands."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from photonic.backends import messages
from photonic.backends.messages import BadReplyError
from photonic.errors import ConfigError, RunError
from photonic.profile import HardwareProfile

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

TIMEOUT_MS = 5000
ATTEMPTS = 3
# Numbers of one query, at most 25 characters each: pyvisa-py writes 4 096 bytes at a time, and a
# second packet waits for the acknowledgement of the first, which comes 40 ms late (Nagle 1984).
NUMBERS_PER_QUERY = 160


def open_instrument(
    resource: str, profile: HardwareProfile, *, timeout_ms: int = TIMEOUT_MS
) -> ScpiCore:
    """Connect to ``resource``, e.g. ``TCPIP::10.0.0.5::5025::SOCKET``.

    The VISA library is pyvisa-py unless the environment variable ``PYVISA_LIBRARY`` names another.

    Raises:
        ConfigError: no resource name, or a core of another shape or kind than the profile's.
        RunError: nobody answers there.
    """
    if not resource:
        raise ConfigError("backend scpi: give a VISA resource, scpi:TCPIP::HOST::PORT::SOCKET")
    core = ScpiCore(resource, profile, timeout_ms=timeout_ms)
    core.check_shape()
    return core


class ScpiCore:
    """One core on a bench.

    A query that times out, is garbled or finds the connection gone is asked again on a new
    connection, three times in all; what was programmed is sent again first.

    Args:
        resource: VISA resource name.
        profile: the hardware that settings are compiled for.
        timeout_ms: of one query.
    """

    lanes = 1

    def __init__(self, resource: str, profile: HardwareProfile, *, timeout_ms: int) -> None:
        self.resource, self.profile, self.timeout_ms = resource, profile, timeout_ms
        self._programmed: list[str] = []
        self._numbers = count(1)
        self._session: MessageBasedResource | None = None
        self._manager: Any = None

    def program(
        self, settings: Mapping[str, np.ndarray], *, slot: int = 0, gain: float = 1.0
    ) -> None:
        """Send the settings, then have them applied, which the instrument confirms."""
        lines = [f"{messages.SLOT} {slot}", f"{messages.GAIN} {gain!r}"]
        for name, values in settings.items():
            flat = np.asarray(values, dtype=np.float64)[0].ravel()
            lines.append(f"{messages.SETTING} {name},{messages.numbers(flat)}")
        self._programmed = lines
        self._ask(messages.APPLY, before=lines)

    def mvm(self, x: np.ndarray) -> np.ndarray:
        """Readings ``(1, n, rows)`` of ``x (n, cols)`` or ``(1, n, cols)``."""
        light = np.asarray(x, dtype=np.float64).reshape(-1, x.shape[-1])
        rows, parts = self.profile.core.rows, []
        vectors = max(1, NUMBERS_PER_QUERY // light.shape[1])
        for first in range(0, len(light), vectors):
            part = light[first : first + vectors]
            query = f"{messages.MEASURE} {messages.numbers(part.ravel())}"
            values = messages.parse_numbers(self._ask(query))
            if values.size != len(part) * rows:
                raise RunError(
                    f"{self.resource}: {values.size} readings for {len(part)} inputs; "
                    f"{len(part) * rows} were expected"
                )
            parts.append(values.reshape(len(part), rows))
        return np.concatenate(parts)[None]

    def check_shape(self) -> None:
        """Whether the instrument's core is the profile's.

        Raises:
            ConfigError: it is not.
        """
        core = self.profile.core
        expected = f"{core.rows},{core.cols},{self.profile.kind}"
        found = self._ask(messages.SHAPE)
        if found != expected:
            raise ConfigError(
                f"{self.resource}: its core is {found} (rows, columns, kind); profile "
                f"{self.profile.name!r} is {expected}"
            )

    def close(self) -> None:
        """End the connection."""
        from pyvisa.errors import Error

        if self._session is not None:
            with contextlib.suppress(Error, OSError):  # it may be gone already
                self._session.close()
            self._session = None
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _ask(self, query: str, before: Sequence[str] = ()) -> str:
        """The text of the reply; trouble on the way is retried, the instrument's own is not."""
        from pyvisa.errors import Error

        trouble: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                fresh = self._session is None
                session = self._connected()
                if fresh and not before and self._programmed:
                    self._reply(session, messages.APPLY, self._programmed)
                text = self._reply(session, query, before)
            except (Error, OSError, BadReplyError) as error:
                trouble = error
                # A late reply must not meet the next query: it goes with its connection.
                self.close()
                continue
            if text.startswith(messages.FAILED):
                raise RunError(f"{self.resource}: {text.removeprefix(messages.FAILED).strip(': ')}")
            return text
        raise RunError(
            f"{self.resource}: no good answer in {ATTEMPTS} attempts of {self.timeout_ms / 1000:g} "
            f"s each ({_short(trouble)}); is the instrument on and the address right?"
        )

    def _reply(self, session: MessageBasedResource, query: str, before: Sequence[str] = ()) -> str:
        """The reply to a query, which goes out in one piece with the lines before it."""
        number = next(self._numbers)
        head, _, rest = query.partition(" ")
        asked = f"{head} {number},{rest}" if rest else f"{head} {number}"
        return messages.unseal(number, session.query("\n".join((*before, asked))))

    def _connected(self) -> MessageBasedResource:
        if self._session is None:
            import pyvisa

            self._manager = pyvisa.ResourceManager(os.environ.get("PYVISA_LIBRARY", "@py"))
            session: Any = self._manager.open_resource(
                self.resource,
                read_termination="\n",
                write_termination="\n",
                timeout=self.timeout_ms,
                open_timeout=self.timeout_ms,
            )
            self._session = session
            return session
        return self._session


def _short(error: Exception | None) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 120 else f"{text[:117]}…"
