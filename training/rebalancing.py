"""How weights and sampler go together: the plan before the first step, and the numbers per epoch.

``plan_rebalancing`` and ``plan_multilabel`` decide once what rebalancing does at full strength and
say so in words; ``loss_weights`` and ``sampling_multipliers`` turn the plan and the policy's
actions into the numbers of one epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonic.errors import DataError
from training.imbalance import (
    blend,
    class_counts,
    class_weights,
    label_matrix,
    positive_weights,
    scale_positive_weights,
    scale_weights,
)
from training.options import ImbalanceOptions, WeightOptions
from training.policy import PolicyActions
from training.samplers import (
    SamplerKind,
    class_multipliers,
    expected_mix,
    expected_positive_rates,
    multilabel_sample_weights,
    sampler_kind,
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalancingPlan:
    """What rebalancing will do at full strength; logged before the first step.

    ``class_weights`` is the target of the loss (the focal alpha too), ``weight_mode`` how it was
    obtained: ``full``, ``sqrt`` or ``uniform`` (the mild ones beside a sampler), ``off``;
    ``full_class_weights`` has it at ``class_weight_scale``, as the policy has it once it is
    active. ``multipliers`` are the sampler's. ``effective`` is the sampler's over-representation
    of a class times its loss weight: how much a sample of the class counts against one of the
    others.
    """

    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    class_weights: tuple[float, ...]
    full_class_weights: tuple[float, ...]
    multipliers: tuple[float, ...]
    weight_mode: str
    sampler_kind: SamplerKind
    expected_mix: tuple[float, ...]
    target_mix: tuple[float, ...]
    effective: tuple[float, ...]
    effective_ratio: float
    messages: tuple[str, ...]


def plan_rebalancing(
    counts: ArrayLike, class_names: Sequence[str], options: ImbalanceOptions
) -> RebalancingPlan:
    """Decides how weights and sampler of a single-label task go together.

    With the sampler on, full class weights would correct the same imbalance twice; unless
    ``stack_sampler_with_ce`` asks for it, the weights are reduced to ``sampler_class_weights``.

    Args:
        counts: training samples per class ``(classes,)``; class 0 is the normal one.
        class_names: one name per class, for the messages.
        options: the complete configuration.

    Returns:
        The plan; its messages are to be logged and printed.

    Raises:
        DataError: bad counts, or another number of names than counts.
        ConfigError: a target mix that does not match the classes.
    """
    counts = class_counts(counts)
    names = tuple(class_names)
    if len(names) != len(counts):
        raise DataError(f"{len(names)} class names for {len(counts)} class counts: give one each")
    kind = sampler_kind(counts, options.sampler, options.task)
    multipliers = class_multipliers(counts, options.sampler, kind)
    full = _full_weights(counts, options)
    weights, mode, messages = _weights_beside_sampler(full, multipliers, kind, options.weights)
    at_full = scale_weights(
        weights, options.weights.class_weight_scale, options.weights.class_weight_max_ratio
    )
    effective, ratio = effective_weights(multipliers, at_full, counts)
    if ratio > options.weights.effective_weight_warn_ratio:
        messages.append(
            f"warning: effective weights (sampler × loss) differ by {ratio:.1f}×, over "
            f"{options.weights.effective_weight_warn_ratio:g}×: {_by_name(names, effective)}; "
            "lower class_weight_max_ratio or sampler_max_ratio, or drop stack_sampler_with_ce"
        )
    mix = expected_mix(counts, multipliers)
    messages.append(f"expected batch mix {_by_name(names, mix)}")
    target = options.sampler.target_mix if kind == "target_mix" else ()
    if target:
        messages.append(f"target batch mix {_by_name(names, target)}")
    absent = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if absent:
        messages.append(f"warning: no training sample of {', '.join(absent)}")
    return RebalancingPlan(
        class_names=names,
        counts=tuple(int(count) for count in counts),
        class_weights=tuple(weights.tolist()),
        full_class_weights=tuple(at_full.tolist()),
        multipliers=tuple(multipliers.tolist()),
        weight_mode=mode,
        sampler_kind=kind,
        expected_mix=tuple(mix.tolist()),
        target_mix=tuple(target),
        effective=tuple(effective.tolist()),
        effective_ratio=ratio,
        messages=tuple(messages),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLabelPlan:
    """What rebalancing will do in a multi-label task at full strength, per label."""

    label_names: tuple[str, ...]
    num_positive: tuple[int, ...]
    positive_weights: tuple[float, ...]
    observed_rates: tuple[float, ...]
    expected_rates: tuple[float, ...]
    messages: tuple[str, ...]


def plan_multilabel(
    labels: ArrayLike, label_names: Sequence[str], options: ImbalanceOptions
) -> MultiLabelPlan:
    """Positive weights and expected positive rates of a multi-label task.

    Beside the row sampler the weights are reduced to ``sampler_class_weights`` unless
    ``stack_sampler_with_ce`` asks for both in full.

    Args:
        labels: 0/1 matrix ``(samples, labels)``.
        label_names: one name per label.
        options: the complete configuration.

    Raises:
        DataError: labels that are not a 0/1 matrix, or another number of names.
    """
    matrix = label_matrix(labels)
    names = tuple(label_names)
    if len(names) != matrix.shape[1]:
        raise DataError(f"{len(names)} label names for {matrix.shape[1]} labels: give one each")
    num_positive = matrix.sum(axis=0)
    weights = np.ones(len(names))
    messages = []
    if options.weights.use_class_weights:
        weights = positive_weights(matrix, options.weights)
        if options.sampler.use_weighted_sampler and not options.weights.stack_sampler_with_ce:
            mode = options.weights.sampler_class_weights
            weights = np.sqrt(weights) if mode == "sqrt" else np.ones_like(weights)
            messages.append(
                f"positive weights reduced to {mode} beside the sampler; "
                "stack_sampler_with_ce keeps them full"
            )
    rows = np.ones(len(matrix))
    if options.sampler.use_weighted_sampler:
        rows = multilabel_sample_weights(matrix, options.sampler)
    observed, expected = matrix.mean(axis=0), expected_positive_rates(matrix, rows)
    # A sampled positive stands for expected/observed of itself, and its loss counts weight times.
    effective = weights * np.divide(
        expected, observed, out=np.ones_like(observed), where=observed > 0
    )
    if effective.max() > options.weights.effective_weight_warn_ratio:
        messages.append(
            f"warning: a positive counts up to {effective.max():.1f}× a negative (sampler × loss), "
            f"over {options.weights.effective_weight_warn_ratio:g}×: {_by_name(names, effective)}; "
            "probabilities will need calibration"
        )
    empty = [name for name, count in zip(names, num_positive, strict=True) if count == 0]
    if empty:
        messages.append(f"warning: no training positive of {', '.join(empty)}")
    messages.append(f"expected positive rates per batch {_by_name(names, expected)}")
    return MultiLabelPlan(
        label_names=names,
        num_positive=tuple(int(count) for count in num_positive),
        positive_weights=tuple(weights.tolist()),
        observed_rates=tuple(observed.tolist()),
        expected_rates=tuple(expected.tolist()),
        messages=tuple(messages),
    )


def loss_weights(
    plan: RebalancingPlan | MultiLabelPlan, actions: PolicyActions, options: ImbalanceOptions
) -> FloatArray:
    """Loss weights of the next epoch: the plan's target, scaled and blended by the policy.

    Returns:
        Class weights ``(classes,)`` with mean 1, or positive weights ``(labels,)``.
    """
    if isinstance(plan, MultiLabelPlan):
        return blend(
            scale_positive_weights(plan.positive_weights, actions.weight_scale), actions.alpha
        )
    cap = options.weights.class_weight_max_ratio
    return blend(scale_weights(plan.class_weights, actions.weight_scale, cap), actions.alpha)


def sampling_multipliers(
    plan: RebalancingPlan, actions: PolicyActions, options: ImbalanceOptions
) -> FloatArray:
    """Per-class sampling multipliers of the next epoch ``(classes,)``; all 1 is a plain shuffle.

    A sample's weight is ``sampling_multipliers(...)[label]``. The kind ``balanced_batches`` is
    drawn by ``samplers.balanced_indices`` instead.
    """
    kind: SamplerKind = plan.sampler_kind if actions.sampler_on else "off"
    return class_multipliers(
        plan.counts,
        options.sampler,
        kind,
        boost=actions.sampler_boost,
        strength=actions.sampler_strength,
    )


def effective_weights(
    multipliers: ArrayLike, weights: ArrayLike, counts: ArrayLike
) -> tuple[FloatArray, float]:
    """Sampler over-representation times loss weight per class, and its max/min over seen classes.

    Returns:
        The product ``(classes,)`` scaled so that the average sample counts 1, and the ratio.
    """
    counts = np.asarray(counts, dtype=np.float64)
    product = np.asarray(multipliers, dtype=np.float64) * np.asarray(weights, dtype=np.float64)
    product = product / ((product * counts).sum() / counts.sum())
    seen = product[counts > 0]
    return product, float(seen.max() / seen.min())


def _full_weights(counts: FloatArray, options: ImbalanceOptions) -> FloatArray:
    if not options.weights.use_class_weights:
        return np.ones(len(counts))
    return class_weights(counts, options.weights)


def _weights_beside_sampler(
    full: FloatArray, multipliers: FloatArray, kind: str, options: WeightOptions
) -> tuple[FloatArray, str, list[str]]:
    if not options.use_class_weights:
        return full, "off", []
    if kind in ("off", "shuffle") or options.stack_sampler_with_ce:
        return full, "full", []
    mode = options.sampler_class_weights
    mild = np.sqrt(full) if mode == "sqrt" else np.ones_like(full)
    mild /= mild.mean()
    stacked = (full * multipliers)[multipliers > 0.0]
    message = (
        f"class weights reduced to {mode} beside the sampler (max/min "
        f"{full.max() / full.min():.1f} → {mild.max() / mild.min():.1f}): full ones on top would "
        f"make effective weights differ by {stacked.max() / stacked.min():.1f}×; "
        "stack_sampler_with_ce keeps them full"
    )
    return mild, mode, [message]


def _by_name(names: Sequence[str], values: ArrayLike) -> str:
    return " ".join(
        f"{name} {value:.2f}" for name, value in zip(names, np.asarray(values), strict=True)
    )
