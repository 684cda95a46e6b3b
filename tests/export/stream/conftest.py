"""An electrocardiogram made of bumps, and a classifier that takes no training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.stream.classifier import BeatClassifier
from photonic.beats import FS_HZ
from photonic.decision import Decision
from photonic.program import Input

INPUTS = (Input(name="beat", tokens=360, channels=2), Input(name="rhythm", tokens=2, channels=4))
CLASSES = ("N", "S", "V")
# (delay from the R peak in s, width in s, height in mV) of the waves of a beat.
WAVES = {
    "N": ((-0.16, 0.025, 0.12), (-0.028, 0.008, -0.12), (0.0, 0.011, 1.1), (0.03, 0.009, -0.25),
          (0.25, 0.045, 0.28)),
    "V": ((0.0, 0.03, 1.4), (0.07, 0.035, -0.5), (0.3, 0.06, -0.3)),
}  # fmt: skip

Ecg = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.str_]]


def _make_ecg(num_beats: int = 60, *, seed: int = 0, noise_mv: float = 0.01) -> Ecg:
    """Signal in mV at 360 Hz, R peaks and symbols; every seventh beat is early and wide."""
    generator = np.random.default_rng(seed)
    symbols = np.array(["V" if i % 7 == 6 else "N" for i in range(num_beats)])
    intervals = generator.normal(0.8, 0.03, num_beats)
    intervals[symbols == "V"] -= 0.2
    peaks = np.rint((0.7 + np.cumsum(intervals)) * FS_HZ).astype(np.int64)
    time = np.arange(peaks[-1] + FS_HZ) / FS_HZ
    signal = noise_mv * generator.standard_normal(len(time))
    for peak, symbol in zip(peaks, symbols, strict=True):
        near = slice(max(peak - FS_HZ, 0), peak + FS_HZ)
        for delay, width, height in WAVES[symbol]:
            signal[near] += height * np.exp(
                -0.5 * ((time[near] - peak / FS_HZ - delay) / width) ** 2
            )
    return signal, peaks, symbols


def _linear_graph(inputs: tuple[Input, ...], num_classes: int) -> bytes:
    """ONNX model: all inputs flattened, one random matrix."""
    generator = np.random.default_rng(0)
    size = sum(i.tokens * i.channels for i in inputs)
    matrix = generator.standard_normal((size, num_classes)).astype(np.float32)

    def info(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [helper.make_node("Flatten", [i.name], [f"{i.name}/flat"]) for i in inputs]
    nodes.append(helper.make_node("Concat", [f"{i.name}/flat" for i in inputs], ["all"], axis=1))
    nodes.append(helper.make_node("MatMul", ["all", "matrix"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [info(i.name, ["batch", i.tokens, i.channels]) for i in inputs],
        [info("logits", ["batch", num_classes])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def ecg() -> Ecg:
    """Sixty beats, every seventh early and wide."""
    return _make_ecg()


@pytest.fixture(scope="session")
def make_ecg() -> Callable[..., Ecg]:
    """``make_ecg(num_beats, seed=, noise_mv=)``: signal in mV, R peaks, symbols."""
    return _make_ecg


@pytest.fixture(scope="session")
def graph() -> bytes:
    """A graph with the inputs of the patch student."""
    return _linear_graph(INPUTS, len(CLASSES))


@pytest.fixture
def new_classifier(graph: bytes) -> Callable[..., BeatClassifier]:
    """Makes classifiers of that graph."""

    def make(**settings: object) -> BeatClassifier:
        decision = Decision(kind="argmax", classes=CLASSES)
        return BeatClassifier(graph, INPUTS, decision, **settings)

    return make


@pytest.fixture
def classifier(new_classifier: Callable[..., BeatClassifier]) -> BeatClassifier:
    """One of them, with one beat of delay."""
    return new_classifier()
