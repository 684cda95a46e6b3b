"""The latency floor: a graph that does nothing, with the inputs of the model.

What an identity graph takes is the price of calling onnxruntime at all, on this machine and in this
run. The graph is written here as protobuf bytes, since the base install holds no ``onnx``: three
wire rules (varint, length-delimited, tag) and the field numbers of ``onnx.proto3``
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3) are all it takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from photonic.program import Input

OPSET = 13
_IR_VERSION = 7  # the first one that allows opset 13
_FLOAT = 1  # TensorProto.DataType.FLOAT
_BATCH = "batch"


def identity_graph(inputs: Sequence[Input]) -> bytes:
    """ONNX model that copies every input (batch, tokens, channels) to ``<name>_copy``.

    Args:
        inputs: float32 inputs of the model whose floor is measured.
    """
    graph = b"".join(
        [
            *(_message(1, _identity_node(i.name)) for i in inputs),
            _text(2, "identity"),
            *(_message(11, _tensor_info(i.name, i)) for i in inputs),
            *(_message(12, _tensor_info(copy_name(i.name), i)) for i in inputs),
        ]
    )
    operator_set = _text(1, "") + _number(2, OPSET)
    return _number(1, _IR_VERSION) + _message(7, graph) + _message(8, operator_set)


def copy_name(name: str) -> str:
    """Output that holds the copy of input ``name``."""
    return f"{name}_copy"


def _identity_node(name: str) -> bytes:
    return _text(1, name) + _text(2, copy_name(name)) + _text(4, "Identity")


def _tensor_info(name: str, value: Input) -> bytes:
    dimensions = [_text(2, _BATCH), _number(1, value.tokens), _number(1, value.channels)]
    shape = b"".join(_message(1, dimension) for dimension in dimensions)
    tensor = _number(1, _FLOAT) + _message(2, shape)
    return _text(1, name) + _message(2, _message(1, tensor))


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
