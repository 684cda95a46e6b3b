"""The two things the base install does to serialised graphs, without the ``onnx`` package.

Written in protobuf's wire format (protobuf.dev, "Encoding") with the field numbers of
``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable

FLOAT = 1  # TensorProto.FLOAT
IR_VERSION, OPSET = 8, 17


def with_outputs(model: bytes, tensors: Iterable[str]) -> bytes:
    """``model`` with more of its tensors as outputs; their types are left to inference.

    A parser merges the repeated fields of two messages that follow one another ("Last One Wins" in
    the description of the format), so outputs are added by appending a model that has only them.
    """
    outputs = b"".join(_message(12, _text(1, name)) for name in tensors)
    return model + _message(7, outputs)


def identity_model(inputs: Iterable[tuple[str, int, int]]) -> bytes:
    """A graph that does nothing with its inputs: the floor under latencies of the same run.

    The first input is handed on as ``NAME/out``; a model has one output, so the floor has one.

    Args:
        inputs: name, tokens and channels of each; float32 with a dynamic batch axis.
    """
    specs = [(_text(1, name) + _tensor_type(size), name, size) for name, *size in inputs]
    _, first, size = specs[0]
    output = f"{first}/out"
    graph = _message(1, _text(1, first) + _text(2, output) + _text(4, "Identity"))
    graph += _text(2, "identity")
    graph += b"".join(_message(11, spec) for spec, _, _ in specs)
    graph += _message(12, _text(1, output) + _tensor_type(size))
    opset = _text(1, "") + _number(2, OPSET)
    return _number(1, IR_VERSION) + _message(7, graph) + _message(8, opset)


def _tensor_type(sizes: Iterable[int]) -> bytes:
    shape = _message(1, _text(2, "batch"))
    shape += b"".join(_message(1, _number(1, size)) for size in sizes)
    return _message(2, _message(1, _number(1, FLOAT) + _message(2, shape)))


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
