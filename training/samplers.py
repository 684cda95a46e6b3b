"""What a batch is made of: sampling multipliers, expected batch mix, whole epochs of indices.

The semantics are those of ``torch.utils.data.WeightedRandomSampler`` (draws with replacement,
probability proportional to the weight), but an epoch is drawn as one index tensor
``(steps, batch)`` with one binary search per draw, so the loop touches no Python per sample.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from photonic.errors import ConfigError, DataError
from training.options import SamplerOptions, Task

FloatArray = NDArray[np.float64]
SamplerKind = Literal["off", "shuffle", "power", "target_mix", "boost", "balanced_batches"]
AGGRESSIVE_FACTOR = 5.0


def sampler_kind(counts: ArrayLike, options: SamplerOptions, task: Task) -> SamplerKind:
    """Which sampler the options and the data call for in a single-label task.

    Args:
        counts: training samples per class ``(classes,)``; class 0 is the normal one.
        options: the sampler group.
        task: binary boosts and balanced batches give way to a plain shuffle where the abnormal
            share already reaches ``auto_sampler_ratio`` or ``balanced_batch_ratio``.

    Returns:
        ``off`` (not asked for), ``shuffle`` (asked for, not needed) or the sampler's name.
    """
    share = abnormal_share(counts)
    if options.force_balanced_batches:
        return "balanced_batches" if share < options.balanced_batch_ratio else "shuffle"
    if not options.use_weighted_sampler:
        return "off"
    if options.sampler_method == "boost" and task is Task.BINARY:
        return "boost" if share < options.auto_sampler_ratio else "shuffle"
    return options.sampler_method


def class_multipliers(
    counts: ArrayLike,
    options: SamplerOptions,
    kind: SamplerKind,
    *,
    boost: float | None = None,
    strength: float = 1.0,
) -> FloatArray:
    """How much more often a sample of each class is drawn than by a plain shuffle.

    ``power``: (1/freq)^sampler_power. ``target_mix``: target share / observed share. Both are
    capped at ``sampler_max_ratio`` between the largest and the smallest. ``boost`` multiplies the
    abnormal classes in every method; the abnormal share that results stays at or below
    ``sampler_max_abnormal_share`` (or what the method itself gives, if that is more).

    Args:
        counts: training samples per class ``(classes,)``; class 0 is the normal one.
        options: the sampler group.
        kind: from ``sampler_kind``.
        boost: factor on the abnormal classes, from the policy; None takes
            ``sampler_abnormal_boost`` in the boost method and 1 in the others.
        strength: 0 to 1, the policy's blend of the whole sampler (exponent of the multipliers).

    Returns:
        Multipliers ``(classes,)``, scaled so that the average sample has 1; zero only for classes
        without samples.

    Raises:
        ConfigError: a target mix with another number of shares than classes.
        DataError: no samples.
    """
    counts = np.asarray(counts, dtype=np.float64)
    present = counts > 0
    if not present.any():
        raise DataError("the sampler got no training samples: check the split and the label map")
    if kind == "balanced_batches":
        share = abnormal_share(counts)
        halves = np.where(np.arange(len(counts)) == 0, 1.0 - share, share)
        return _normalised(np.where(halves > 0, 0.5 / np.maximum(halves, 1e-300), 0.0), counts)
    multipliers = _method_multipliers(counts, present, options, kind)
    multipliers **= options.sampler_strength * strength
    multipliers = np.minimum(multipliers, multipliers[present].min() * options.sampler_max_ratio)
    multipliers = _normalised(np.where(present, multipliers, 0.0), counts)
    if boost is None:
        boost = options.sampler_abnormal_boost if kind == "boost" else 1.0
    if kind in ("off", "shuffle") or boost == 1.0:
        return multipliers
    return _boosted(multipliers, counts, 1.0 + (boost - 1.0) * strength, options)


def expected_mix(counts: ArrayLike, multipliers: ArrayLike) -> FloatArray:
    """Expected share of each class in a batch ``(classes,)``, sum 1."""
    mass = np.asarray(counts, dtype=np.float64) * np.asarray(multipliers, dtype=np.float64)
    return mass / mass.sum()


def abnormal_share(counts: ArrayLike) -> float:
    """Share of samples that are not of class 0."""
    counts = np.asarray(counts, dtype=np.float64)
    return float(counts[1:].sum() / counts.sum()) if counts.sum() else 0.0


def multilabel_sample_weights(
    labels: ArrayLike, options: SamplerOptions, *, boost: float = 1.0, strength: float = 1.0
) -> FloatArray:
    """Sampling weight of every row of a multi-label table.

    ``per_class``: the rarest positive label of the row decides (its n_neg/n_pos; rows without a
    positive weigh 1). ``aggressive``: 5 for a row with any positive. ``balanced``: mean over labels
    of n/(2·n_pos) or n/(2·n_neg), whichever side the row is on.

    Args:
        labels: 0/1 matrix ``(samples, labels)``.
        options: method, ratio cap and strength.
        boost: extra factor on rows with any positive, from the policy.
        strength: 0 to 1, the policy's blend (exponent of the weights).

    Returns:
        Weights ``(samples,)`` with mean 1, max/min at most ``sampler_max_ratio`` before the boost.

    Raises:
        DataError: an empty table.
    """
    positive = np.asarray(labels) > 0
    if positive.ndim != 2 or positive.size == 0:
        raise DataError(f"labels have shape {positive.shape}: expected (samples, labels), both ≥ 1")
    total = len(positive)
    num_positive = positive.sum(axis=0)
    num_negative = total - num_positive
    any_positive = positive.any(axis=1)
    if options.weight_method == "aggressive":
        weights = np.where(any_positive, AGGRESSIVE_FACTOR, 1.0)
    elif options.weight_method == "per_class":
        rarity = num_negative / np.maximum(num_positive, 1)
        weights = np.maximum(np.where(positive, rarity, 1.0).max(axis=1), 1.0)
    else:
        per_positive = total / (2.0 * np.maximum(num_positive, 1))
        per_negative = total / (2.0 * np.maximum(num_negative, 1))
        weights = np.where(positive, per_positive, per_negative).mean(axis=1)
    weights = np.minimum(weights, weights.min() * options.sampler_max_ratio)
    weights = weights ** (options.sampler_strength * strength)
    weights = np.where(any_positive, weights * (1.0 + (boost - 1.0) * strength), weights)
    return weights / weights.mean()


def expected_positive_rates(labels: ArrayLike, sample_weights: ArrayLike) -> FloatArray:
    """Expected positive rate per label ``(labels,)`` in a batch drawn by ``sample_weights``."""
    weights = np.asarray(sample_weights, dtype=np.float64)
    return weights @ (np.asarray(labels) > 0) / weights.sum()


def record_weights(label: ArrayLike, record: ArrayLike, power: float) -> FloatArray:
    """Weights within each class that keep a record with many beats from standing for the class.

    A record with n beats of a class is drawn in proportion to n^(1 - power) among that class's
    records: 0 leaves every beat alike, 0.5 takes the root of the counts, 1 makes records alike.

    Args:
        label: class index of every sample ``(samples,)``.
        record: name or number of its record ``(samples,)``.
        power: 0 to 1.

    Returns:
        Weights ``(samples,)`` of mean 1 in each class, so that the class mix stays as it was.
    """
    classes = np.asarray(label)
    _, pair, count = np.unique(
        np.stack([classes, np.unique(record, return_inverse=True)[1]]),
        axis=1,
        return_inverse=True,
        return_counts=True,
    )
    weights = count[pair] ** -float(power)
    sums, sizes = np.bincount(classes, weights), np.bincount(classes)
    return weights * (sizes / np.where(sizes, sums, 1.0))[classes]


def weighted_indices(
    sample_weights: ArrayLike, steps: int, batch_size: int, generator: torch.Generator
) -> torch.Tensor:
    """One epoch of weighted draws with replacement.

    Args:
        sample_weights: relative probability of every sample ``(samples,)``, ≥ 0.
        steps: optimiser steps in the epoch.
        batch_size: samples per step.
        generator: the CPU generator that makes the draw reproducible.

    Returns:
        Sample indices, int64 ``(steps, batch_size)``; a sample of weight 0 is never drawn.

    Raises:
        DataError: weights that are empty, negative, not finite or all zero.
    """
    weights = torch.as_tensor(np.asarray(sample_weights, dtype=np.float64))
    valid = weights.ndim == 1 and weights.numel() > 0 and bool(torch.isfinite(weights).all())
    if not valid or bool((weights < 0).any()) or float(weights.sum()) <= 0.0:
        raise DataError(
            f"sampling weights of shape {tuple(weights.shape)} must be finite, ≥ 0 and not all zero"
        )
    # Zero-weight samples leave the table, so no rounding at an edge can draw one.
    kept = torch.nonzero(weights > 0).squeeze(1)
    cumulative = torch.cumsum(weights[kept], dim=0)
    points = torch.rand((steps, batch_size), generator=generator, dtype=torch.float64)
    found = torch.searchsorted(cumulative, points * cumulative[-1], right=True)
    return kept[found.clamp_(max=len(kept) - 1)]


def shuffled_indices(
    num_samples: int, steps: int, batch_size: int, generator: torch.Generator
) -> torch.Tensor:
    """One epoch of a plain shuffle ``(steps, batch_size)``; a sample returns only after all others.

    Raises:
        DataError: no samples.
    """
    if num_samples < 1:
        raise DataError("cannot draw batches from 0 samples: check the split and the label map")
    needed = steps * batch_size
    rounds = -(-needed // num_samples)
    order = [torch.randperm(num_samples, generator=generator) for _ in range(rounds)]
    return torch.cat(order)[:needed].reshape(steps, batch_size)


def balanced_indices(
    labels: ArrayLike, steps: int, batch_size: int, generator: torch.Generator
) -> torch.Tensor:
    """One epoch in which every batch is half abnormal (class ≠ 0) and half normal.

    Within each side a sample returns only after all others of its side. With an odd batch size the
    normal side has one more.

    Args:
        labels: class index of every sample ``(samples,)``.
        steps: optimiser steps in the epoch.
        batch_size: samples per step, at least 2.
        generator: CPU generator.

    Returns:
        Sample indices, int64 ``(steps, batch_size)``, abnormal ones first in each row.

    Raises:
        DataError: one of the sides is empty.
        ConfigError: a batch size below 2.
    """
    if batch_size < 2:
        raise ConfigError(f"batch size {batch_size}: balanced batches need at least 2")
    abnormal = torch.as_tensor(np.asarray(labels)) != 0
    half = batch_size // 2
    sides = []
    for name, mask, width in (
        ("abnormal", abnormal, half),
        ("normal", ~abnormal, batch_size - half),
    ):
        members = torch.nonzero(mask).squeeze(1)
        if len(members) == 0:
            raise DataError(f"balanced batches need both sides: there is no {name} sample")
        sides.append(members[shuffled_indices(len(members), steps, width, generator)])
    return torch.cat(sides, dim=1)


def _method_multipliers(
    counts: FloatArray, present: NDArray[np.bool_], options: SamplerOptions, kind: SamplerKind
) -> FloatArray:
    observed = np.where(present, counts, 1.0) / counts.sum()
    if kind == "power":
        raw = observed**-options.sampler_power
    elif kind == "target_mix":
        if len(options.target_mix) != len(counts):
            raise ConfigError(
                f"target_mix has {len(options.target_mix)} shares for {len(counts)} classes: "
                "give one per class, or choose sampler_method power"
            )
        raw = np.asarray(options.target_mix) / observed
    else:
        return np.ones(len(counts))
    return np.minimum(raw, raw[present].min() * options.sampler_max_ratio)


def _boosted(
    multipliers: FloatArray, counts: FloatArray, boost: float, options: SamplerOptions
) -> FloatArray:
    before = 1.0 - expected_mix(counts, multipliers)[0]
    limit = max(options.sampler_max_abnormal_share, before)
    if 0.0 < before < limit < 1.0:
        # share(b) = b·s / (b·s + 1 - s) ≤ limit, solved for b.
        boost = min(boost, limit * (1.0 - before) / (before * (1.0 - limit)))
    else:
        boost = 1.0
    boosted = multipliers.copy()
    boosted[1:] *= boost
    return _normalised(boosted, counts)


def _normalised(multipliers: FloatArray, counts: FloatArray) -> FloatArray:
    return multipliers / ((multipliers * counts).sum() / counts.sum())
