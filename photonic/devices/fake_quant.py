"""The quantiser inside a torch graph: exact codes forward, straight-through gradient backward."""

from __future__ import annotations

import torch
from torch import Tensor

from photonic.quantize import Quantizer


class _FakeQuantize(torch.autograd.Function):
    """Gradient 1 inside the range and 0 where the value clips (Bengio et al. 2013)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, step: float, low: int, high: int) -> Tensor:  # type: ignore[override]
        return (x / step).round().clamp(low, high) * step

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor
    ) -> None:
        x, step, low, high = inputs
        ctx.save_for_backward(x)
        ctx.bounds = (low * step, high * step)  # type: ignore[attr-defined]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:  # type: ignore[override]
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        low, high = ctx.bounds  # type: ignore[attr-defined]
        return grad * ((x >= low) & (x <= high)), None, None, None


def fake_quantize(x: Tensor, quantizer: Quantizer | None, *, clip: bool = True) -> Tensor:
    """``x`` on the quantiser's grid (unchanged without one); ``clip=False`` lets codes carry."""
    if quantizer is None:
        return x
    low, high = (quantizer.min_code, quantizer.max_code) if clip else (-(2**30), 2**30)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return (x / quantizer.step).round_().clamp_(low, high).mul_(quantizer.step)
    return _FakeQuantize.apply(x, quantizer.step, low, high)
