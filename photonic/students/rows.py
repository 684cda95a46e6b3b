"""A linear layer of several students at once."""

from __future__ import annotations

import torch
from torch import Tensor


class RowsLinear(torch.autograd.Function):
    """``x @ weightᵀ + bias`` for each of the students along the leading axis.

    A loop over ordinary products: torch's batched one takes three times as long on matrices that
    are as tall and as narrow as those of a student (22 000 × 8 times 8 × 4).
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        """``x (members, ..., in)``, ``weight (members, out, in)``, ``bias (members, out)``."""
        flat = x.flatten(1, -2)
        ctx.save_for_backward(flat, weight)
        ctx.shape = x.shape  # type: ignore[attr-defined]
        sums = x.new_empty((*flat.shape[:2], weight.shape[1]))
        for row, values, w, b in zip(sums, flat, weight, bias, strict=True):
            torch.addmm(b, values, w.t(), out=row)
        return sums.unflatten(1, x.shape[1:-1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Gradients of all three; of the inputs only where they want one."""
        flat, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        slope = grad.flatten(1, -2)
        by_weight = torch.empty_like(weight)
        for row, g, values in zip(by_weight, slope, flat, strict=True):
            torch.mm(g.t(), values, out=row)
        by_x = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            by_x = torch.empty_like(flat)
            for row, g, w in zip(by_x, slope, weight, strict=True):
                torch.mm(g, w, out=row)
            by_x = by_x.view(ctx.shape)  # type: ignore[attr-defined]
        return by_x, by_weight, slope.sum(1)
