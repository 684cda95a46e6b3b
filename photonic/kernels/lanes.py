"""Vectors of float32 in compiled kernels: one number for each of :data:`LANES` samples.

A compiler vectorises a loop where it can prove that it may, and leaves what does not fill a vector
to slow scalar code. Where samples stand in lanes, every operation is one vector instruction for all
of them, and sums stay in registers. These are operations for functions that numba compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default

from photonic.kernels.compiler import TANH_LIMIT, TANH_P, TANH_Q

intrinsic: Any = extending.intrinsic  # callers do not give the first argument

LANES = 8
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FAST = ("contract", "nsz", "reassoc")  # infinities and NaN stay what they are


class _Lanes(types.Type):
    """The type of such a vector."""

    def __init__(self) -> None:
        super().__init__(name=f"lanes{LANES}")


lanes = _Lanes()


@register_default(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _VECTOR)


def _place(context: Any, builder: Any, kind: types.Array, array: Any, first: Any) -> Any:
    """Pointer to lanes from number ``first`` of a contiguous array on."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


@intrinsic
def load(typing, array, first):  # noqa: ANN001, ANN201
    """The lanes that stand in a flat array from place ``first`` on."""

    def emit(context, builder, signature, args):  # noqa: ANN001, ANN202
        return builder.load(_place(context, builder, signature.args[0], *args), align=4)

    return lanes(array, types.intp), emit


@intrinsic
def store(typing, array, first, values):  # noqa: ANN001, ANN201
    """Write lanes to a flat array from place ``first`` on."""

    def emit(context, builder, signature, args):  # noqa: ANN001, ANN202
        builder.store(args[2], _place(context, builder, signature.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), emit


@intrinsic
def turn(typing, source, begins, shift, target, places, to):  # noqa: ANN001, ANN201
    """Write the transpose of :data:`LANES` rows of as many numbers from one flat array to another.

    Row k is read from place ``begins[k] + shift`` of ``source`` on; row k of the transpose is
    written from place ``places[k] + to`` of ``target`` on. Both tables are int64 ``(LANES,)``.
    """

    def emit(context, builder, signature, args):  # noqa: ANN001, ANN202
        kinds = signature.args

        def where(side, row):  # noqa: ANN001, ANN202
            places = context.make_array(kinds[side + 1])(context, builder, args[side + 1]).data
            place = builder.load(builder.gep(places, [context.get_constant(types.intp, row)]))
            place = builder.add(place, args[side + 2])
            return _place(context, builder, kinds[side], args[side], place)

        rows = [builder.load(where(0, lane), align=4) for lane in range(LANES)]
        width = 1
        while width < LANES:  # swap what is off the diagonal: squares of 1, of 2, of 4
            for k in range(LANES):
                if not k & width:
                    pair = rows[k], rows[k + width]
                    rows[k] = _picked(builder, pair, width, 0)
                    rows[k + width] = _picked(builder, pair, width, width)
            width *= 2
        for k, row in enumerate(rows):
            builder.store(row, where(3, k), align=4)
        return context.get_dummy_value()

    return types.void(source, begins, types.intp, target, places, types.intp), emit


def _picked(builder: Any, pair: tuple[Any, Any], width: int, first: int) -> Any:
    """Squares of ``width`` lanes from ``first`` on, in turn of the one and of the other vector."""
    lanes_of = [(k & ~width) + first + (LANES if k & width else 0) for k in range(LANES)]
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes_of)
    return builder.shuffle_vector(*pair, mask)


def _splat(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, cgutils.int32_t(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)


@intrinsic
def splat(typing, value):  # noqa: ANN001, ANN201
    """The same number in every lane."""

    def emit(context, builder, signature, args):  # noqa: ANN001, ANN202
        return _splat(builder, args[0])

    return lanes(types.float32), emit


def _operation(emit: Callable[..., Any], arity: int) -> Any:
    """An operation on vectors, from its arguments and the instructions that it takes."""

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        return emit(builder, *args)

    def one(typing, a):  # noqa: ANN001, ANN202
        return lanes(lanes), generate

    def two(typing, a, b):  # noqa: ANN001, ANN202
        return lanes(lanes, lanes), generate

    def three(typing, a, b, c):  # noqa: ANN001, ANN202
        return lanes(lanes, lanes, lanes), generate

    return intrinsic({1: one, 2: two, 3: three}[arity])


def _constant(value: Any) -> ir.Constant:
    return ir.Constant(_VECTOR, [float(value)] * LANES)


def _emit_fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=_FAST), c, flags=_FAST)


def _emit_tanh(builder: Any, x: Any) -> Any:
    """As :func:`photonic.kernels.compiler.fast_tanh`."""
    for sign, beyond in ((-1.0, "<"), (1.0, ">")):
        limit = _constant(sign * TANH_LIMIT)
        x = builder.select(builder.fcmp_ordered(beyond, x, limit), limit, x)
    z = builder.fmul(x, x, flags=_FAST)
    p, q = (_horner(builder, z, coefficients) for coefficients in (TANH_P, TANH_Q))
    return builder.fdiv(builder.fmul(x, p, flags=_FAST), q)  # one instruction; fast takes five


def _horner(builder: Any, z: Any, coefficients: Any) -> Any:
    total = _constant(coefficients[0])
    for coefficient in coefficients[1:]:
        total = _emit_fma(builder, total, z, _constant(coefficient))
    return total


add = _operation(lambda builder, a, b: builder.fadd(a, b, flags=_FAST), 2)
"""``a + b``."""
multiply = _operation(lambda builder, a, b: builder.fmul(a, b, flags=_FAST), 2)
"""``a · b``."""
fma = _operation(_emit_fma, 3)
"""``a · b + c``."""
slope = _operation(
    lambda builder, y: builder.fsub(_constant(1.0), builder.fmul(y, y), flags=_FAST), 1
)
"""``1 - a²``, the derivative of a tanh that came to a."""
tanh = _operation(_emit_tanh, 1)
"""``tanh(a)``, within 3e-7."""
