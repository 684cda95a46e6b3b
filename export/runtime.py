"""Running the graphs of a bundle with onnxruntime: one thread, nothing that the chip's host lacks.

Needs no ``onnx`` package and no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime

from photonic.errors import BundleError


def open_session(model: bytes, *, where: str = "model") -> onnxruntime.InferenceSession:
    """A CPU session with one thread.

    Args:
        model: serialised ONNX model.
        where: its file, for the message.

    Raises:
        BundleError: onnxruntime does not take the model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors; warnings of the optimiser help no user
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  onnxruntime's errors share no narrower base
        reason = str(error).splitlines()[0]
        raise BundleError(f"{where}: onnxruntime cannot load it: {reason}") from None


def run_model(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Logits ``(batch, classes)`` float32 of inputs ``(batch, tokens, channels)`` float32."""
    return run_tensors(session, inputs, ["logits"])[0]


def run_one_by_one(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """As :func:`run_model`, with a batch of one beat at a time."""
    num = len(next(iter(inputs.values())))
    beats = ({name: x[i : i + 1] for name, x in inputs.items()} for i in range(num))
    return np.concatenate([run_model(session, beat) for beat in beats])


def run_tensors(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray], tensors: list[str]
) -> list[np.ndarray]:
    """The named outputs of the session; see :func:`export.wire.with_outputs` for more of them."""
    outputs: list[Any] = list(session.run(tensors, dict(inputs)))
    return outputs


def metadata(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """What the graph says of itself, by name.

    Raises:
        BundleError: metadata that is no JSON.
    """
    try:
        texts = session.get_modelmeta().custom_metadata_map
        return {key: json.loads(text) for key, text in texts.items()}
    except json.JSONDecodeError as error:
        raise BundleError(f"metadata of the graph is not JSON: {error}") from None
