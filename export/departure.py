"""Where two embodiments of a model part: every value of the program compared, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from export.bundle import FLOAT_MODEL, QUANTIZED_MODEL, Bundle
from export.chunks import num_samples
from export.reexecute import FileArithmetic
from export.runtime import metadata, open_session, run_tensors
from export.wire import with_outputs
from photonic.execute import FloatArithmetic, IntegerArithmetic, execute
from photonic.program import Linear, Program, Step

# Between values, where float32 has rounded less often than in the logits.
TOLERANCE = 1e-5


def first_departing_step(
    bundle: Bundle, inputs: Mapping[str, np.ndarray], files: FileArithmetic | None
) -> str | None:
    """Name of the first layer (or digital step) whose values depart from the reference.

    Args:
        bundle: the bundle.
        inputs: program inputs on which something departs; a few are enough.
        files: the deployed model from stored codes and tables, to compare codes; ``None`` compares
            the float graph.
    """
    program = bundle.program
    if files is None:
        reference = execute(inputs, program.steps, FloatArithmetic(layers=program.layers))
        return _first(program, reference, _graph_values(bundle, inputs, quantized=False), TOLERANCE)
    exact = IntegerArithmetic.of(program, files.converters)
    reference = execute(inputs, program.steps, exact)
    stored = _first(program, reference, execute(inputs, program.steps, files), 0.0)
    return stored or _first(program, reference, _graph_values(bundle, inputs, quantized=True), 0.0)


def _first(
    program: Program,
    reference: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    tolerance: float,
) -> str | None:
    for step in program.steps:
        if step.out not in other:
            continue
        right = np.asarray(reference[step.out], dtype=np.float64)
        difference = np.abs(np.asarray(other[step.out], np.float64).reshape(right.shape) - right)
        if not bool((difference <= tolerance).all()):
            return step_name(step)
    return None


def step_name(step: Step) -> str:
    """The layer of a product, else the value that the step makes."""
    return step.layer if isinstance(step, Linear) else step.out


def _graph_values(
    bundle: Bundle, inputs: Mapping[str, np.ndarray], *, quantized: bool
) -> dict[str, np.ndarray]:
    """Values of the program as a graph computes them, those that it still tells apart."""
    model, where = bundle.model(quantized=quantized), (FLOAT_MODEL, QUANTIZED_MODEL)[quantized]
    places = metadata(open_session(model, where=where)).get("tensors", {})
    given = {spec.name for spec in bundle.program.inputs}
    tensors = sorted({place["tensor"] for place in places.values()} - given)
    session = open_session(with_outputs(model, [t for t in tensors if t != "logits"]), where=where)
    made = dict(zip(tensors, run_tensors(session, inputs, tensors), strict=True))
    shapes, num = bundle.program.shapes(), num_samples(inputs)
    return {
        value: value_at(place, made[place["tensor"]].reshape(num, -1), shapes[value])
        for value, place in places.items()
        if place["tensor"] in made
    }


def value_at(place: Mapping[str, Any], made: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The value ``(batch, tokens, channels)``, in codes where it has codes.

    Args:
        place: where it lies, as the graph's metadata has it.
        made: the tensor, ``(batch, numbers)``.
        shape: tokens and channels of the value.
    """
    first, size = place["first"], shape[0] * shape[1]
    return made[:, first : first + size].reshape(-1, *shape) / place["lsb"]
