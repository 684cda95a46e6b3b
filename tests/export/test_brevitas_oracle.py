"""Brevitas' own QCDQ export as an oracle: another quantiser, another exporter, the same codes.

The network is built from Brevitas' layers with constant scales and traced by its exporter; ours is
written from the program. Only the numbers of the weights are shared.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from export.onnx import quantized_model
from export.runtime import open_session, run_model
from photonic.execute import run_integer
from photonic.profile import parse_profile
from photonic.program import Activation, Input, Layer, Linear, Program

pytest.importorskip("onnxoptimizer", reason="Brevitas' QCDQ export needs onnxoptimizer")

GAINS = {"first": 1.75, "head": 3.5}
ADC_RANGE = 4.0


def program(generator: np.random.Generator) -> Program:
    def layer(name: str) -> Layer:
        return Layer(
            name=name,
            matrix=generator.uniform(-1, 1, (4, 4)).astype(np.float32),
            bias=generator.uniform(-1, 1, 4).astype(np.float32),
            gain=GAINS[name],
        )

    return Program(
        inputs=(Input(name="x", tokens=1, channels=4),),
        steps=(
            Linear(out="sums", source="x", layer="first"),
            Activation(out="features", source="sums", kind="tanh"),
            Linear(out="logits", source="features", layer="head"),
        ),
        output="logits",
        layers={name: layer(name) for name in GAINS},
    )


class BrevitasNet(nn.Module):
    """The same two layers from Brevitas' quantisers, constant scales, powers of two."""

    def __init__(self, source: Program, bits: int) -> None:
        super().__init__()
        import brevitas.nn as qnn
        from brevitas.core.restrict_val import RestrictValueType
        from brevitas.core.scaling import ScalingImplType
        from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat

        common = {
            "scaling_impl_type": ScalingImplType.CONST,
            "restrict_scaling_type": RestrictValueType.POWER_OF_TWO,
            "signed": True,
            "narrow_range": False,
            "bit_width": bits,
        }
        weight = type("Weight", (Int8WeightPerTensorFloat,), common | {"scaling_const": 1.0})

        def converter(size: float) -> nn.Module:
            limits = {"min_val": -size, "max_val": size}
            quantiser = type("Converter", (Int8ActPerTensorFloat,), common | limits)
            return qnn.QuantIdentity(act_quant=quantiser)

        self.dac = nn.ModuleDict({name: converter(1.0) for name in GAINS})
        self.adc = nn.ModuleDict({name: converter(ADC_RANGE) for name in GAINS})
        self.linear = nn.ModuleDict(
            {name: qnn.QuantLinear(4, 4, bias=False, weight_quant=weight) for name in GAINS}
        )
        step = ADC_RANGE / 2 ** (bits - 1)
        for name, layer in source.layers.items():
            self.linear[name].weight.data = torch.from_numpy(layer.matrix)
            # The digital bias has no quantiser of Brevitas: its codes are written in.
            bias = np.rint(layer.gain * layer.bias.astype(np.float64) / step) * step
            self.register_buffer(f"bias_{name}", torch.from_numpy(bias.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        y = self._layer("first", x)
        return self._layer("head", torch.tanh(y))

    def _layer(self, name: str, x: Tensor) -> Tensor:
        product = self.linear[name](self.dac[name](x)) * GAINS[name]
        return self.adc[name](product) + getattr(self, f"bias_{name}")


def qcdq(net: nn.Module, path: Path) -> bytes:
    from brevitas.export import export_onnx_qcdq

    export_onnx_qcdq(
        net,
        args=torch.zeros(3, 4),
        export_path=str(path),
        opset_version=17,
        dynamo=False,
        input_names=["x"],
        output_names=["logits"],
        dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
    )
    return path.read_bytes()


def as_written(graph: bytes) -> onnxruntime.InferenceSession:
    """The graph without optimisation.

    onnxruntime would turn quantise, product, dequantise into its int8 product, whose sums saturate
    at 16 bits on processors without VNNI: at 8 bits, half of the codes are wrong there.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


# Brevitas and torch's TorchScript exporter warn of what they themselves use.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_same_codes_as_the_graph_that_brevitas_exports(bits, tmp_path):
    generator = np.random.default_rng(bits)
    mine = program(generator)
    net = BrevitasNet(mine, bits).eval()
    oracle = as_written(qcdq(net, tmp_path / "oracle.onnx"))
    profile = parse_profile(
        {
            "name": "oracle",
            "description": "",
            "weight": {"bits": bits},
            "input": {"bits": bits},
            "output": {"bits": bits, "full_scale": ADC_RANGE},
        },
        where="oracle",
    )
    converters = profile.converters()
    x = generator.uniform(-1.1, 1.1, (20_000, 4)).astype(np.float32)
    expected = np.rint(run_model(oracle, {"x": x}) / converters.adc.step)
    graph = open_session(quantized_model(mine, converters, {}))
    given = np.rint(run_model(graph, {"x": x[:, None]}) / converters.adc.step)
    assert len(np.unique(expected)) > 2
    assert np.array_equal(given, expected)
    assert np.array_equal(run_integer(mine, {"x": x[:, None]}, converters), expected)
