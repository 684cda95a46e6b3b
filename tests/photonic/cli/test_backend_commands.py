"""Commands on a backend: the same answers from a core that is programmed matrix by matrix."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from photonic.backends import registry
from photonic.backends.instrument import resource_name, server
from photonic.backends.simulator import SimulatedCore
from photonic.profile import load_profile

pytest.importorskip("pyvisa", reason="needs the extra lab")


@pytest.fixture
def instrument():
    """A quiet chip behind an instrument on the loopback; its backend name."""
    quiet = load_profile("generic_8bit").with_value("output.noise_sigma", 0.0)
    quiet = quiet.with_value("weight.programming_sigma", 0.0)
    with server(SimulatedCore(quiet, [3])) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"scpi:{resource_name(served)}"
        served.shutdown()
        thread.join()


@pytest.mark.slow
def test_verify_runs_on_an_instrument(photonic, small_bundle, instrument):
    answer = photonic("verify", small_bundle, "--backend", instrument, "--json").json()
    assert answer["verdict"] == "pass"
    assert answer["backend"]["decision_mismatches"] == 0
    assert answer["backend"]["max_abs_diff"] == 0.0
    assert answer["backend"]["num_samples"] == 40


def test_verify_says_no_when_too_few_decisions_agree(photonic, small_bundle, monkeypatch):
    class Off(SimulatedCore):
        def mvm(self, x):
            return np.zeros_like(super().mvm(x))

    monkeypatch.setitem(registry._OURS, "off", lambda address, profile: Off(profile, [0]))
    outcome = photonic("verify", small_bundle, "--backend", "off")
    assert outcome.status == 1
    assert "decisions differ from the deployed model's" in outcome.out


@pytest.mark.slow
def test_sweep_runs_on_a_backend(photonic, small_bundle, tmp_path):
    answer = photonic(
        "sweep", small_bundle, "--backend", "simulator:5", "--chips", 2, "--out", tmp_path,
        "--vary", "output.noise_sigma=0,0.3", "--json",
    ).json()  # fmt: skip
    quiet, loud = answer["points"]
    assert quiet["metric_mean"] > loud["metric_mean"]
    assert (tmp_path / "table.csv").exists()
    told = photonic(
        "sweep", small_bundle, "--backend", "simulator:5", "--chips", 2, "--out", tmp_path
    )
    assert "f1 of 2 runs on simulator:5" in " ".join(told.out.split())


@pytest.mark.parametrize("command", ["verify", "sweep", "calibrate"])
def test_a_backend_that_answers_nan_is_one_line(
    photonic, small_bundle, tmp_path, monkeypatch, command
):
    class Broken(SimulatedCore):
        def mvm(self, x):
            return np.full_like(super().mvm(x), np.nan)

    monkeypatch.setitem(registry._OURS, "broken", lambda address, profile: Broken(profile, [0]))
    out = ["--out", tmp_path] if command == "sweep" else []
    outcome = photonic(command, small_bundle, "--backend", "broken", *out)
    assert outcome.status == 2
    assert "are no finite numbers" in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_unknown_backend_is_one_line(photonic, small_bundle):
    outcome = photonic("verify", small_bundle, "--backend", "abacus")
    assert outcome.status == 2
    assert "known are scpi, simulator" in outcome.err


def test_calibrate_inputs_that_are_not_there_are_one_line(photonic, small_bundle, tmp_path):
    outcome = photonic("calibrate", small_bundle, "--inputs", tmp_path / "nowhere")
    assert outcome.status == 2
    assert "nowhere" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.slow
def test_calibrate_answers_before_and_after(photonic, small_bundle):
    outcome = photonic(
        "calibrate", small_bundle, "--profile", "generic_8bit", "--chips", 2, "--averages", 2,
        "--iterations", 1, "--metric", "accuracy", "--json",
    )  # fmt: skip
    answer = json.loads(outcome.out)
    assert answer["after"]["absolute_error_mean"] <= answer["before"]["absolute_error_mean"]
    assert {"yield", "metric_mean", "relative_error_p95"} <= set(answer["before"])
    assert answer["num_chips"] == 2
