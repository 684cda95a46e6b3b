"""The two things the base install does to serialised graphs, without the ``onnx`` package.

Written in protobuf's wire format (protobuf.dev, "Encoding") with the field numbers of
``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable

FLOAT = 1  # TensorProto.FLOAT
IR_VERSION, OPSET = 8, 17


def with_outputs(model: bytes, tensors: Iterable[str]) -> bytes:
    """``model`` with more of its float tensors as outputs.

    A parser merges the repeated fields of two messages that follow one another ("Last One Wins" in
    the description of the format), so outputs are added by appending a model that has only them.
    """
    tensor_type = _message(1, _number(1, FLOAT))
    outputs = (_text(1, name) + _message(2, tensor_type) for name in tensors)
    return model + _message(7, b"".join(_message(12, output) for output in outputs))


def identity_model(inputs: Iterable[tuple[str, int, int]]) -> bytes:
    """A graph that hands every input on: the floor under any latency measured in the same run.

    Args:
        inputs: name, tokens and channels of each; float32 with a dynamic batch axis. Input ``x``
            comes out as ``x/out``.
    """
    graph = _text(2, "identity")
    for name, tokens, channels in inputs:
        node = _text(1, name) + _text(2, f"{name}/out") + _text(4, "Identity")
        shape = _message(1, _text(2, "batch"))
        shape += b"".join(_message(1, _number(1, size)) for size in (tokens, channels))
        tensor = _message(2, _message(1, _number(1, FLOAT) + _message(2, shape)))
        graph += _message(1, node)
        graph += _message(11, _text(1, name) + tensor)
        graph += _message(12, _text(1, f"{name}/out") + tensor)
    opset = _text(1, "") + _number(2, OPSET)
    return _number(1, IR_VERSION) + _message(7, graph) + _message(8, opset)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
