"""Add-drop microrings as weights: one ring, and a bank of rings on one bus.

Detunings δ are in half-linewidths, powers are fractions of a channel's. ``D₀`` and ``P₀`` are the
powers at the drop and the through port on resonance (Bogaerts et al. 2012). Derived unless marked.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEEPEST_SLOPE = 3.0 * math.sqrt(3.0) / 4.0
"""Largest ``|dw/dδ|`` of a lossless ring, at δ = 1/√3."""


def ring_weight(delta: Tensor, *, drop: float = 1.0, through: float = 0.0) -> Tensor:
    """``w = (D₀ + 1 − P₀)/(1 + δ²) − 1``, drop minus through power; lossless ``(1−δ²)/(1+δ²)``."""
    return (drop + 1.0 - through) / (1.0 + delta * delta) - 1.0


def ring_detuning(weight: Tensor, *, drop: float = 1.0, through: float = 0.0) -> Tensor:
    """Inverse of :func:`ring_weight`, ``δ = √((D₀ + 1 − P₀)/(1 + w) − 1) ≥ 0``."""
    return ((drop + 1.0 - through) / (1.0 + weight) - 1.0).clamp(min=0.0).sqrt()


def usable_weights(
    max_detuning: float, *, drop: float = 1.0, through: float = 0.0
) -> tuple[float, float]:
    """Lowest and highest weight of a ring that a heater tunes over ``max_detuning``."""
    lowest = (drop + 1.0 - through) / (1.0 + max_detuning**2) - 1.0
    return lowest, drop - through


def lorentzians(delta: Tensor, spacing: float | None) -> Tensor:
    """``1/(1 + δ_ij²)`` of channel i at ring j, ``(..., N)`` → ``(..., N, N)``.

    Ring j is tuned δ_j to the red of channel j, so that ``δ_ij = spacing·(i − j) − δ_j``. Without
    a spacing, every channel meets its own ring only.
    """
    if spacing is None:
        return torch.diag_embed(1.0 / (1.0 + delta * delta))
    index = torch.arange(delta.shape[-1], dtype=delta.dtype, device=delta.device)
    offset = spacing * (index[:, None] - index[None]) - delta[..., None, :]
    return 1.0 / (1.0 + offset * offset)


def bank_powers(
    delta: Tensor, *, spacing: float | None, drop: float = 1.0, through: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Power of each channel at the common drop and at the through end of a bank, ``(..., N)``.

    Light passes ring after ring; each passes ``1 − (1−P₀)·L`` on and drops ``D₀·L`` of what still
    arrives. Lossless, the weight is ``w_i = 1 − 2·∏_j δ_ij²/(1+δ_ij²)``.
    """
    tails = lorentzians(delta, spacing)
    passed = torch.cumprod(1.0 - (1.0 - through) * tails, dim=-1)
    arriving = torch.cat([torch.ones_like(passed[..., :1]), passed[..., :-1]], dim=-1)
    return (arriving * drop * tails).sum(-1), passed[..., -1]


def bank_weight(
    delta: Tensor, *, spacing: float | None, drop: float = 1.0, through: float = 0.0
) -> Tensor:
    """Weights ``(..., N)`` of a bank: drop minus through."""
    dropped, rest = bank_powers(delta, spacing=spacing, drop=drop, through=through)
    return dropped - rest


def bank_detunings(
    weights: Tensor,
    *,
    spacing: float | None,
    max_detuning: float,
    drop: float = 1.0,
    through: float = 0.0,
) -> Tensor:
    """Joint inverse of :func:`bank_weight`, ``(..., N)`` in [0, max_detuning].

    With all other rings held, a channel's weight is linear in its own ring's Lorentzian, so each
    round solves every ring exactly; neighbours couple weakly and few rounds settle them. Weights
    out of reach end at the nearest detuning.
    """
    n = weights.shape[-1]
    lowest = 1.0 / (1.0 + max_detuning**2)
    own = ((weights + 1.0) / (drop + 1.0 - through)).clamp(lowest, 1.0)
    delta = (1.0 / own - 1.0).clamp(min=0.0).sqrt()
    if spacing is None:
        return delta
    here = torch.eye(n, dtype=torch.bool, device=weights.device)
    before = torch.ones(n, n, dtype=torch.bool, device=weights.device).tril(-1)
    for _ in range(_MAX_ROUNDS):
        tails = lorentzians(delta, spacing)
        passing = 1.0 - (1.0 - through) * tails
        # With the own ring taken out: what arrives there, what fell before, what falls after.
        others = torch.where(here, torch.ones_like(passing), passing)
        passed = torch.cumprod(others, dim=-1)
        arriving = torch.cat([torch.ones_like(passed[..., :1]), passed[..., :-1]], dim=-1)
        dropped = arriving * drop * torch.where(here, torch.zeros_like(tails), tails)
        fell_before = torch.where(before, dropped, torch.zeros_like(dropped)).sum(-1)
        fell_after = torch.where(before.T, dropped, torch.zeros_like(dropped)).sum(-1)
        at_ring = torch.diagonal(arriving, dim1=-2, dim2=-1)
        rest = (fell_after - passed[..., -1]) / at_ring
        own = ((weights - fell_before) / at_ring - rest) / (drop - (1.0 - through) * rest)
        updated = (1.0 / own.clamp(lowest, 1.0) - 1.0).clamp(min=0.0).sqrt()
        change = (updated - delta).abs().max()
        delta = updated
        if change < _TOLERANCE:
            break
    return delta


_MAX_ROUNDS = 200
_TOLERANCE = 1e-13
