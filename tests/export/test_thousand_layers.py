"""A thousand random layers: Brevitas, simulator, exported graph, integer reference, code for code.

Widths of 2 to 12 bits for each of the three converters on its own, every fan-in up to three tiles,
gains on both sides of 1, inputs beyond the range. Kinds other than ``generic`` have ideal optics.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.onnx import quantized_model
from export.runtime import open_session, run_model
from photonic.execute import run_integer
from photonic.layers import ConstrainedLinear
from photonic.profile import HardwareProfile, parse_profile
from photonic.program import Activation, Input, Linear
from photonic.simulate import simulate
from photonic.students import Student
from training.quantized import BrevitasCore

NUM_LAYERS, NUM_VECTORS = 1000, 64
POWERS = {"encoding": "intensity-differential"}
KINDS = {
    "mzi": {},
    "mrr": {"input": POWERS, "ring": {"spacing": 20.0, "max_detuning": 8.0}},
    "pcm": {"input": POWERS, "weight": {"symmetric": True}},
}


def hardware(kind: str, bits: np.ndarray) -> HardwareProfile:
    data = {"name": "test", "description": "x", "kind": kind, **KINDS.get(kind, {})}
    for section, width in zip(("input", "weight", "output"), bits.tolist(), strict=True):
        data[section] = {**data.get(section, {}), "bits": width}
    return parse_profile(data, where="test")


def layer(rng: np.random.Generator) -> Student:
    """One layer of random shape and gain; half of them with a tanh and a second layer behind it."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))

    def linear(fan_in: int, out: int) -> ConstrainedLinear:
        gain = float(rng.uniform(0.05, 7.9))
        return ConstrainedLinear(fan_in, out, initial_gain=gain, generator=generator)

    fan_in, out = int(rng.integers(1, 13)), int(rng.integers(1, 9))
    layers = {"one": linear(fan_in, out)}
    steps = [Linear(out="sums", source="x", layer="one")]
    if rng.random() < 0.5:
        steps.append(Activation(out="values", source="sums", kind="tanh"))
        steps.append(Linear(out="more", source="values", layer="two"))
        layers["two"] = linear(out, int(rng.integers(1, 5)))
    return Student(
        inputs=(Input(name="x", tokens=1, channels=fan_in),),
        steps=tuple(steps),
        output=steps[-1].out,
        features=steps[-1].out,
        layers=layers,
    ).eval()


def vectors(rng: np.random.Generator, student: Student) -> dict[str, np.ndarray]:
    shape = (NUM_VECTORS, 1, student.inputs[0].channels)
    return {"x": rng.uniform(-1.1, 1.1, shape).astype(np.float32)}


@pytest.mark.slow
def test_brevitas_simulator_and_graph_agree_on_every_code():
    rng = np.random.default_rng(0)
    seen = set()
    for number in range(NUM_LAYERS):
        bits = rng.integers(2, 13, 3)
        seen |= set(bits.tolist())
        student, profile = layer(rng), hardware("generic", bits)
        program, inputs, converters = student.program(), vectors(rng, student), profile.converters()
        step = converters.adc.step
        codes = run_integer(program, inputs, converters)
        student.core = BrevitasCore(profile)
        with torch.no_grad():
            brevitas = student({"x": torch.from_numpy(inputs["x"])})[0].numpy() / step
        simulated = simulate(program, profile, inputs, chips=None)[0] / step
        graph = run_model(open_session(quantized_model(program, converters, {})), inputs) / step
        for name, found in (("Brevitas", brevitas), ("simulator", simulated), ("graph", graph)):
            assert np.array_equal(found, codes), (number, name, bits)
    assert seen == set(range(2, 13))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_ideal_optics_differ_by_one_lsb_at_most_and_at_ties_only(kind):
    rng = np.random.default_rng(1)
    different = total = 0
    for _ in range(NUM_LAYERS // 2):
        student = layer(rng)
        profile = hardware(kind, rng.integers(2, 13, 3))
        program, inputs, converters = student.program(), vectors(rng, student), profile.converters()
        step = converters.adc.step
        off = simulate(program, profile, inputs, chips=None)[0] / step
        off = np.abs(off - run_integer(program, inputs, converters))
        assert off.max() <= 1
        different, total = different + int((off > 0).sum()), total + off.size
    assert different <= 1e-4 * total


def test_a_code_off_would_be_seen():
    rng = np.random.default_rng(2)
    student, profile = layer(rng), hardware("generic", np.array([6, 6, 8]))
    program, inputs = student.program(), vectors(rng, student)
    codes = run_integer(program, inputs, profile.converters())
    other = run_integer(program, inputs, hardware("generic", np.array([6, 5, 8])).converters())
    assert not np.array_equal(codes, other)
