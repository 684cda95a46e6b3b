"""The exact forward pass of a student in few, large operations, for training on plain floats.

The interpreter runs a program step by step, and on networks this small half of the time goes into
starting operations and into storing what the backward pass needs. Two things help, and neither
changes what is computed beyond rounding:

* :class:`AffineMaps` works out weights, biases and gains of all layers at once, from one vector;
* :func:`find_chains` tells which steps :func:`~photonic.students.pooled.pooled_patches` can do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from photonic.layers import MAX_GAIN, ConstrainedLinear
from photonic.program import Activation, Linear, Mean, Patch, Step, Window, sources
from photonic.students.pooled import Chain


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
    if not isinstance(step, Mean) or not equal_from_zero(step.ranges):
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
        num_tokens=(window.stop - window.start - patch.size) // patch.stride + 1,
        num_means=len(step.ranges),
        mean_size=step.ranges[0][1],
    )
    return chain, tuple(links)


def find_squashed(steps: tuple[Step, ...]) -> frozenset[str]:
    """Sums of linear layers that go through a tanh and are read by nobody else."""
    readers = [name for step in steps for name in sources(step)]
    sums = {step.out for step in steps if isinstance(step, Linear)}
    through = {s.source for s in steps if isinstance(s, Activation) and s.kind == "tanh"}
    return frozenset(name for name in sums & through if readers.count(name) == 1)


def equal_from_zero(ranges: tuple[tuple[int, int], ...]) -> bool:
    """Whether ranges are equally long and follow each other from 0 on."""
    size = ranges[0][1]
    return ranges == tuple((i * size, (i + 1) * size) for i in range(len(ranges)))


class AffineMaps:
    """``gain · weight`` and ``gain · bias`` of every layer, from all raw parameters as one vector.

    Args:
        layers: the learned layers by name; those of their parameters that require a gradient make
            up the vector, in the order of ``named_parameters``.
    """

    def __init__(self, layers: Mapping[str, ConstrainedLinear]) -> None:
        self.layers = dict(layers)
        self.fixed_gains: list[Tensor] = [
            layer.raw_gain for layer in layers.values() if not layer.learn_gain
        ]
        self.sizes: list[int] = []
        self.free: list[slice] = []
        # A raw value x becomes offset + factor · tanh(slope · x).
        rows: list[tuple[float, float, float]] = []
        is_weight: list[bool] = []
        gain_of: list[int] = []
        num_fixed = 0
        for layer in self.layers.values():
            start, sizes = len(rows), [layer.raw_weight.numel(), layer.raw_bias.numel()]
            rows += [(0.0, layer.scale or 1.0, 1.0)] * sum(sizes)
            is_weight += [True] * sizes[0] + [False] * sizes[1]
            if layer.scale is None:
                self.free.append(slice(start, len(rows)))
            if layer.learn_gain:
                gain_of += [len(rows)] * (sum(sizes) + 1)
                rows.append((MAX_GAIN / 2, MAX_GAIN / 2, 0.5))  # MAX_GAIN · sigmoid(x)
                is_weight.append(False)
                sizes.append(1)
            else:  # fixed gains stand behind the vector
                num_fixed += 1
                gain_of += [-num_fixed] * sum(sizes)
            self.sizes += sizes
        self.offset, self.factor, self.slope = zip(*rows, strict=True)
        self.is_weight = is_weight
        self.gain_of = [i if i >= 0 else len(rows) - 1 - i for i in gain_of]
        learned = set(gain_of)
        self.is_map = [k for k in range(len(rows)) if k not in learned]
        self.constants: dict[tuple[torch.dtype, torch.device], tuple[Tensor, ...]] = {}

    def __call__(
        self, raw: Tensor, disturb: Callable[[Tensor], Tensor] | None = None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Weight ``(..., out, in)`` and bias ``(..., out)``, times gain, from ``raw (..., n)``.

        ``disturb`` is what happens to the weights in use, in front of the gain.
        """
        parts = iter(self._amplified(raw, disturb).split(self.sizes, dim=-1))
        found: dict[str, tuple[Tensor, Tensor]] = {}
        for name, layer in self.layers.items():
            found[name] = next(parts).unflatten(-1, layer.raw_weight.shape), next(parts)
            if layer.learn_gain:
                next(parts)
        return found

    def in_a_row(self, raw: Tensor, disturb: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The same numbers, the weights of each layer before its biases: ``(..., numbers)``."""
        values = self._amplified(raw, disturb)
        if len(self.is_map) == values.shape[-1]:
            return values
        *_, is_map = self._constants(raw.dtype, raw.device)
        return values.index_select(-1, is_map)

    def _amplified(self, raw: Tensor, disturb: Callable[[Tensor], Tensor] | None) -> Tensor:
        """Weights and biases in use, times gain, in the places of the raw ones."""
        offset, factor, slope, is_weight, gain_of, _ = self._constants(raw.dtype, raw.device)
        used = torch.addcmul(offset, factor, torch.tanh(raw * slope))
        gains = used
        if self.fixed_gains:
            fixed = torch.stack(self.fixed_gains).expand(*raw.shape[:-1], -1)
            gains = torch.cat([used, fixed], dim=-1)
        gains = gains.index_select(-1, gain_of)
        if self.free:
            # A chip holds them over their largest magnitude, which goes to the gain.
            peaks = self._peaks(raw.detach())
            used = torch.where(peaks > 0, raw / peaks.clamp(min=1e-12), used)
            gains = torch.where(peaks > 0, gains * peaks, gains)
        if disturb is not None:
            used = torch.where(is_weight, disturb(used), used)
        return used * gains

    def _peaks(self, raw: Tensor) -> Tensor:
        """Largest magnitude in its layer for each value of a free one, 0 for all others."""
        peaks = torch.zeros_like(raw)
        for where in self.free:
            peaks[..., where] = raw[..., where].abs().amax(-1, keepdim=True).clamp(min=1e-12)
        return peaks

    def _constants(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        key = dtype, device
        if key not in self.constants:
            reals = (self.offset, self.factor, self.slope)
            self.constants[key] = (
                *(torch.tensor(values, dtype=dtype, device=device) for values in reals),
                torch.tensor(self.is_weight, device=device),
                torch.tensor(self.gain_of, device=device),
                torch.tensor(self.is_map, device=device),
            )
        return self.constants[key]
