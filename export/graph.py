"""Building an ONNX graph node by node, and the three shapes one value can be looked at in.

A value ``(batch, tokens, channels)`` lies in memory in that order, so a reshape turns it at no cost
into ``rows (batch·tokens, channels)``, where a linear layer is one Gemm, or into
``flat (batch, tokens·channels)``, where windows and concatenations of tokens are one node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # what opset 17 came with; every onnxruntime since 1.12 reads it

View = Literal["cube", "rows", "flat"]
Precision = Literal["float32", "float64"]


@dataclass(slots=True)
class Value:
    """A value of the program in the graph: its shape, its type, and its tensor in each view.

    ``tensors`` is keyed by view and type; the first entry is the tensor it was made as. ``lsb`` is
    what one code of the value is in its tensors. A *part* has no tensor yet, but lies in those of
    the one-token value ``whole``, from its channel ``first`` on.
    """

    name: str
    tokens: int
    channels: int
    tensors: dict[tuple[str, Precision], str] = field(default_factory=dict)
    lsb: float = 1.0
    whole: Value | None = None
    first: int = 0

    @classmethod
    def made(
        cls,
        name: str,
        shape: tuple[int, int],
        view: str,
        tensor: str,
        precision: Precision,
        lsb: float = 1.0,
    ) -> Value:
        """A value of ``(tokens, channels)`` that a node has just made."""
        return cls(name, *shape, {(view, precision): tensor}, lsb)

    def part(self, name: str, first: int, channels: int) -> Value:
        """Channels ``first…`` of this one token, as the value ``name``."""
        return Value(name, 1, channels, lsb=self.lsb, whole=self, first=first)

    @property
    def tensor(self) -> str:
        """The tensor it was made as, or lies in."""
        return next(iter((self.whole or self).tensors.values()))

    @property
    def precision(self) -> Precision:
        """The type it was made in."""
        return next(iter((self.whole or self).tensors))[1]


class GraphBuilder:
    """Nodes and constants of a graph in the making; every node is named after what it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, op: str, inputs: Sequence[str], out: str, **attributes: Any) -> str:
        """Append a node that makes the tensor ``out``, and return that name."""
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attributes))
        return out

    def constant(self, array: np.ndarray, name: str) -> str:
        """The name of a constant; one that is there already is used again."""
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = name
            self.constants[name] = array
        return self._known[key]

    def scalar(self, number: float, dtype: Any = np.float32) -> str:
        """A scalar constant, named by its value."""
        return self.constant(np.asarray(number, dtype=dtype), f"{np.dtype(dtype)}:{number!r}")

    def view(self, value: Value, view: View, precision: Precision | None = None) -> str:
        """The tensor of ``value`` in that shape, and in that type (its own by default)."""
        wanted = precision or value.precision
        if value.whole is not None and not value.tensors:
            first, stop = value.first, value.first + value.channels
            part = self.columns(value.whole, first, stop, value.name)
            value.tensors["flat", value.precision] = part
        same = _same_shape(value, view, wanted)
        if same is not None:
            return same
        if wanted != value.precision:
            source = self.view(value, view)
            made = self.cast(source, wanted, f"{value.name}/{view}/{wanted}")
        else:
            shape = {
                "cube": (-1, value.tokens, value.channels),
                "rows": (-1, value.channels),
                "flat": (-1, value.tokens * value.channels),
            }[view]
            target = self.constant(np.array(shape, dtype=np.int64), f"shape:{shape}")
            made = self.add("Reshape", [value.tensor, target], f"{value.name}/{view}")
        value.tensors[view, wanted] = made
        return made

    def columns(self, value: Value, start: int, stop: int, out: str) -> str:
        """Numbers ``start:stop`` of the flat view."""
        return self._slice(self.view(value, "flat"), (start, stop, 1), out)

    def every(self, value: Value, start: int, stop: int, stride: int, out: str) -> str:
        """Tokens ``start:stop:stride``, as a cube."""
        return self._slice(self.view(value, "cube"), (start, stop, 1, stride), out)

    def _slice(self, tensor: str, bounds: Sequence[int], out: str) -> str:
        """Start, stop, axis and step of the slice stand in ``bounds``."""
        given = [self.constant(np.array([n], dtype=np.int64), f"int64:[{n}]") for n in bounds]
        return self.add("Slice", [tensor, *given], out)

    def cast(self, tensor: str, precision: Precision, out: str) -> str:
        """``tensor`` in another floating-point type."""
        to = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[precision]
        return self.add("Cast", [tensor], out, to=to)

    def model(
        self,
        name: str,
        inputs: Sequence[tuple[str, int, int]],
        output: tuple[str, int],
        metadata: dict[str, str],
    ) -> bytes:
        """The serialised model, checked; the same graph gives the same bytes.

        Args:
            name: of the graph.
            inputs: name, tokens, channels of each input; the batch axis is dynamic.
            output: name and number of classes of the output.
            metadata: strings that travel with the model.
        """
        graph = helper.make_graph(
            self.nodes,
            name,
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", t, c])
                for n, t, c in inputs
            ],
            [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, ["batch", output[1]])],
            [numpy_helper.from_array(array, n) for n, array in self.constants.items()],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="photonic-deploy",
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def _same_shape(value: Value, view: View, precision: Precision) -> str | None:
    if (view, precision) in value.tensors:
        return value.tensors[view, precision]
    # One token: a row is the whole beat, so both names stand for one tensor.
    other = {"rows": "flat", "flat": "rows"}.get(view)
    return value.tensors.get((other, precision)) if other and value.tokens == 1 else None
