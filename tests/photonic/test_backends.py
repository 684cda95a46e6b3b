"""Backends: the simulated core is the simulator, an instrument on the loopback is that core."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.backends import PhotonicCore, backend_names, checked_mvm, open_backend
from photonic.backends.instrument import Instrument, resource_name, server
from photonic.backends.messages import BadReplyError, numbers, parse_numbers, seal, unseal
from photonic.backends.run import compiled_settings, run_on_core
from photonic.backends.settings_grid import knob_of
from photonic.backends.simulator import SimulatedCore
from photonic.errors import ConfigError, ProfileError, ProgramError, RunError
from photonic.execute import run_integer
from photonic.profile import load_profile
from photonic.simulate import simulate

scpi = pytest.importorskip("photonic.backends.scpi")
pytest.importorskip("pyvisa", reason="needs the extra lab")

GENERIC = load_profile("generic_8bit")
MZI = load_profile("component_mzi")


def few(data, count: int = 6) -> dict[str, np.ndarray]:
    return {name: x[:count] for name, x in data.inputs.items()}


def test_a_core_without_errors_gives_the_codes_of_the_integer_reference(sweep_model):
    program, data = sweep_model
    converters = GENERIC.converters()
    logits = run_on_core(program, SimulatedCore(GENERIC, None), few(data))
    codes = run_integer(program, few(data), converters)
    assert np.array_equal(logits[0], codes * converters.adc.step)


@pytest.mark.parametrize("name", ["generic_8bit", "component_mzi", "zhang_2022_mrr"])
def test_lanes_are_the_chips_that_the_simulator_knows(sweep_model, name):
    program, data = sweep_model
    quiet = load_profile(name)
    for key in ("output.noise_sigma", "noise.bandwidth_ghz"):
        quiet = quiet.with_value(key, 0.0 if key.startswith("output") else None)
    if name == "component_mzi":
        for key in ("rin_db_per_hz", "cmrr_db", "load_ohm"):
            quiet = quiet.with_value(f"noise.{key}", None)
    chips = [3, 17]
    logits = run_on_core(program, SimulatedCore(quiet, chips, seed=5), few(data))
    expected = simulate(program, quiet, few(data), chips=chips, seed=5)
    # One is computed in float32 and the other in float64: a code may flip on the way.
    assert np.mean(np.abs(logits - expected) <= 2 * quiet.output.full_scale / 128) > 0.95
    assert np.abs(logits - expected).mean() < 0.02


def test_settings_are_rounded_to_what_the_hardware_can_set():
    knob = knob_of(MZI)
    assert knob.allowed(np.array([2 * np.pi - 1e-6, -0.001])).tolist() == [0.0, 0.0]
    coupled = knob_of(MZI.with_value("heater.crosstalk", 0.01))
    assert coupled.allowed(np.array([7.0]))[0] == pytest.approx(2 * np.pi * 255 / 256)
    with pytest.raises(ProfileError, match="kind 'unheard' is not known"):
        knob_of(MZI.model_copy(update={"kind": "unheard"}))


def test_nothing_programmed_and_wrong_numbers_of_settings_are_refused(sweep_model):
    program, data = sweep_model
    core = SimulatedCore(GENERIC)
    with pytest.raises(RunError, match="call program first"):
        core.mvm(np.zeros((1, 4)))
    with pytest.raises(RunError, match="call program first"):
        core.realised()
    with pytest.raises(ProgramError, match="settings of 1 blocks; the program has 8"):
        run_on_core(program, core, few(data), compiled_settings(program, core)[:1])


class Answering:
    """A core that answers what it is told."""

    profile, lanes = GENERIC, 1

    def __init__(self, y: np.ndarray) -> None:
        self.y = y

    def program(self, settings, *, slot=0, gain=1.0):
        pass

    def mvm(self, x):
        return self.y


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full((1, 2, 4), np.nan), "8 of 8 readings are no finite numbers"),
        (np.full((1, 2, 4), np.inf), "are no finite numbers"),
        (np.zeros((2, 4)), r"answered with shape \(2, 4\); \(1, 2, 4\) was expected"),
    ],
)
def test_answers_that_are_none_are_refused(y, message):
    assert isinstance(Answering(y), PhotonicCore)
    with pytest.raises(RunError, match=message):
        checked_mvm(Answering(y), np.zeros((2, 4)))


def test_backends_are_found_by_name(monkeypatch):
    assert {"simulator", "scpi"} <= set(backend_names())
    assert open_backend("simulator:17", GENERIC).chips == [17]
    with pytest.raises(ConfigError, match="known are scpi, simulator"):
        open_backend("abacus", GENERIC)
    with pytest.raises(ConfigError, match="give a chip's number"):
        open_backend("simulator:x", GENERIC)
    with pytest.raises(ConfigError, match="give a VISA resource"):
        open_backend("scpi", GENERIC)

    class Entry:
        name = "mine"

        @staticmethod
        def load():
            return lambda address, profile: (address, profile)

    def entries(group, name=None):
        assert group == "photonic.backends"
        return [Entry] if name in (None, "mine") else []

    monkeypatch.setattr("photonic.backends.registry.entry_points", entries)
    assert "mine" in backend_names()
    assert open_backend("mine:somewhere:1", GENERIC) == ("somewhere:1", GENERIC)


@given(st.lists(st.floats(allow_nan=False, width=64), min_size=1), st.integers(0, 10**6))
@settings(max_examples=50)
def test_numbers_and_replies_come_back_as_they_were(values, number):
    assert parse_numbers(unseal(number, seal(number, numbers(values)))).tolist() == values


@given(st.integers(0, 20), st.characters(codec="ascii"))
@settings(max_examples=100)
def test_a_garbled_reply_is_seen(position, character):
    reply = seal(7, numbers([1.5, -2.25]))
    garbled = reply[:position] + character + reply[position + 1 :]
    if garbled.strip() != reply:
        with pytest.raises(BadReplyError):
            unseal(7, garbled)


def test_a_late_reply_is_seen():
    with pytest.raises(BadReplyError, match="answers query 3, not 4"):
        unseal(4, seal(3, "OK"))


@pytest.fixture
def serve():
    """Serve a core or the handler of a test on the loopback; its VISA resource."""
    running = []

    def start(served: socketserver.TCPServer) -> str:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((served, thread))
        return resource_name(served)

    yield start
    for served, thread in running:
        served.shutdown()
        served.server_close()
        thread.join()


class InQueries(SimulatedCore):
    """Reads as many vectors at a time as the driver asks for: each reading has its own noise."""

    def mvm(self, x):
        light = x.reshape(-1, x.shape[-1])
        size = scpi.NUMBERS_PER_QUERY // light.shape[1]
        parts = [super(InQueries, self).mvm(part) for part in batches(light, size)]
        return np.concatenate(parts, axis=1)


def batches(x, size):
    return [x[first : first + size] for first in range(0, len(x), size)]


def test_the_instrument_is_the_core_behind_it(serve):
    core = scpi.open_instrument(serve(server(SimulatedCore(MZI, [17], seed=3))), MZI)
    direct = InQueries(MZI, [17], seed=3)
    matrix = np.random.default_rng(0).uniform(-1, 1, (1, 4, 4))
    x = np.random.default_rng(1).uniform(-1, 1, (600, 4))
    for each in (core, direct):
        each.program(direct.device.compile(matrix), slot=2, gain=1.5)
    assert np.array_equal(core.mvm(x), direct.mvm(x))
    core.close()


def test_settings_and_query_leave_in_one_piece_that_pyvisa_does_not_cut(serve, monkeypatch):
    core = scpi.open_instrument(serve(server(SimulatedCore(MZI))), MZI)
    sent, write = [], type(core._session).write_raw

    def seen(self, message):
        sent.append(len(message))
        return write(self, message)

    monkeypatch.setattr(type(core._session), "write_raw", seen)
    core.program(core_settings(MZI))
    core.mvm(np.full((100, 4), -1 / 3))
    assert len(sent) == 1 + 3
    assert max(sent) <= 4096
    core.close()


class Faulty(socketserver.ThreadingTCPServer):
    """An instrument whose replies go wrong in the order of ``faults``; ``None`` is a good one."""

    allow_reuse_address, daemon_threads, block_on_close = True, True, False

    def __init__(self, core: SimulatedCore, faults: list[str | None]) -> None:
        instrument = Instrument(core)
        self.done = threading.Event()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    reply = instrument.answer(line.decode())
                    if reply is None:
                        continue
                    fault = faults.pop(0) if faults else None
                    if fault == "timeout":
                        outer.done.wait(0.4)
                    elif fault == "disconnect":
                        return
                    elif fault == "garble":
                        reply = reply.replace("1", "7").replace(",", ".", 1)
                    elif fault == "nan":
                        reply = seal(int(reply.partition(",")[0]), numbers([np.nan] * 4))
                    self.wfile.write(reply.encode() + b"\n")

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request, client_address):
        pass


@pytest.mark.parametrize("fault", ["timeout", "disconnect", "garble"])
@pytest.mark.parametrize("when", [1, 2])
def test_one_fault_on_the_way_costs_a_repetition_and_nothing_else(serve, fault, when):
    quiet = GENERIC.with_value("output.noise_sigma", 0.0)
    faults: list[str | None] = [None] * when + [fault]
    served = Faulty(SimulatedCore(quiet, [1]), faults)
    core = scpi.ScpiCore(serve(served), quiet, timeout_ms=200)
    core.check_shape()
    direct = SimulatedCore(quiet, [1])
    x = np.eye(4)
    for each in (core, direct):
        each.program(direct.device.compile(np.eye(4)[None] * 0.7))
    assert np.array_equal(core.mvm(x), direct.mvm(x))
    assert not faults
    core.close()
    served.done.set()


@pytest.mark.parametrize("fault", ["timeout", "disconnect", "garble"])
def test_a_fault_that_stays_is_one_clear_line(serve, fault):
    served = Faulty(SimulatedCore(GENERIC), [fault] * 20)
    core = scpi.ScpiCore(serve(served), GENERIC, timeout_ms=50)
    with pytest.raises(RunError, match="no good answer in 3 attempts") as caught:
        core.check_shape()
    assert "\n" not in str(caught.value)
    core.close()
    served.done.set()


def test_an_instrument_that_reads_nan_is_refused(serve):
    served = Faulty(SimulatedCore(GENERIC), [None, None, "nan"])
    core = scpi.open_instrument(serve(served), GENERIC)
    core.program(core_settings())
    with pytest.raises(RunError, match="4 of 4 readings are no finite numbers"):
        checked_mvm(core, np.zeros((1, 4)))
    core.close()


def core_settings(profile=GENERIC) -> dict[str, np.ndarray]:
    return dict(SimulatedCore(profile).device.compile(np.eye(4)[None]))


def test_what_the_instrument_refuses_is_not_asked_again(serve):
    core = scpi.open_instrument(serve(server(SimulatedCore(GENERIC))), GENERIC)
    with pytest.raises(RunError, match="'weight'"):
        core.program({"phases_rad": np.zeros((1, 36))})
    with pytest.raises(RunError, match="call program first"):
        core.mvm(np.zeros((1, 4)))
    core.close()


def test_another_core_than_the_profiles_is_refused(serve):
    with pytest.raises(ConfigError, match=r"its core is 4,4,generic .* is 4,4,mzi"):
        scpi.open_instrument(serve(server(SimulatedCore(GENERIC))), MZI)


def test_nobody_there_is_one_clear_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RunError, match="no good answer"):
        scpi.open_instrument(f"TCPIP::127.0.0.1::{port}::SOCKET", GENERIC, timeout_ms=100)


@pytest.mark.slow
def test_the_instrument_runs_as_a_process_of_its_own(sweep_model):
    program, data = sweep_model
    command = [sys.executable, "-m", "photonic.backends.instrument", "--chip", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        core = open_backend(f"scpi:{process.stdout.readline().strip()}", GENERIC)
        logits = run_on_core(program, core, few(data, 2))
        process.terminate()
    assert np.array_equal(logits, run_on_core(program, InQueries(GENERIC, [4]), few(data, 2)))
    core.close()
