"""What kernels do with tiles: values of :data:`LANES` samples, one row of lanes per value.

For functions that numba compiles. Their loops take most of the time of training and prediction, so
they load a value once for four sums and keep weights as whole rows of lanes.
"""

from __future__ import annotations

import numba

from photonic.kernels.lanes import LANES, fma, load, splat, store, turn


@numba.njit(inline="always")
def take(values, begins, width, tile, to, rows):  # noqa: ANN001, ANN201
    """Write :data:`LANES` samples of ``width`` numbers as rows of a tile.

    Args:
        values: flat.
        begins: where each sample begins in them.
        width: numbers of a sample.
        tile: flat, written to.
        to: place of the first row.
        rows: place of each of :data:`LANES` rows from the first on.
    """
    whole = width - width % LANES
    for k in range(0, whole, LANES):
        turn(values, begins, k, tile, rows, to + k * LANES)
    for k in range(whole, width):
        for lane in range(LANES):
            tile[to + k * LANES + lane] = values[begins[lane] + k]


@numba.njit(inline="always")
def spread(numbers, wide):  # noqa: ANN001, ANN201
    """Write each number as a row of lanes, for :func:`four_sums` and others to load."""
    for k in range(len(numbers)):
        store(wide, k * LANES, splat(numbers[k]))


@numba.njit(inline="always")
def four_sums(tile, at, wide, weights, biases, width):  # noqa: ANN001, ANN201
    """``bias + Σ weight · value`` for four rows of a matrix that follow each other.

    Args:
        tile: values, ``width`` rows from place ``at`` on.
        at: see above.
        wide: weights and biases as rows of lanes.
        weights: place of the first row of the matrix.
        biases: place of the first bias.
        width: columns of the matrix.
    """
    s0, s1 = load(wide, biases), load(wide, biases + LANES)
    s2, s3 = load(wide, biases + 2 * LANES), load(wide, biases + 3 * LANES)
    across = width * LANES
    for k in range(0, across, LANES):
        x, v = load(tile, at + k), weights + k
        s0, s1 = fma(load(wide, v), x, s0), fma(load(wide, v + across), x, s1)
        v += 2 * across
        s2, s3 = fma(load(wide, v), x, s2), fma(load(wide, v + across), x, s3)
    return s0, s1, s2, s3


@numba.njit(inline="always")
def one_sum(tile, at, wide, weights, bias, width):  # noqa: ANN001, ANN201
    """As :func:`four_sums`, for one row of the matrix."""
    total = load(wide, bias)
    for k in range(0, width * LANES, LANES):
        total = fma(load(wide, weights + k), load(tile, at + k), total)
    return total
