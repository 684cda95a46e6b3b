"""The quantised graph taken apart: single products up to the ADC, and single activations.

A part can hold several steps side by side. Each has its own columns; the others get zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.utils import Extractor

from export.bundle import QUANTIZED_MODEL, Bundle
from export.runtime import metadata, open_session
from photonic.errors import BundleError
from photonic.execute import IntegerLayer
from photonic.program import Activation, Linear


class GraphParts:
    """Parts of the quantised graph of ``bundle``, found through the graph's own metadata."""

    def __init__(self, bundle: Bundle, layers: Mapping[str, IntegerLayer]) -> None:
        model = bundle.model(quantized=True)
        stated = metadata(open_session(model, where=QUANTIZED_MODEL))
        self._products: dict[str, Any] = stated.get("products", {})
        self._values: dict[str, Any] = stated.get("tensors", {})
        self._layers = {
            step.out: layers[step.layer]
            for step in bundle.program.steps
            if isinstance(step, Linear)
        }
        self._extractor = Extractor(onnx.shape_inference.infer_shapes(onnx.load_from_string(model)))
        self._sessions: dict[tuple[str, str], onnxruntime.InferenceSession] = {}

    def product(self, step: Linear, first: int, codes: np.ndarray) -> tuple[np.ndarray, int]:
        """What the ADC makes of ``codes (n, width)`` in the inputs of ``step`` from ``first`` on.

        Returns:
            Samples ``(n, columns)`` of every tile, and the first column of those of ``step``.

        Raises:
            BundleError: the graph does not say where this product is, or does not have it.
        """
        place = _place(self._products, step.out)
        columns = max(
            other["first_code"] + self._layers[name].fan_in
            for name, other in self._products.items()
            if other["samples"] == place["samples"]
        )
        rows = np.zeros((len(codes), columns), dtype=np.float32)
        start = place["first_code"] + first
        rows[:, start : start + codes.shape[1]] = codes
        return self._run(place["codes"], place["samples"], rows), place["first_sample"]

    def activation(self, step: Activation, codes: np.ndarray) -> np.ndarray:
        """What the graph makes of ADC ``codes (n,)`` in every channel of ``step``: ``(n, c)``.

        Raises:
            BundleError: as :meth:`product`.
        """
        sums, out = _place(self._values, step.source), _place(self._values, step.out)
        columns = max(
            place["first"] + self._layers[name].out
            for name, place in self._values.items()
            if place["tensor"] == sums["tensor"] and name in self._layers
        )
        values = (codes * sums["lsb"]).astype(np.float32)
        rows = np.repeat(values[:, None], columns, axis=1)
        made = self._run(sums["tensor"], out["tensor"], rows)
        first, channels = out["first"], self._layers[step.source].out
        return made[:, first : first + channels] / out["lsb"]

    def _run(self, start: str, end: str, rows: np.ndarray) -> np.ndarray:
        if (start, end) not in self._sessions:
            try:
                part = self._extractor.extract_model([start], [end])
            except (KeyError, ValueError) as error:
                raise BundleError(f"{QUANTIZED_MODEL}: no part {start} → {end}: {error}") from None
            session = open_session(part.SerializeToString(), where=QUANTIZED_MODEL)
            self._sessions[start, end] = session
        return np.asarray(self._sessions[start, end].run(None, {start: rows})[0])


def _place(places: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in places:
        raise BundleError(f"{QUANTIZED_MODEL}: does not say where {name!r} is: export again")
    return places[name]
