"""One operation for patches → product → activation → mean, most of the arithmetic of an encoder.

Forward works out the means and, where a gradient will be asked for, what each mean changes by with
the weights and the bias: with y the activations, ``Σ activation'(y) · patch`` over the tokens of a
mean. That does not depend on the loss, so one pass over the data serves both directions and the
activations are never stored; backward is a small contraction.

A leading axis holds members of a population, each with its own weights and its own batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from photonic.kernels.loader import compiled_kernel
from photonic.layers import activate
from photonic.program import ActivationKind

KERNEL = "photonic.students.pooled_kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A run of steps that are computed at once: tokens that are means."""

    out: str
    source: str
    layer: str
    kind: ActivationKind
    start: int
    size: int
    stride: int
    num_tokens: int
    num_means: int
    mean_size: int

    @property
    def taken(self) -> slice:
        """The patches that are used, of all that the input can be cut into."""
        first = self.start // self.stride
        return slice(first, first + self.num_means * self.mean_size)


def pooled_patches(
    chains: tuple[Chain, ...], x: Tensor, affine: Mapping[str, tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """Tokens ``(..., batch, num_means, out)`` of chains that cut one input into the same patches.

    Args:
        chains: what to compute; one source, patch size and stride.
        x: the program's input ``(..., batch, tokens, channels)``; gets no gradient.
        affine: gain times weight ``(..., out, size · channels)`` and gain times bias ``(..., out)``
            of every layer; the leading axis, if there is one, is the members of a population.
    """
    maps = [part for chain in chains for part in affine[chain.layer]]
    if torch.is_grad_enabled() and any(part.requires_grad for part in maps):
        found = PooledPatches.apply(chains, x, *maps)
    else:
        found = [means for means, _ in _computed(chains, x, maps, slopes=False)]
    return {chain.out: tokens for chain, tokens in zip(chains, found, strict=True)}


class PooledPatches(torch.autograd.Function):
    """The means of several chains, from the weights and biases of their layers."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        chains: tuple[Chain, ...],
        x: Tensor,
        *maps: Tensor,
    ) -> tuple[Tensor, ...]:
        """Means ``(..., batch, num_means, out)`` of every chain."""
        computed = _computed(chains, x, maps, slopes=True)
        ctx.save_for_backward(*(slopes for _, slopes in computed))
        return tuple(means for means, _ in computed)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Gradient of weight and bias of every chain."""
        found: list[Tensor | None] = [None, None]
        for slopes, grad in zip(ctx.saved_tensors, grads, strict=True):  # type: ignore[attr-defined]
            both = (grad[..., None] * slopes).sum((-4, -3))
            found += [both[..., :-1], both[..., -1]]
        return tuple(found)


def _computed(
    chains: tuple[Chain, ...], x: Tensor, maps: tuple[Tensor, ...] | list[Tensor], *, slopes: bool
) -> list[tuple[Tensor, Tensor]]:
    """Means and slopes ``(..., batch, num_means, out, in + 1)`` of each chain (empty if unasked).

    The compiled kernel where it applies, else torch.
    """
    kernel = compiled_kernel(KERNEL) if fits_kernel(chains, x) else None
    pairs = zip(chains, maps[::2], maps[1::2], strict=True)
    if kernel is not None:
        return [_with_kernel(kernel, *chained, x, slopes=slopes) for chained in pairs]
    patches = _patches(x, chains[0].size, chains[0].stride)
    return [_with_torch(*chained, patches, slopes=slopes) for chained in pairs]


def fits_kernel(chains: tuple[Chain, ...], x: Tensor) -> bool:
    """Whether a compiled kernel does these chains of ``x``."""
    first = chains[0]
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and (first.size, first.stride, x.shape[-1]) == (4, 1, 1)
        and all(chain.kind == "tanh" for chain in chains)
    )


def _with_kernel(
    kernel: ModuleType, chain: Chain, weight: Tensor, bias: Tensor, x: Tensor, *, slopes: bool
) -> tuple[Tensor, Tensor]:
    alone = weight.dim() == 2
    weight, bias = (part[None] if alone else part for part in (weight, bias))
    rows = (x if x.dim() == 4 else x[None])[..., 0].contiguous()
    batch, lanes = rows.shape[1], kernel.LANES
    filled = -(-batch // lanes) * lanes
    found = x.new_empty((len(weight), filled, chain.num_means, weight.shape[1], lanes))
    kernel.tanh_means_and_slopes(
        rows.numpy(),
        weight.detach().contiguous().numpy(),
        bias.detach().contiguous().numpy(),
        chain.start,
        chain.mean_size,
        found.numpy(),
    )
    found = found[0, :batch] if alone else found[:, :batch]
    return found[..., 0], found[..., 1 : 6 if slopes else 1]


def _patches(x: Tensor, size: int, stride: int) -> Tensor:
    """``(..., in + 1, tokens)``: the inputs of every patch, and a one for the bias."""
    tokens = (x.shape[-2] - size) // stride + 1
    shifts = [
        x[..., k : k + (tokens - 1) * stride + 1 : stride, channel]
        for k in range(size)
        for channel in range(x.shape[-1])
    ]
    return torch.stack([*shifts, torch.ones_like(shifts[0])], dim=-2)


def _with_torch(
    chain: Chain, weight: Tensor, bias: Tensor, patches: Tensor, *, slopes: bool
) -> tuple[Tensor, Tensor]:
    used = patches[..., chain.taken]
    affine = torch.cat([weight, bias[..., None]], dim=-1).unsqueeze(-3)
    y = activate(chain.kind, torch.matmul(affine, used))
    y = y.unflatten(-1, (chain.num_means, chain.mean_size))
    means = y.mean(-1).transpose(-1, -2)
    if not slopes:
        return means, means.new_empty(0)
    by_mean = used.unflatten(-1, (chain.num_means, chain.mean_size)).movedim(-2, -3)
    changes = torch.matmul(_slope(chain.kind, y).movedim(-2, -3), by_mean.transpose(-1, -2))
    return means, changes / chain.mean_size


def _slope(kind: ActivationKind, y: Tensor) -> Tensor:
    """Derivative of an activation, from its values."""
    match kind:
        case "tanh":
            return 1.0 - y * y
        case "relu":
            return (y > 0).to(y.dtype)
        case _:
            return torch.ones_like(y)
