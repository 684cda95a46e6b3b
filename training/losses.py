"""Losses under class imbalance: cross-entropy, focal, weighted and focal binary cross-entropy.

All are plain tensor expressions without branches on values, so ``torch.func.vmap`` maps them over a
population of models, each with its own weights. ``reduction="none"`` gives one value per sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from training.options import ImbalanceOptions, Task

Reduction = Literal["mean", "none"]
Loss = Callable[..., torch.Tensor]
_TINY = 1e-8


def cross_entropy(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Cross-entropy with class weights and label smoothing, as ``torch.nn.CrossEntropyLoss``.

    The mean is divided by the summed weights of the targets, so that weights change the mix of the
    gradient and not its size.

    Args:
        logits: ``(batch, classes)``.
        targets: class indices, int64 ``(batch,)``.
        weights: ``(classes,)`` or None.
        label_smoothing: share of the target spread evenly over the classes.
        reduction: ``mean`` or ``none``.

    Returns:
        A scalar, or the weighted loss per sample ``(batch,)``.
    """
    log_probabilities = F.log_softmax(logits, dim=-1)
    picked = log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    if weights is None:
        weights = torch.ones_like(log_probabilities[0])
    target_weights = weights[targets]
    spread = (log_probabilities * weights).mean(dim=-1)
    losses = -(1.0 - label_smoothing) * target_weights * picked - label_smoothing * spread
    if reduction == "none":
        return losses
    return losses.sum() / target_weights.sum()


def cross_entropies(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """:func:`cross_entropy` of several models at once, each with its own batch and weights.

    Args:
        logits: ``(models, batch, classes)``.
        targets: class indices, int64 ``(models, batch)``.
        weights: ``(models, classes)``.
        label_smoothing: share of the target spread evenly over the classes.

    Returns:
        One loss per model ``(models,)``.
    """
    log_probabilities = F.log_softmax(logits, dim=-1)
    picked = log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    target_weights = weights.gather(1, targets)
    losses = -((1.0 - label_smoothing) * target_weights * picked).sum(1)
    if label_smoothing:
        spread = (log_probabilities * weights.unsqueeze(1)).mean(-1).sum(1)
        losses = losses - label_smoothing * spread
    return losses / target_weights.sum(1)


def focal(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    gamma: float = 2.0,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Focal loss ``-alpha_t (1 - p_t)^gamma log p_t`` (Lin et al. 2017, eq. 5).

    Args:
        logits: ``(batch, classes)``.
        targets: class indices, int64 ``(batch,)``.
        weights: alpha per class ``(classes,)`` or None; the warmed-up class weights.
        gamma: focusing exponent; 0 gives the cross-entropy.
        label_smoothing: applied to the cross-entropy under the focusing factor.
        reduction: ``mean`` (divided by the summed alpha of the targets) or ``none``.

    Returns:
        A scalar, or the loss per sample ``(batch,)``.
    """
    losses = cross_entropy(
        logits, targets, weights, label_smoothing=label_smoothing, reduction="none"
    )
    log_picked = F.log_softmax(logits, dim=-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    losses = losses * _miss_share(log_picked) ** gamma
    if reduction == "none":
        return losses
    total = targets.numel() if weights is None else weights[targets].sum()
    return losses.sum() / total


def weighted_bce(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Binary cross-entropy per label, a positive counting ``weights`` times a negative.

    Args:
        logits: ``(batch, labels)``.
        targets: 0/1, float ``(batch, labels)``.
        weights: positive weights ``(labels,)`` or None.
        reduction: ``mean`` over batch and labels, or ``none``.

    Returns:
        A scalar, or the mean over labels per sample ``(batch,)``.
    """
    return _reduced(_bce(logits, targets, weights), reduction)


def focal_bce(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    gamma: float = 3.0,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Focal binary cross-entropy per label (Lin et al. 2017, eq. 5), ``weights`` on the positives.

    Args:
        logits: ``(batch, labels)``.
        targets: 0/1, float ``(batch, labels)``.
        weights: positive weights ``(labels,)`` or None.
        gamma: focusing exponent; 0 gives ``weighted_bce``.
        reduction: ``mean`` over batch and labels, or ``none``.

    Returns:
        A scalar, or the mean over labels per sample ``(batch,)``.
    """
    log_picked = F.logsigmoid(logits * (2.0 * targets - 1.0))
    return _reduced(_bce(logits, targets, weights) * _miss_share(log_picked) ** gamma, reduction)


def build_loss(options: ImbalanceOptions) -> Loss:
    """The configured loss as ``loss(logits, targets, weights=None, reduction="mean")``."""
    kind, gamma = options.loss.loss_type, options.loss.focal_gamma
    smoothing = options.loss.label_smoothing
    if options.task is Task.MULTI_LABEL:
        focused = kind in ("focal", "focal_bce")

        def multi_label_loss(
            logits: torch.Tensor,
            targets: torch.Tensor,
            weights: torch.Tensor | None = None,
            reduction: Reduction = "mean",
        ) -> torch.Tensor:
            if focused:
                return focal_bce(logits, targets, weights, gamma=gamma, reduction=reduction)
            return weighted_bce(logits, targets, weights, reduction=reduction)

        return multi_label_loss

    exponent = gamma if kind == "focal" else None

    def single_label_loss(
        logits: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor | None = None,
        reduction: Reduction = "mean",
    ) -> torch.Tensor:
        if exponent is None:
            return cross_entropy(
                logits, targets, weights, label_smoothing=smoothing, reduction=reduction
            )
        return focal(
            logits,
            targets,
            weights,
            gamma=exponent,
            label_smoothing=smoothing,
            reduction=reduction,
        )

    return single_label_loss


def _bce(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    positive = -F.logsigmoid(logits)
    if weights is not None:
        positive = positive * weights
    return targets * positive - (1.0 - targets) * F.logsigmoid(-logits)


def _miss_share(log_picked: torch.Tensor) -> torch.Tensor:
    """``1 - p_t``, kept above zero: its power has an infinite slope at 0 for gamma below 1."""
    return (-torch.expm1(log_picked)).clamp_min(_TINY)


def _reduced(losses: torch.Tensor, reduction: Reduction) -> torch.Tensor:
    return losses.mean(dim=-1) if reduction == "none" else losses.mean()
