"""Fields through interferometers: one element, and a whole mesh with its errors and losses.

Torch, complex128, batched over any leading dimensions, differentiable in every angle.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from photonic.devices.mesh import MeshKind, mesh_layout
from photonic.units import field_ratio_from_db


def mzi_transfer(
    theta: Tensor, phi: Tensor, eta_1: Tensor | float = 0.0, eta_2: Tensor | float = 0.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Elements ``T₁₁, T₁₂, T₂₁, T₂₂`` of an interferometer, complex128.

    ``T = B(η₂)·diag(e^{jθ}, 1)·B(η₁)·diag(e^{jφ}, 1)``, the splitters ``B(η)`` of angle
    ``π/4 + η``; θ = 0 crosses, θ = π passes straight (Bandyopadhyay, Hamerly and Englund 2021,
    Eq. 5; confirmed).

    Args:
        theta: inner phase in rad.
        phi: outer phase in rad.
        eta_1: error of the first splitter's angle in rad.
        eta_2: error of the second splitter's angle in rad.
    """
    half = theta.to(torch.float64) / 2
    sine, cosine = torch.sin(half), torch.cos(half)
    total = torch.as_tensor(eta_1 + eta_2, dtype=half.dtype, device=half.device)
    difference = torch.as_tensor(eta_1 - eta_2, dtype=half.dtype, device=half.device)
    common = torch.complex(-sine, cosine)  # j·e^{jθ/2}
    outer = common * torch.polar(torch.ones_like(half), phi.to(half))
    straight, straight_leak = torch.cos(difference) * sine, torch.sin(total) * cosine
    crossed, crossed_leak = torch.cos(total) * cosine, torch.sin(difference) * sine
    return (
        outer * torch.complex(straight, straight_leak),
        common * torch.complex(crossed, crossed_leak),
        outer * torch.complex(crossed, -crossed_leak),
        common * torch.complex(-straight, straight_leak),
    )


def straight_power(theta: Tensor, eta_1: Tensor | float, eta_2: Tensor | float) -> Tensor:
    """``|T₁₁|² = sin²(η₁+η₂) + cos2η₁·cos2η₂·sin²(θ/2)`` (derived)."""
    first, second = (torch.as_tensor(e, dtype=torch.float64) for e in (eta_1, eta_2))
    contrast = torch.cos(2 * first) * torch.cos(2 * second)
    return torch.sin(first + second) ** 2 + contrast * torch.sin(theta / 2) ** 2


def extinction_db(eta_1: float, eta_2: float, *, crossed: bool = True) -> float:
    """Extinction in dB of a full cross, ``−20·log₁₀|tan(η₁+η₂)|``; of a full bar with η₁−η₂.

    Derived. Infinite for perfect splitters.
    """
    tangent = abs(math.tan(eta_1 + eta_2 if crossed else eta_1 - eta_2))
    return math.inf if tangent == 0.0 else -20.0 * math.log10(tangent)


def mesh_transfer(
    kind: MeshKind,
    theta: Tensor,
    phi: Tensor,
    out: Tensor,
    eta: Tensor | None = None,
    *,
    element_loss_db: float = 0.0,
    edge_dummies: bool = False,
) -> Tensor:
    """Field matrices ``(..., N, N)`` of meshes, complex128.

    Light loses ``element_loss_db`` in each interferometer that it passes. The number of them
    depends on the path, 2…4 in a Clements mesh of four modes and 1…2N−3 in a Reck mesh, unless
    dummies stand where a column leaves a mode free.

    Args:
        kind: ``clements`` or ``reck``.
        theta: ``(..., M)`` inner phases in the layout's order, rad.
        phi: ``(..., M)`` outer phases, rad.
        out: ``(..., N)`` output phases, rad.
        eta: ``(..., M, 2)`` errors of both splitters of each interferometer, rad.
        element_loss_db: power loss of one interferometer.
        edge_dummies: equal loss on every path.
    """
    size = out.shape[-1]
    first, second = (0.0, 0.0) if eta is None else (eta[..., 0], eta[..., 1])
    elements = mzi_transfer(theta, phi, first, second)
    amplitude = field_ratio_from_db(-element_loss_db)
    # torch.broadcast_shapes would import SymPy for this: more than a second.
    batch = np.broadcast_shapes(elements[0].shape[:-1], out.shape[:-1])
    u = torch.eye(size, dtype=torch.complex128, device=out.device).expand(*batch, size, size)
    for members, upper, passing, order in _columns(kind, size):
        t11, t12, t21, t22 = (t[..., members, None] for t in elements)
        a, b = u[..., upper, :], u[..., [m + 1 for m in upper], :]
        rest = u[..., passing, :]
        mixed = torch.cat([t11 * a + t12 * b, t21 * a + t22 * b], dim=-2)
        if amplitude != 1.0:
            mixed = mixed * amplitude
            rest = rest * amplitude if edge_dummies else rest
        u = torch.cat([mixed, rest], dim=-2)[..., order, :]
    return u * torch.polar(torch.ones_like(out), out)[..., None]


@lru_cache(maxsize=128)
def _columns(
    kind: MeshKind, size: int
) -> tuple[tuple[list[int], list[int], list[int], list[int]], ...]:
    """Per column: its interferometers, their upper modes, the modes it leaves free, and an order.

    The order is that of the rows of ``[upper, lower, free]`` in which the modes are sorted again.
    """
    layout = mesh_layout(kind, size)
    columns = []
    for column in range(layout.num_columns):
        members = [int(i) for i in (layout.columns == column).nonzero()[0]]
        upper = [int(m) for m in layout.modes[members]]
        lower = [m + 1 for m in upper]
        passing = sorted(set(range(size)) - {*upper, *lower})
        stacked = upper + lower + passing
        order = sorted(range(size), key=stacked.__getitem__)
        columns.append((members, upper, passing, order))
    return tuple(columns)


def mean_path_elements(kind: MeshKind, size: int, *, edge_dummies: bool) -> float:
    """Interferometers that light passes in a mesh, averaged over the modes."""
    layout = mesh_layout(kind, size)
    return float(layout.num_columns) if edge_dummies else 2.0 * len(layout.modes) / size
