"""Unitary matrices as meshes of Mach–Zehnder interferometers: decomposition and reconstruction.

One interferometer on the modes ``m, m+1`` is ``T(θ, φ) = j·e^{jθ/2}·[[e^{jφ}·sin(θ/2), cos(θ/2)],
[e^{jφ}·cos(θ/2), −sin(θ/2)]]``: θ = 0 crosses, θ = π passes straight (Bandyopadhyay, Hamerly and
Englund 2021, Eq. 5 without splitter errors; confirmed). A mesh is
``U = diag(e^{j·out}) · T_M ⋯ T_2 · T_1``; light meets ``T_1`` first.

Angles come from :func:`numpy.arctan2`, never from a quotient, so that identities, permutations and
diagonal or rank-deficient blocks are ordinary inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from photonic.errors import ConfigError

MeshKind = Literal["clements", "reck"]
MAX_MODES = 64
UNITARY_TOLERANCE = 1e-8
# A magnitude whose square loses digits; there is nothing of that size to null.
VANISHING = 1e-150


class Null(NamedTuple):
    """An element that decomposition turns to zero, and the interferometer that does it."""

    row: int
    column: int
    from_right: bool

    @property
    def mode(self) -> int:
        """Upper one of the two modes that the interferometer mixes."""
        return self.column if self.from_right else self.row - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshLayout:
    """Where the ``M = N(N−1)/2`` interferometers of an ``N``-mode mesh stand, in light order.

    Attributes:
        size: number of modes ``N``.
        modes: ``(M,)`` upper mode of each interferometer.
        columns: ``(M,)`` the column each stands in; those of one column act at the same time.
        nulls: what decomposition nulls, in its order, with the index of the interferometer.
    """

    size: int
    modes: np.ndarray
    columns: np.ndarray
    nulls: tuple[tuple[int, Null], ...]

    @property
    def num_columns(self) -> int:
        """Optical depth: ``N`` for Clements, ``2N − 3`` for Reck."""
        return int(self.columns.max(initial=-1)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshPhases:
    """Phases in radians; leading batch dimensions, interferometers in the layout's order.

    Attributes:
        theta: ``(..., M)`` inner phases, in [0, π] after decomposition.
        phi: ``(..., M)`` outer phases, in [0, 2π).
        out: ``(..., N)`` output phases, in [0, 2π).
    """

    theta: np.ndarray
    phi: np.ndarray
    out: np.ndarray


@lru_cache(maxsize=128)
def mesh_layout(kind: MeshKind, size: int) -> MeshLayout:
    """Layout of a rectangular (Clements et al. 2016) or triangular (Reck et al. 1994) mesh.

    Raises:
        ConfigError: an unknown kind, or a number of modes outside 1…64.
    """
    if not 1 <= size <= MAX_MODES:
        raise ConfigError(f"mesh of {size} modes: allowed are 1…{MAX_MODES}")
    if kind == "clements":
        nulls = _clements_nulls(size)
    elif kind == "reck":
        nulls = [Null(row, col, True) for row in range(size - 1, 0, -1) for col in range(row)]
    else:
        raise ConfigError(f"mesh {kind!r}: known are clements, reck")
    # Elements taken out on the right meet the light first, in that order; the left ones last.
    first = [n for n, null in enumerate(nulls) if null.from_right]
    last = [n for n, null in enumerate(nulls) if not null.from_right]
    placed, free = [], [0] * size
    for n in first + last[::-1]:
        mode = nulls[n].mode
        column = max(free[mode], free[mode + 1])
        free[mode] = free[mode + 1] = column + 1
        placed.append((column, mode, n))
    placed.sort()
    index = {n: position for position, (_, _, n) in enumerate(placed)}
    return MeshLayout(
        size=size,
        modes=np.array([mode for _, mode, _ in placed], dtype=np.intp),
        columns=np.array([column for column, _, _ in placed], dtype=np.intp),
        nulls=tuple((index[n], null) for n, null in enumerate(nulls)),
    )


def _clements_nulls(size: int) -> list[Null]:
    """Diagonals from the lower left corner, from the right and from the left in turn."""
    nulls = []
    for diagonal in range(1, size):
        for k in range(diagonal):
            if diagonal % 2:
                nulls.append(Null(size - 1 - k, diagonal - 1 - k, True))
            else:
                nulls.append(Null(size - diagonal + k, k, False))
    return nulls


def decompose(unitaries: np.ndarray, kind: MeshKind = "clements") -> MeshPhases:
    """Phases of the meshes that realise ``unitaries``; :func:`reconstruct` is the inverse.

    The elements below the diagonal are nulled one after another, each for the whole batch at once.
    Interferometers that null from the left are then moved through the remaining diagonal (Clements
    et al. 2016, Eqs. 3–5; Reck et al. 1994 null from the right only).

    Args:
        unitaries: ``(..., N, N)``, complex or real, N ≤ 64.
        kind: ``clements`` or ``reck``.

    Raises:
        ConfigError: matrices that are not square or not unitary within 1e-8, or too many modes.
    """
    *batch, rows, size = unitaries.shape
    if rows != size:
        raise ConfigError(f"unitaries of shape {unitaries.shape}: the last two must be equal")
    layout = mesh_layout(kind, size)
    # Batch last: every operation below runs over contiguous rows of it.
    u = np.array(np.moveaxis(unitaries.reshape(-1, size, size), 0, -1), dtype=complex, order="C")
    theta, phi = np.empty((2, len(layout.nulls), u.shape[-1]))
    for index, null in layout.nulls:
        m = null.mode
        if null.from_right:
            pair = u[: null.row + 1, m : m + 2].swapaxes(0, 1)
            theta[index], phi[index] = _null_last_from_right(pair)
        else:
            theta[index], phi[index] = _null_first_from_left(u[m : m + 2, null.column :])
    _refuse_non_unitary(u)
    out = np.angle(u[np.arange(size), np.arange(size)])
    for index, null in reversed(layout.nulls):
        if not null.from_right:
            # T†·D = D'·T': the element leaves the left of the diagonal for its right.
            upper, lower = out[null.mode], out[null.mode + 1]
            turned = np.pi - theta[index] + lower
            new_phi = upper - lower
            out[null.mode], out[null.mode + 1] = turned - phi[index], turned
            phi[index] = new_phi
    return MeshPhases(
        theta=theta.T.reshape(*batch, len(layout.nulls)),
        phi=_wrapped(phi).T.reshape(*batch, len(layout.nulls)),
        out=_wrapped(out).T.reshape(*batch, size),
    )


def _refuse_non_unitary(reduced: np.ndarray) -> None:
    """``reduced`` ``(N, N, batch)`` is what rotations left over: a diagonal of phases."""
    error = np.abs(np.abs(reduced) - np.eye(len(reduced))[..., None]).max(initial=0.0)
    if not error <= UNITARY_TOLERANCE:
        raise ConfigError(
            f"matrices are not unitary: rotated to a diagonal of phases, an element is off "
            f"by {error:.1e}, allowed are {UNITARY_TOLERANCE:g}"
        )


def _null_last_from_right(pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multiply two columns ``(2, rows, batch)`` by T† in place so that ``pair[0, -1]`` is zero."""
    a, b = pair[0, -1], pair[1, -1]
    sine, cosine = _direction(np.abs(b), np.abs(a))
    outer = _phasor(-a * b.conj())
    _mix(pair, sine, cosine, -sine - 1j * cosine, outer.conj())
    return 2 * np.arctan2(sine, cosine), np.angle(outer)


def _null_first_from_left(pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multiply two rows ``(2, columns, batch)`` by T in place so that ``pair[1, 0]`` is zero."""
    a, b = pair[0, 0], pair[1, 0]
    sine, cosine = _direction(np.abs(a), np.abs(b))
    outer = _phasor(b * a.conj())
    _mix(pair, sine, cosine, -sine + 1j * cosine, outer)
    return 2 * np.arctan2(sine, cosine), np.angle(outer)


def _mix(
    pair: np.ndarray, sine: np.ndarray, cosine: np.ndarray, common: np.ndarray, outer: np.ndarray
) -> None:
    """``common · [[outer·sine, cosine], [outer·cosine, −sine]]`` on a pair of modes, in place."""
    straight, cross = common * sine, common * cosine
    upper, lower = pair[0] * outer, pair[1]
    pair[0], pair[1] = upper * straight + lower * cross, upper * cross - lower * straight


def _direction(sine_side: np.ndarray, cosine_side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of the angle between two lengths; 0 and 1 where both vanish."""
    length = np.sqrt(sine_side * sine_side + cosine_side * cosine_side)
    vanish = length < VANISHING
    scale = 1.0 / np.where(vanish, 1.0, length)
    return sine_side * scale, np.where(vanish, 1.0, cosine_side * scale)


def _phasor(z: np.ndarray) -> np.ndarray:
    """``z/|z|``; 1 where it vanishes."""
    length = np.abs(z)
    vanish = length < VANISHING
    return np.where(vanish, 1.0, z * (1.0 / np.where(vanish, 1.0, length)))


def _wrapped(angle: np.ndarray) -> np.ndarray:
    """``angle`` modulo 2π, in [0, 2π); in a fraction of the time of :func:`numpy.mod`."""
    rest = angle - 2 * np.pi * np.floor(angle / (2 * np.pi))
    return np.where((rest >= 0) & (rest < 2 * np.pi), rest, 0.0)


def reconstruct(phases: MeshPhases, kind: MeshKind = "clements") -> np.ndarray:
    """The unitaries ``(..., N, N)`` that lossless meshes with these phases realise, complex128."""
    size = phases.out.shape[-1]
    layout = mesh_layout(kind, size)
    u = np.zeros((*phases.out.shape, size), dtype=complex)
    u[..., np.arange(size), np.arange(size)] = 1.0
    for index, mode in enumerate(layout.modes):
        half, phi = phases.theta[..., index, None] / 2, phases.phi[..., index, None]
        sine, cosine = np.sin(half), np.cos(half)
        pair = np.moveaxis(u[..., mode : mode + 2, :], -2, 0)
        _mix(pair, sine, cosine, -sine + 1j * cosine, np.exp(1j * phi))
    return u * np.exp(1j * phases.out[..., None])
