"""The quantiser inside a torch graph: exact codes forward, straight-through gradient backward."""

from __future__ import annotations

import torch
from torch import Tensor

from photonic.quantize import Quantizer


class _RoundToCodes(torch.autograd.Function):
    """Gradient 1 where the code stands for the value, and 0 where it clips (Bengio et al. 2013).

    ``forward`` takes the context itself: binding a separate one costs more than the rounding.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, bounds: tuple[int, int] | None
    ) -> Tensor:
        rounded = x.round()
        if bounds is None:
            ctx.save_for_backward()
            return rounded
        codes = rounded.clamp(*bounds)
        ctx.save_for_backward(rounded == codes)
        return codes

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:  # type: ignore[override]
        inside = ctx.saved_tensors  # type: ignore[attr-defined]
        return (grad * inside[0] if inside else grad), None


def round_to_codes(x: Tensor, quantizer: Quantizer | None, *, clip: bool = True) -> Tensor:
    """``x``, in codes, rounded half to even and clipped; ``clip=False`` lets digital sums carry.

    Outside a graph ``x`` itself is overwritten. Without a quantiser it is returned as it is.
    """
    if quantizer is None:
        return x
    bounds = (quantizer.min_code, quantizer.max_code) if clip else None
    if torch.is_grad_enabled() and x.requires_grad:
        return _RoundToCodes.apply(x, bounds)
    x = x.round_()
    return x.clamp_(*bounds) if bounds else x


def fake_quantize(x: Tensor, quantizer: Quantizer | None, *, clip: bool = True) -> Tensor:
    """``x`` on the quantiser's grid (unchanged without one); ``clip=False`` lets codes carry."""
    if quantizer is None:
        return x
    return round_to_codes(x / quantizer.step, quantizer, clip=clip) * quantizer.step
