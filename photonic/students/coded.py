"""The chains of :mod:`photonic.students.pooled` on a core with converters, in one pass over codes.

Behind an ADC of 8 bits a tanh has 256 values: a table per output, with its bias folded in, replaces
tanh and DAC. As for floats, what each mean changes by with the weights does not depend on the loss,
so that forward works it out and nothing is stored per activation. The interpreter of
:mod:`photonic.execute` on the same core is the definition of what is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from photonic.kernels.loader import compiled_kernel
from photonic.layers import CodedLayer
from photonic.students.pooled import Chain, fits_kernel

KERNEL = "photonic.students.coded_kernel"


def coded_patches(
    chains: tuple[Chain, ...], x: Tensor, layers: Mapping[str, CodedLayer]
) -> dict[str, Tensor]:
    """Tokens ``(batch, num_means, out)``: means of activations on the DAC's grid, not yet rounded.

    Args:
        chains: what to compute, of tanh; they cut one input into the same patches of four samples.
        x: the program's input ``(batch, tokens, 1)``, float32 on the CPU; gets no gradient.
        layers: every chain's layer by name, all behind one DAC.
    """
    found: dict[str, Tensor] = {}
    codes = layers[chains[0].layer].dac.codes(x[..., 0]).contiguous()
    for chain in chains:
        layer = layers[chain.layer]
        found[chain.out] = _CodedPatches.apply(chain, codes, layer, layer.matrix, layer.bias)
    return found


def can_be_coded(chains: tuple[Chain, ...], x: Tensor) -> bool:
    """Whether :func:`coded_patches` can compute these chains of ``x``."""
    if x.requires_grad or not fits_kernel(chains, x):
        return False
    return compiled_kernel(KERNEL) is not None


class _CodedPatches(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        chain: Chain,
        x: Tensor,
        layer: CodedLayer,
        matrix: Tensor,
        bias: Tensor,
    ) -> Tensor:
        wanted = any(ctx.needs_input_grad) or layer.noise is not None  # type: ignore[attr-defined]
        means, slopes = _computed(chain, x, layer, matrix, bias, slopes=wanted)
        ctx.save_for_backward(slopes)
        ctx.spread = len(matrix), _beats_per_chip(len(x), len(matrix))  # type: ignore[attr-defined]
        return means

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors  # type: ignore[attr-defined]
        chips, beats = ctx.spread  # type: ignore[attr-defined]
        by_beat = (grad[..., None] * slopes).sum(1)
        by_chip = functional.pad(by_beat, (0, 0, 0, 0, 0, chips * beats - len(by_beat)))
        by_chip = by_chip.unflatten(0, (chips, beats)).sum(1)
        return None, None, None, by_chip[..., :-1], by_chip[..., -1].sum(0)


def _beats_per_chip(batch: int, chips: int) -> int:
    return -(-batch // chips)


def _computed(
    chain: Chain, x: Tensor, layer: CodedLayer, matrix: Tensor, bias: Tensor, *, slopes: bool
) -> tuple[Tensor, Tensor]:
    """Means ``(batch, num_means, out)``, and slopes with one more dimension ``in + 1``."""
    kernel = compiled_kernel(KERNEL)
    assert kernel is not None
    chips, out = matrix.shape[:2]
    beats = _beats_per_chip(len(x), chips)
    means = x.new_empty(len(x), chain.num_means, out)
    changes = x.new_empty(*means.shape, 5 if slopes else 0)
    values, steepness = (table.numpy() for table in _tables(layer, bias.detach()))
    where = chain.start, chain.mean_size, layer.adc.min_code
    weights = matrix.detach().contiguous().numpy()
    if slopes:
        if layer.noise is None:
            noise = x.new_zeros(()).expand(chips, out, chain.num_tokens, beats)
        else:
            drawn = layer.noise(chain.num_tokens * beats)[:, :out]
            noise = drawn.unflatten(2, (chain.num_tokens, beats))
        kernel.coded_sums_and_slopes(
            x.numpy(),
            weights,
            noise.numpy(),
            values,
            steepness,
            *where,
            means.numpy(),
            changes.numpy(),
        )
        changes /= chain.mean_size
    else:
        kernel.coded_sums(x.numpy(), weights, values, *where, means.numpy())
    return means.div_(chain.mean_size), changes


def _tables(layer: CodedLayer, bias: Tensor) -> tuple[Tensor, Tensor]:
    """By output and ADC code: the activation's value behind the DAC, and its derivative.

    The derivative passes straight through roundings and is 0 where the DAC clips.
    """
    dac, adc = layer.dac, layer.adc
    samples = torch.arange(adc.min_code, adc.max_code + 1, dtype=bias.dtype)
    y = torch.tanh((samples + bias[:, None]) * adc.step)
    codes = (y / dac.step).round()
    inside = (codes >= dac.min_code) & (codes <= dac.max_code)
    return dac(y), (1.0 - y * y) * inside * adc.step
