"""The two graphs of a bundle, written from the program and never traced from a training model.

Both take the program's inputs as float32 ``(batch, tokens, channels)`` with a dynamic batch axis
and give ``logits (batch, classes)``. What a host needs to use a graph alone travels as metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.emit import LOGITS, Emitter
from export.float_graph import FloatEmitter
from export.integer_graph import IntegerEmitter
from export.runtime import open_session, run_model
from export.tables import tables
from photonic.execute import grids, integer_layer, run_float
from photonic.profile import Converters
from photonic.program import Program

FLOAT_TOLERANCE = 1e-5  # largest difference of a logit from the float64 model


def float_model(program: Program, metadata: Mapping[str, Any], *, wide: bool = True) -> bytes:
    """The float graph of ``program``, serialised.

    Args:
        program: the model.
        metadata: JSON values that travel with it, by name.
        wide: float64 inside, wherever errors could grow; see :mod:`export.float_graph`.
    """
    return _model("photonic_float", FloatEmitter(program, wide=wide), metadata)


def lean_float_model(
    program: Program, metadata: Mapping[str, Any], inputs: Mapping[str, np.ndarray]
) -> bytes:
    """The faster float graph where it is near enough to the float64 model on ``inputs``.

    Near enough is a fifth of what parity allows: rare inputs lie further off than a sample shows.
    """
    narrow = float_model(program, metadata, wide=False)
    error = np.abs(run_model(open_session(narrow), inputs) - run_float(program, inputs))
    if error.max(initial=0.0) <= FLOAT_TOLERANCE / 5:
        return narrow
    return float_model(program, metadata)


def quantized_model(program: Program, converters: Converters, metadata: Mapping[str, Any]) -> bytes:
    """The graph of the deployed model: equal to ``run_integer`` code by code.

    Raises:
        ProgramError: a layer that would read ADC codes.
    """
    grids(program.inputs, program.steps)
    layers = {name: integer_layer(layer, converters) for name, layer in program.layers.items()}
    made = tables(program, layers, converters)
    emitter = IntegerEmitter(program, layers, made, converters)
    return _model("photonic_quantized", emitter, metadata)


def _model(name: str, emitter: Emitter, metadata: Mapping[str, Any]) -> bytes:
    emitter.emit()
    program, properties = emitter.program, {**metadata, **emitter.places()}
    return emitter.graph.model(
        name,
        [(spec.name, spec.tokens, spec.channels) for spec in program.inputs],
        (LOGITS, program.num_classes),
        {key: json.dumps(value, sort_keys=True) for key, value in properties.items()},
    )
