"""The quantiser inside a torch graph: exact codes forward, straight-through gradient backward."""

from __future__ import annotations

import torch
from torch import Tensor

from photonic.quantize import Quantizer

CARRY = 2**30
"""A code that no digital sum reaches."""


class _RoundToCodes(torch.autograd.Function):
    """Gradient 1 inside the range and 0 where the code clips (Bengio et al. 2013)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, low: int, high: int) -> Tensor:  # type: ignore[override]
        return x.round().clamp(low, high)

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor
    ) -> None:
        x, low, high = inputs
        ctx.save_for_backward(x)
        ctx.bounds = (low, high)  # type: ignore[attr-defined]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:  # type: ignore[override]
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        low, high = ctx.bounds  # type: ignore[attr-defined]
        return grad * ((x >= low - 0.5) & (x <= high + 0.5)), None, None


def round_to_codes(x: Tensor, quantizer: Quantizer | None, *, clip: bool = True) -> Tensor:
    """``x``, in codes, rounded half to even and clipped; ``clip=False`` lets digital sums carry.

    Outside a graph ``x`` itself is overwritten. Without a quantiser it is returned as it is.
    """
    if quantizer is None:
        return x
    low, high = (quantizer.min_code, quantizer.max_code) if clip else (-CARRY, CARRY)
    if torch.is_grad_enabled() and x.requires_grad:
        return _RoundToCodes.apply(x, low, high)
    x = x.round_()
    return x.clamp_(low, high) if clip else x


def fake_quantize(x: Tensor, quantizer: Quantizer | None, *, clip: bool = True) -> Tensor:
    """``x`` on the quantiser's grid (unchanged without one); ``clip=False`` lets codes carry."""
    if quantizer is None:
        return x
    return round_to_codes(x / quantizer.step, quantizer, clip=clip) * quantizer.step
