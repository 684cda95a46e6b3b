"""The two graphs of a bundle, written from the program and never traced from a training model.

Both take the program's inputs as float32 ``(batch, tokens, channels)`` with a dynamic batch axis
and give ``logits (batch, classes)``. What a host needs to use a graph alone travels as metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from export.emit import LOGITS, Emitter
from export.float_graph import FloatEmitter
from export.graph import Value
from export.integer_graph import IntegerEmitter
from export.tables import tables
from photonic.execute import grids, integer_layer
from photonic.profile import Converters
from photonic.program import Program


def float_model(program: Program, metadata: Mapping[str, Any]) -> bytes:
    """The float graph of ``program``, serialised.

    Args:
        program: the model.
        metadata: JSON values that travel with it, by name.
    """
    return _model("photonic_float", FloatEmitter(program), metadata)


def quantized_model(program: Program, converters: Converters, metadata: Mapping[str, Any]) -> bytes:
    """The graph of the deployed model: equal to ``run_integer`` code by code.

    Raises:
        ProgramError: a layer that would read ADC codes.
    """
    grids(program.inputs, program.steps)
    layers = {name: integer_layer(layer, converters) for name, layer in program.layers.items()}
    made = tables(program, layers, converters)
    emitter = IntegerEmitter(program, layers, made, converters)
    return _model("photonic_quantized", emitter, metadata, products=emitter.products)


def _model(
    name: str, emitter: Emitter, metadata: Mapping[str, Any], **tensors: Mapping[str, Any]
) -> bytes:
    values = emitter.emit()
    program = emitter.program
    properties = {**metadata, "tensors": _tensors(program, values), **tensors}
    return emitter.graph.model(
        name,
        [(spec.name, spec.tokens, spec.channels) for spec in program.inputs],
        (LOGITS, program.num_classes),
        {key: json.dumps(value, sort_keys=True) for key, value in properties.items()},
    )


def _tensors(program: Program, values: Mapping[str, Value]) -> dict[str, str]:
    """Which tensor holds each step's value, so that two runs can be compared step by step."""
    return {step.out: values[step.out].tensor for step in program.steps}
