"""Training passes of several students on the CPU, compiled with numba: samples in lanes of tiles.

As in :mod:`photonic.students.tiles_kernel` a tile holds every value of a program for
:data:`~photonic.kernels.lanes.LANES` samples, one row per value. Here it is kept for the way back,
which goes through the table of operations from its end. The columns of the table are those of
:class:`photonic.students.tape.Operation`.
"""

from __future__ import annotations

import numba
import numpy as np

from photonic.kernels.compiler import compiled
from photonic.kernels.lanes import LANES, add, fma, load, multiply, slope, splat, store, tanh
from photonic.kernels.tile import four_sums, one_sum, spread, take
from photonic.students.tape import COPY, MEAN, MOST_INPUTS, POOLED

_ZERO, _ONE = np.float32(0), np.float32(1)
_batches, _rows = numba.float32[:, :, ::1], numba.float32[:, ::1]
_inputs = numba.types.UniTuple(_batches, MOST_INPUTS)
_table, _size = numba.int64[:, ::1], numba.int64


@numba.njit(inline="always")
def _samples(first, width, count, begins):  # noqa: ANN001, ANN202
    """Where ``count`` samples of ``width`` numbers begin; the last one fills up."""
    for lane in range(LANES):
        begins[lane] = first + min(lane, count - 1) * width


@numba.njit(inline="always")
def _put(tile, extra, total, squashed, noisy, to, clean, row):  # noqa: ANN001, ANN202
    """Write a sum, or its tanh without and with noise."""
    if squashed:
        total = tanh(total)
        if noisy:
            store(tile, clean + row, total)
            total = add(total, load(extra, row))
    store(tile, to + row, total)


@compiled(
    _inputs, _table, _rows, _rows, _rows, numba.float32, _batches, _size, _batches, _size, _batches
)
def forward(  # noqa: ANN201
    inputs, table, maps, noise, masks, share, tiles, out_row, outputs, feature_row, features  # noqa: ANN001
):  # fmt: skip
    """Write every value of every student, for all samples of its batch.

    Args:
        inputs: each ``(students, batch, values)``; one without values is none.
        table: operations, ``(operations, columns)``.
        maps: weights and biases of all layers, ``(students, numbers)``.
        noise: what is added behind each tanh, one operation after the other, ``(students,
            numbers)``; without rows for none.
        masks: 0 or 1 for what is copied under a mask, in the same way.
        share: of what the masks keep.
        tiles: ``(students, blocks, rows · LANES)``, written to.
        out_row: first row of the logits.
        outputs: ``(students, batch, classes)``, written to.
        feature_row: first row of the features.
        features: ``(students, batch, channels)``, written to.
    """
    num_students, batch = maps.shape[0], outputs.shape[1]
    begins, rows = np.empty(LANES, np.int64), np.arange(LANES) * LANES
    extra = np.empty(tiles.shape[2], np.float32)
    wide = np.empty(maps.shape[1] * LANES, np.float32)
    kept = splat(_ONE / share)
    for student in range(num_students):
        spread(maps[student], wide)
        for block in range(tiles.shape[1]):
            tile, start = tiles[student, block], block * LANES
            count = min(LANES, batch - start)
            sample = student * batch + start
            base = 0
            for x in inputs:
                width = x.shape[2]
                if width:
                    _samples(sample * width, width, count, begins)
                    take(x.reshape(-1), begins, width, tile, base, rows)
                base += width * LANES
            for step in range(table.shape[0]):
                kind, source, stride, width = (
                    table[step, 0],
                    table[step, 1],
                    table[step, 2],
                    table[step, 3],
                )
                to, num_out, tokens, size = (
                    table[step, 4],
                    table[step, 5],
                    table[step, 6],
                    table[step, 7],
                )
                squashed, first, place, clean = (
                    table[step, 8],
                    table[step, 9],
                    table[step, 10],
                    table[step, 11],
                )
                if kind == MEAN:
                    part = splat(_ONE / np.float32(size))
                    for token in range(tokens):
                        for k in range(width):
                            total, at = splat(_ZERO), (source + token * size * stride + k) * LANES
                            for _ in range(size):
                                total = add(total, load(tile, at))
                                at += stride * LANES
                            store(tile, (to + token * width + k) * LANES, multiply(total, part))
                    continue
                numbers = tokens * num_out
                if kind == COPY:
                    masked = place >= 0 and masks.size > 0
                    if masked:
                        _samples(place * batch + start * numbers, numbers, count, begins)
                        take(masks[student], begins, numbers, extra, 0, rows)
                    for token in range(tokens):
                        for k in range(width):
                            value = load(tile, (source + token * stride + k) * LANES)
                            at = (token * width + k) * LANES
                            if masked:
                                value = multiply(multiply(value, kept), load(extra, at))
                            store(tile, to * LANES + at, value)
                    continue
                noisy = squashed and noise.size > 0
                if noisy:
                    _samples(place * batch + start * numbers, numbers, count, begins)
                    take(noise[student], begins, numbers, extra, 0, rows)
                if kind == POOLED:
                    part = splat(_ONE / np.float32(size))
                    for out in range(num_out):
                        v = (first + out * width) * LANES
                        w0, w1 = load(wide, v), load(wide, v + LANES)
                        w2, w3 = load(wide, v + 2 * LANES), load(wide, v + 3 * LANES)
                        bias = load(wide, (first + num_out * width + out) * LANES)
                        for token in range(tokens):
                            at, total = (source + token * size * stride) * LANES, splat(_ZERO)
                            d0, d1, d2, d3, d4 = total, total, total, total, total
                            for _ in range(size):
                                x0, x1 = load(tile, at), load(tile, at + LANES)
                                x2, x3 = load(tile, at + 2 * LANES), load(tile, at + 3 * LANES)
                                y = tanh(fma(w3, x3, fma(w2, x2, fma(w1, x1, fma(w0, x0, bias)))))
                                change = slope(y)
                                total, d4 = add(total, y), add(d4, change)
                                d0, d1 = fma(change, x0, d0), fma(change, x1, d1)
                                d2, d3 = fma(change, x2, d2), fma(change, x3, d3)
                                at += stride * LANES
                            total, row = multiply(total, part), (token * num_out + out) * LANES
                            if noisy:
                                total = add(total, load(extra, row))
                            store(tile, to * LANES + row, total)
                            at = clean * LANES + 5 * row
                            store(tile, at, multiply(d0, part))
                            store(tile, at + LANES, multiply(d1, part))
                            store(tile, at + 2 * LANES, multiply(d2, part))
                            store(tile, at + 3 * LANES, multiply(d3, part))
                            store(tile, at + 4 * LANES, multiply(d4, part))
                    continue
                weights, biases = first * LANES, (first + num_out * width) * LANES
                written, without = to * LANES, clean * LANES
                for token in range(tokens):
                    at = (source + token * stride) * LANES
                    for out in range(0, num_out - 3, 4):
                        v, row = weights + out * width * LANES, (token * num_out + out) * LANES
                        y = four_sums(tile, at, wide, v, biases + out * LANES, width)
                        _put(tile, extra, y[0], squashed, noisy, written, without, row)
                        _put(tile, extra, y[1], squashed, noisy, written, without, row + LANES)
                        _put(tile, extra, y[2], squashed, noisy, written, without, row + 2 * LANES)
                        _put(tile, extra, y[3], squashed, noisy, written, without, row + 3 * LANES)
                    for out in range(num_out - num_out % 4, num_out):
                        v, row = weights + out * width * LANES, (token * num_out + out) * LANES
                        total = one_sum(tile, at, wide, v, biases + out * LANES, width)
                        _put(tile, extra, total, squashed, noisy, written, without, row)
            for lane in range(count):
                for k in range(outputs.shape[2]):
                    outputs[student, start + lane, k] = tile[(out_row + k) * LANES + lane]
                for k in range(features.shape[2]):
                    features[student, start + lane, k] = tile[(feature_row + k) * LANES + lane]


@compiled(
    _table, _rows, numba.boolean, _rows, numba.float32, _batches, _size, _batches, _size, _batches,
    _size, _rows
)  # fmt: skip
def backward(  # noqa: ANN201
    table, maps, noisy, masks, share, tiles, out_row, by_outputs, feature_row, by_features,  # noqa: ANN001
    num_given, by_maps  # noqa: ANN001
):  # fmt: skip
    """Write the gradients of weights and biases.

    Args:
        table: as in :func:`forward`, as are ``maps``, ``masks``, ``share``, ``tiles``, ``out_row``
            and ``feature_row``.
        maps: see above.
        noisy: whether there was noise.
        masks: see above.
        share: see above.
        tiles: see above.
        out_row: see above.
        by_outputs: gradient of the logits ``(students, batch, classes)``.
        feature_row: see above.
        by_features: gradient of the features ``(students, batch, channels)``.
        num_given: rows of the inputs, which want no gradient.
        by_maps: as ``maps``, written to.
    """
    num_students, batch = maps.shape[0], by_outputs.shape[1]
    begins, rows = np.empty(LANES, np.int64), np.arange(LANES) * LANES
    grad, extra = np.empty(tiles.shape[2], np.float32), np.empty(tiles.shape[2], np.float32)
    sums = np.empty(maps.shape[1] * LANES, np.float32)
    wide = np.empty_like(sums)
    kept = splat(_ONE / share)
    for student in range(num_students - 1, -1, -1):  # what is still in the cache first
        spread(maps[student], wide)
        sums[:] = _ZERO
        for block in range(tiles.shape[1] - 1, -1, -1):
            tile, start = tiles[student, block], block * LANES
            count = min(LANES, batch - start)
            grad[num_given * LANES :] = _ZERO
            for lane in range(count):
                for k in range(by_outputs.shape[2]):
                    grad[(out_row + k) * LANES + lane] = by_outputs[student, start + lane, k]
                for k in range(by_features.shape[2]):
                    grad[(feature_row + k) * LANES + lane] += by_features[student, start + lane, k]
            for step in range(table.shape[0] - 1, -1, -1):
                kind, source, stride, width = (
                    table[step, 0],
                    table[step, 1],
                    table[step, 2],
                    table[step, 3],
                )
                to, num_out, tokens, size = (
                    table[step, 4],
                    table[step, 5],
                    table[step, 6],
                    table[step, 7],
                )
                squashed, first, place, clean = (
                    table[step, 8],
                    table[step, 9],
                    table[step, 10],
                    table[step, 11],
                )
                wanted, numbers = source >= num_given, tokens * num_out
                if kind == MEAN:
                    part = splat(_ONE / np.float32(size))
                    for token in range(tokens if wanted else 0):
                        for k in range(width):
                            change = multiply(load(grad, (to + token * width + k) * LANES), part)
                            at = (source + token * size * stride + k) * LANES
                            for _ in range(size):
                                store(grad, at, add(load(grad, at), change))
                                at += stride * LANES
                    continue
                if kind == COPY:
                    masked = place >= 0 and masks.size > 0
                    if masked:
                        _samples(place * batch + start * numbers, numbers, count, begins)
                        take(masks[student], begins, numbers, extra, 0, rows)
                    for token in range(tokens if wanted else 0):
                        for k in range(width):
                            at = (token * width + k) * LANES
                            change = load(grad, to * LANES + at)
                            if masked:
                                change = multiply(multiply(change, kept), load(extra, at))
                            at = (source + token * stride + k) * LANES
                            store(grad, at, add(load(grad, at), change))
                    continue
                if kind == POOLED:
                    for out in range(num_out):
                        at = (first + out * width) * LANES
                        bias = (first + num_out * width + out) * LANES
                        for token in range(tokens):
                            row = (token * num_out + out) * LANES
                            change, made = load(grad, to * LANES + row), clean * LANES + 5 * row
                            for k in range(0, 4 * LANES, LANES):
                                total = fma(change, load(tile, made + k), load(sums, at + k))
                                store(sums, at + k, total)
                            total = fma(change, load(tile, made + 4 * LANES), load(sums, bias))
                            store(sums, bias, total)
                    continue
                if squashed:
                    made = clean if noisy else to
                    for k in range(numbers):
                        at = (to + k) * LANES
                        change = slope(load(tile, (made + k) * LANES))
                        store(grad, at, multiply(load(grad, at), change))
                for out in range(num_out):
                    v = first + out * width
                    for k in range(0, width - 3, 4):
                        at = (v + k) * LANES
                        s0, s1 = load(sums, at), load(sums, at + LANES)
                        s2, s3 = load(sums, at + 2 * LANES), load(sums, at + 3 * LANES)
                        for token in range(tokens):
                            change = load(grad, (to + token * num_out + out) * LANES)
                            x = (source + token * stride + k) * LANES
                            s0 = fma(change, load(tile, x), s0)
                            s1 = fma(change, load(tile, x + LANES), s1)
                            s2 = fma(change, load(tile, x + 2 * LANES), s2)
                            s3 = fma(change, load(tile, x + 3 * LANES), s3)
                        store(sums, at, s0)
                        store(sums, at + LANES, s1)
                        store(sums, at + 2 * LANES, s2)
                        store(sums, at + 3 * LANES, s3)
                    for k in range(width - width % 4, width):
                        total = load(sums, (v + k) * LANES)
                        for token in range(tokens):
                            change = load(grad, (to + token * num_out + out) * LANES)
                            total = fma(
                                change, load(tile, (source + token * stride + k) * LANES), total
                            )
                        store(sums, (v + k) * LANES, total)
                    v = (first + num_out * width + out) * LANES
                    total = load(sums, v)
                    for token in range(tokens):
                        total = add(total, load(grad, (to + token * num_out + out) * LANES))
                    store(sums, v, total)
                across = width * LANES
                for token in range(tokens if wanted else 0):
                    at, by = (source + token * stride) * LANES, (to + token * num_out) * LANES
                    for out in range(0, num_out - 3, 4):
                        g0, g1 = load(grad, by), load(grad, by + LANES)
                        g2, g3 = load(grad, by + 2 * LANES), load(grad, by + 3 * LANES)
                        for k in range(0, across, LANES):
                            v, total = (first + out * width) * LANES + k, load(grad, at + k)
                            total = fma(load(wide, v), g0, total)
                            total = fma(load(wide, v + across), g1, total)
                            v += 2 * across
                            total = fma(load(wide, v), g2, total)
                            total = fma(load(wide, v + across), g3, total)
                            store(grad, at + k, total)
                        by += 4 * LANES
                    for out in range(num_out - num_out % 4, num_out):
                        change = load(grad, by)
                        for k in range(0, across, LANES):
                            v, total = (first + out * width) * LANES + k, load(grad, at + k)
                            store(grad, at + k, fma(load(wide, v), change, total))
                        by += LANES
        for k in range(maps.shape[1]):
            total = _ZERO
            for lane in range(LANES):
                total += sums[k * LANES + lane]
            by_maps[student, k] = total
