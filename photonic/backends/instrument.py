"""An instrument on the loopback that wraps the simulator: what the driver is tested against.

``python -m photonic.backends.instrument --profile generic_8bit --chip 17`` prints the VISA resource
it serves, and serves until it is stopped. A driver for a real chip can be developed against it.
"""

from __future__ import annotations

import argparse
import socketserver
import sys

import numpy as np

from photonic.backends import messages
from photonic.backends.simulator import SimulatedCore
from photonic.errors import PhotonicError
from photonic.profile import load_profile


class Instrument:
    """A core, and what was sent to it since it was last applied."""

    def __init__(self, core: SimulatedCore) -> None:
        self.core = core
        self.slot, self.gain = 0, 1.0
        self.settings: dict[str, np.ndarray] = {}

    def answer(self, line: str) -> str | None:
        """The reply to a line; ``None`` for one that is no query."""
        head, _, rest = line.strip().partition(" ")
        if not head.endswith("?"):
            self._set(head, rest)
            return None
        number, _, values = rest.partition(",")
        try:
            text = self._ask(head, values)
        except (PhotonicError, ValueError, KeyError, RuntimeError) as error:
            text = f"{messages.FAILED}: {' '.join(str(error).split())}"
        return messages.seal(int(number) if number.isdecimal() else 0, text)

    def _set(self, head: str, rest: str) -> None:
        if head == messages.SLOT:
            self.slot, self.settings = int(rest), {}
        elif head == messages.GAIN:
            self.gain = float(rest)
        elif head == messages.SETTING:
            name, _, values = rest.partition(",")
            self.settings[name] = messages.parse_numbers(values)

    def _ask(self, head: str, values: str) -> str:
        core = self.core.profile.core
        match head:
            case messages.IDENTIFY:
                return f"photonic-deploy simulated core {self.core.profile.name}"
            case messages.SHAPE:
                return f"{core.rows},{core.cols},{self.core.profile.kind}"
            case messages.APPLY:
                self._apply()
                return "OK"
            case messages.MEASURE:
                x = messages.parse_numbers(values).reshape(-1, core.cols)
                return messages.numbers(self.core.mvm(x)[0].ravel())
        raise ValueError(f"unknown command {head}")

    def _apply(self) -> None:
        """Settings come as flat lists; their shapes are those that the kind compiles to."""
        core = self.core.profile.core
        shaped = self.core.device.compile(np.zeros((1, core.rows, core.cols)))
        settings = {
            name: self.settings[name].reshape(np.shape(array)) for name, array in shaped.items()
        }
        self.core.program(settings, slot=self.slot, gain=self.gain)


def server(core: SimulatedCore, port: int = 0) -> socketserver.ThreadingTCPServer:
    """A server of ``core`` on the loopback, not yet serving; port 0 takes a free one."""
    instrument = Instrument(core)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                reply = instrument.answer(line.decode("ascii", "replace"))
                if reply is not None:
                    self.wfile.write(reply.encode() + b"\n")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that left is no news."""

    return Server(("127.0.0.1", port), Handler)


def resource_name(served: socketserver.TCPServer) -> str:
    """The VISA resource of a server."""
    host, port = served.server_address[:2]
    return f"TCPIP::{host!s}::{port}::SOCKET"


def main() -> None:
    """Serve one simulated chip until interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--profile", default="generic_8bit")
    parser.add_argument("--chip", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    core = SimulatedCore(load_profile(given.profile), [given.chip], seed=given.seed)
    with server(core, given.port) as served:
        sys.stdout.write(f"{resource_name(served)}\n")
        sys.stdout.flush()
        served.serve_forever()


if __name__ == "__main__":
    main()
