"""The exact forward pass of a student in few, large operations, for training on plain floats.

The interpreter runs a program step by step, and on networks this small half of the time goes into
starting operations and into storing what the backward pass needs. Two things help, and neither
changes what is computed beyond rounding:

* :func:`affine_values` works out weights, biases and gains of all layers of one shape at once;
* :class:`PooledPatches` is one operation for patches → product → activation → mean, which are most
  of the arithmetic of a segment encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from photonic.layers import ConstrainedLinear, used_values
from photonic.program import Activation, ActivationKind, Linear, Mean, Patch, Step, Window, sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A run of steps that :class:`PooledPatches` computes at once: tokens that are means."""

    out: str
    source: str
    layer: str
    kind: ActivationKind
    start: int
    size: int
    stride: int
    num_means: int
    mean_size: int

    @property
    def taken(self) -> slice:
        """The patches that are used, of all that the input can be cut into."""
        first = self.start // self.stride
        return slice(first, first + self.num_means * self.mean_size)


def find_chains(
    steps: tuple[Step, ...],
) -> tuple[tuple[tuple[Chain, ...], ...], tuple[Step, ...]]:
    """Chains window → patch → linear → activation → mean over equal ranges, and the other steps.

    Values between them must be read by nobody else, and the window must be of a program's input.
    Chains that cut one input into the same patches stand together.
    """
    made = {step.out: step for step in steps}
    readers: dict[str, int] = {}
    for step in steps:
        for name in sources(step):
            readers[name] = readers.get(name, 0) + 1
    groups: dict[tuple[str, int, int], list[Chain]] = {}
    absorbed: set[str] = set()
    for step in steps:
        found = _chain_to(step, made, readers)
        if found is not None:
            chain, links = found
            groups.setdefault((chain.source, chain.size, chain.stride), []).append(chain)
            absorbed |= {link.out for link in links}
    rest = tuple(step for step in steps if step.out not in absorbed)
    return tuple(map(tuple, groups.values())), rest


def _chain_to(
    step: Step, made: Mapping[str, Step], readers: Mapping[str, int]
) -> tuple[Chain, tuple[Step, ...]] | None:
    if not isinstance(step, Mean) or not _equal_from_zero(step.ranges):
        return None
    links: list[Step] = [step]
    for kind in (Activation, Linear, Patch, Window):
        before = made.get(sources(links[-1])[0])
        if not isinstance(before, kind) or readers[before.out] != 1:
            return None
        links.append(before)
    _, activation, linear, patch, window = links
    assert isinstance(activation, Activation)
    assert isinstance(linear, Linear)
    assert isinstance(patch, Patch)
    assert isinstance(window, Window)
    aligned = window.stride == 1 and window.start % patch.stride == 0
    if not aligned or window.source in made:
        return None
    chain = Chain(
        out=step.out,
        source=window.source,
        layer=linear.layer,
        kind=activation.kind,
        start=window.start,
        size=patch.size,
        stride=patch.stride,
        num_means=len(step.ranges),
        mean_size=step.ranges[0][1],
    )
    return chain, tuple(links)


def _equal_from_zero(ranges: tuple[tuple[int, int], ...]) -> bool:
    size = ranges[0][1]
    return ranges == tuple((i * size, (i + 1) * size) for i in range(len(ranges)))


def pooled_patches(
    chains: tuple[Chain, ...], x: Tensor, affine: Mapping[str, tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """Tokens ``(batch, num_means, out)`` of chains that cut one input into the same patches.

    Args:
        chains: what to compute; one source, patch size and stride.
        x: the program's input ``(batch, tokens, channels)``; gets no gradient.
        affine: gain times weight ``(out, size · channels)`` and gain times bias ``(out,)`` of
            every layer.
    """
    size, stride = chains[0].size, chains[0].stride
    tokens = (x.shape[1] - size) // stride + 1
    shifts = [
        x[:, k : k + (tokens - 1) * stride + 1 : stride, channel]
        for k in range(size)
        for channel in range(x.shape[-1])
    ]
    patches = torch.stack([*shifts, torch.ones_like(shifts[0])], dim=1)
    maps = [torch.cat([affine[c.layer][0], affine[c.layer][1][:, None]], dim=1) for c in chains]
    found = PooledPatches.apply(chains, patches, *maps)
    return {chain.out: tokens for chain, tokens in zip(chains, found, strict=True)}


class PooledPatches(torch.autograd.Function):
    """Means of ``activation(map @ patches)`` over ranges of equal length, for several maps.

    Backward needs the activations only: with y the activations and g the gradient of the means,
    dL/d map = Σ_batch (g/size · activation'(y)) · patchesᵀ.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        chains: tuple[Chain, ...],
        patches: Tensor,
        *maps: Tensor,
    ) -> tuple[Tensor, ...]:
        """``patches (batch, in + 1, tokens)``, each map ``(out, in + 1)``.

        Returns the means of every chain, ``(batch, num_means, out)``.
        """
        batch = len(patches)
        values = []
        for chain, affine in zip(chains, maps, strict=True):
            sums = torch.bmm(affine.expand(batch, -1, -1), patches[..., chain.taken])
            shape = (batch, -1, chain.num_means, chain.mean_size)
            values.append(_activate_in_place(chain.kind, sums).view(shape))
        ctx.save_for_backward(patches, *values)
        ctx.chains = chains  # type: ignore[attr-defined]
        return tuple(y.mean(-1).transpose(1, 2) for y in values)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Gradient of the maps."""
        patches, *values = ctx.saved_tensors  # type: ignore[attr-defined]
        found: list[Tensor] = []
        for chain, y, grad in zip(ctx.chains, values, grads, strict=True):  # type: ignore[attr-defined]
            spread = (grad.transpose(1, 2) / chain.mean_size)[..., None].expand_as(y)
            slope = _times_slope(chain.kind, spread, y).flatten(-2)
            found.append(torch.bmm(slope, patches[..., chain.taken].transpose(1, 2)).sum(0))
        return None, None, *found


def _activate_in_place(kind: ActivationKind, sums: Tensor) -> Tensor:
    match kind:
        case "tanh":
            return sums.tanh_()
        case "relu":
            return sums.relu_()
        case _:
            return sums


def _times_slope(kind: ActivationKind, grad: Tensor, values: Tensor) -> Tensor:
    """Gradient before an activation, from the one after it and the activation's own values."""
    match kind:
        case "tanh":
            return torch.ops.aten.tanh_backward(grad, values)
        case "relu":
            return torch.ops.aten.threshold_backward(grad, values, 0)
        case _:
            return grad.contiguous()


def affine_values(
    layers: Iterable[tuple[str, ConstrainedLinear]],
    disturb: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """``gain · weight`` and ``gain · bias`` of every layer, layers of one shape at once.

    Args:
        layers: by name.
        disturb: what happens to the weights in use, in front of the gain.
    """
    groups: dict[tuple, list[tuple[str, ConstrainedLinear]]] = {}
    for name, layer in layers:
        key = (layer.raw_weight.shape, layer.scale, layer.learn_gain)
        groups.setdefault(key, []).append((name, layer))
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for (_, scale, learn_gain), members in groups.items():
        names = [name for name, _ in members]
        if len(members) == 1:
            weight, bias, gain = members[0][1].values()
            found[names[0]] = gain * (disturb(weight) if disturb else weight), gain * bias
            continue
        weight, bias, gain = used_values(
            torch.stack([layer.raw_weight for _, layer in members]),
            torch.stack([layer.raw_bias for _, layer in members]),
            torch.stack([layer.raw_gain for _, layer in members]),
            scale=scale,
            learn_gain=learn_gain,
        )
        if disturb is not None:
            weight = disturb(weight)
        weights, biases = (gain[:, None, None] * weight).unbind(), (gain[:, None] * bias).unbind()
        found |= dict(zip(names, zip(weights, biases, strict=True), strict=True))
    return found
