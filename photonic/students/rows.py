"""A linear layer of several students at once, with its tanh where one follows."""

from __future__ import annotations

import torch
from torch import Tensor

from photonic.kernels.loader import kernel_for

KERNEL = "photonic.students.rows_kernel"


class RowsLinear(torch.autograd.Function):
    """``x @ weightᵀ + bias`` or its tanh, for each of the students along the leading axis.

    One compiled pass over all of them. Torch's batched product takes three times as long as one
    product after the other on matrices that are as tall and as narrow as those of a student
    (22 000 × 8 times 8 × 4), and that takes twice as long as the kernel.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        squashed: bool,
    ) -> Tensor:
        """``x (members, ..., in)``, ``weight (members, out, in)``, ``bias (members, out)``."""
        flat = x.flatten(1, -2).contiguous()
        y = x.new_empty((*flat.shape[:2], weight.shape[1]))
        kernel = kernel_for(KERNEL, x, weight, bias)
        if kernel is None:
            for row, values, w, b in zip(y, flat, weight, bias, strict=True):
                torch.addmm(b, values, w.t(), out=row)
            if squashed:
                y.tanh_()
        else:
            across = weight.mT.contiguous()
            kernel.affine_rows(
                flat.numpy(), across.numpy(), bias.contiguous().numpy(), squashed, y.numpy()
            )
        ctx.save_for_backward(flat, weight, y if squashed else y.new_empty(0))
        ctx.shape, ctx.squashed = x.shape, squashed  # type: ignore[attr-defined]
        return y.unflatten(1, x.shape[1:-1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Gradients of all three; of the inputs only where they want one."""
        flat, weight, y = ctx.saved_tensors  # type: ignore[attr-defined]
        squashed: bool = ctx.squashed  # type: ignore[attr-defined]
        wanted: bool = ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        grad = grad.flatten(1, -2).contiguous()
        kernel = kernel_for(KERNEL, y, grad) if squashed else None
        if kernel is not None:
            slope, by_bias = torch.empty_like(grad), grad.new_empty(weight.shape[:2])
            kernel.tanh_slopes(y.numpy(), grad.numpy(), slope.numpy(), by_bias.numpy())
        else:
            slope = grad * (1.0 - y * y) if squashed else grad
            by_bias = slope.sum(1)
        by_weight = torch.empty_like(weight)
        for row, g, values in zip(by_weight, slope, flat, strict=True):
            torch.mm(g.t(), values, out=row)
        by_x = None
        if wanted:
            by_x = torch.empty_like(flat)
            for row, g, w in zip(by_x, slope, weight, strict=True):
                torch.mm(g, w, out=row)
            by_x = by_x.view(ctx.shape)  # type: ignore[attr-defined]
        return by_x, by_weight, by_bias, None
