"""``photonic stream`` on a record, a pipe and a socket; bad input is one line and status 2."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import threading
import time

import numpy as np
import pytest
import wfdb

from photonic.cli import main


@pytest.fixture
def photonic(capfd):
    """``photonic("stream", …)``: status, stdout, stderr of a command line."""

    def call(*words):
        capfd.readouterr()
        status = main.run([str(word) for word in words])
        return (status, *capfd.readouterr())

    return call


@pytest.fixture(scope="module")
def record(tmp_path_factory, make_ecg):
    """A WFDB record of sixty beats."""
    folder = tmp_path_factory.mktemp("records")
    signal, peaks, symbols = make_ecg()
    wfdb.wrsamp(
        "one", fs=360, units=["mV"], sig_name=["MLII"], p_signal=signal[:, None], fmt=["16"],
        adc_gain=[200.0], baseline=[0], write_dir=str(folder),
    )  # fmt: skip
    wfdb.wrann("one", "atr", peaks, symbol=symbols.tolist(), fs=360, write_dir=str(folder))
    return folder / "one"


KEYS = {
    "num_beats", "detector", "latency_us", "floor_us", "deadline_us", "missed_deadlines",
    "beats_per_second", "decisions",
}  # fmt: skip


@pytest.mark.parametrize("graph", ["float", "quantized"])
def test_a_record_with_detected_beats(photonic, lab_bundle, record, graph):
    status, out, _ = photonic("stream", lab_bundle, "--record", record, "--graph", graph, "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer.keys() >= KEYS
    assert (
        answer["num_beats"] == answer["num_classified"] == sum(answer["decisions"].values()) == 60
    )
    assert answer["detector"]["sensitivity"] == answer["detector"]["ppv"] == 1.0
    assert set(answer["latency_us"]) == {"p50", "p90", "p99", "max"}
    assert 0 < answer["floor_us"]["p50"] < answer["latency_us"]["p50"]


def test_annotated_peaks_are_no_detection(photonic, lab_bundle, record):
    _, out, _ = photonic(
        "stream", lab_bundle, "--record", record, "--peaks", "annotations", "--json"
    )
    answer = json.loads(out)
    assert answer["detector"]["sensitivity"] is None
    assert answer["detector_delay_samples"]["max"] == 1
    assert sum(answer["confusion"]["N"].values()) + sum(answer["confusion"]["V"].values()) == 60


def test_chunks_give_the_same_lines(photonic, lab_bundle, record, tmp_path):
    lines = []
    for chunk in (7, 65_536):
        path = tmp_path / f"{chunk}.jsonl"
        photonic("stream", lab_bundle, "--record", record, "--chunk", chunk, "--out", path)
        beats = [json.loads(line) for line in path.read_text().splitlines()]
        lines.append([{k: v for k, v in b.items() if not k.endswith("_us")} for b in beats])
    assert len(lines[0]) == 60
    assert lines[0] == lines[1]


def test_annotations_and_table(photonic, lab_bundle, record, tmp_path):
    status, out, _ = photonic(
        "stream", lab_bundle, "--record", record, "--annotations", tmp_path / "one.pho"
    )
    assert status == 0
    assert "60 beats, 60 classified" in out
    assert len(wfdb.rdann(str(tmp_path / "one"), "pho").sample) == 60


def test_a_pipe(photonic, lab_bundle, make_ecg, monkeypatch):
    codes = np.rint(make_ecg()[0] * 200 + 1024).astype("<i2")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(codes.tobytes())))
    _, out, _ = photonic(
        "stream", lab_bundle, "--stdin", "--fs", 360, "--format", "int16", "--gain", 200,
        "--baseline", 1024, "--range", "0,2047", "--json",
    )  # fmt: skip
    answer = json.loads(out)
    assert answer["num_classified"] == 60
    assert answer["confusion"] is None


def test_a_socket_closed_in_mid_beat_and_opened_again(lab_bundle, make_ecg, capfd, tmp_path):
    signal, peaks, _ = make_ecg()
    text = "\n".join(f"{value:.4f}" for value in signal).encode()
    cut = "\n".join(f"{value:.4f}" for value in signal[: peaks[30] + 60]).encode()
    words = [
        "stream",
        lab_bundle,
        "--listen",
        "127.0.0.1:0",
        "--fs",
        360,
        "--sessions",
        2,
        "--json",
    ]
    words += ["--out", tmp_path / "beats.jsonl"]
    status = []
    server = threading.Thread(target=lambda: status.append(main.run([str(w) for w in words])))
    server.start()
    heard = ""
    while "listening" not in heard and server.is_alive():
        heard += capfd.readouterr().err
        time.sleep(0.01)
    port = int(re.search(r":(\d+)\n", heard)[1])
    for data in (cut, text):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(data)
    server.join(timeout=20)
    answer = json.loads(capfd.readouterr().out)
    assert status == [0]
    assert answer["num_sessions"] == 2
    assert answer["num_classified"] == 30 + 60
    assert answer["unclassified"] == {"cut": 1}
    lines = (tmp_path / "beats.jsonl").read_text().splitlines()
    sessions = [json.loads(line)["session"] for line in lines]
    assert sessions == [0] * 31 + [1] * 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of --record, --stdin and --listen"),
        (("--record", "x", "--stdin"), "give one of"),
        (("--stdin",), "--stdin needs --fs"),
        (("--record", "x", "--fs", "360"), "--fs has no meaning with --record"),
        (("--stdin", "--fs", "360", "--chunk", "7"), "--chunk has no meaning with --stdin"),
        (("--stdin", "--fs", "3"), "50 to 20000 Hz"),
        (("--record", "nowhere/100"), "does not exist"),
        (("--listen", "here", "--fs", "360"), "HOST:PORT"),
        (("--stdin", "--fs", "360", "--range", "5,1"), "low must lie below high"),
    ],
)
def test_bad_input_is_one_line(photonic, lab_bundle, words, message):
    status, out, err = photonic("stream", lab_bundle, *words)
    assert status == 2
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_record_without_annotations(photonic, lab_bundle, record):
    words = ("stream", lab_bundle, "--record", record, "--annotator", "none", "--json")
    status, out, _ = photonic(*words)
    assert status == 0
    assert json.loads(out)["confusion"] is None
    status, _, err = photonic(*words, "--peaks", "annotations")
    assert status == 2
    assert "use --peaks detector" in err


def test_no_bundle(photonic, record, tmp_path):
    status, _, err = photonic("stream", tmp_path, "--record", record)
    assert status == 2
    assert "manifest.json" in err


@pytest.mark.slow
def test_the_base_install_is_enough(command_in_base_install, lab_bundle, record):
    done = command_in_base_install("stream", lab_bundle, "--record", record)
    assert done.returncode == 0, done.stderr
    assert "60 beats, 60 classified" in done.stdout


class Interrupted(io.BytesIO):
    """A pipe whose reader presses Ctrl-C when it has run dry."""

    def read1(self, size=-1):
        data = super().read1(size)
        if not data:
            raise KeyboardInterrupt
        return data


def test_ctrl_c_ends_a_live_stream_with_its_summary(photonic, lab_bundle, make_ecg, monkeypatch):
    text = "\n".join(f"{value:.4f}" for value in make_ecg()[0]).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Interrupted(text)))
    status, out, _ = photonic("stream", lab_bundle, "--stdin", "--fs", 360, "--json")
    assert status == 0
    assert json.loads(out)["num_classified"] == 60
