"""Which epoch's weights are kept: one score per task, higher is better (except the KD one)."""

from __future__ import annotations

from photonic.errors import DataError
from training.metrics import BinaryMetrics, MultiClassMetrics
from training.metrics_multilabel import MultiLabelMetrics
from training.options import SelectionOptions

Metrics = BinaryMetrics | MultiClassMetrics | MultiLabelMetrics


def binary_score(metrics: BinaryMetrics) -> float:
    """``F1 + sensitivity - 0.5·FPR``.

    Raises:
        DataError: the selection samples lack one of the two classes.
    """
    f1, sensitivity, fpr = metrics.f1, metrics.sensitivity, metrics.fpr
    if f1 is None or sensitivity is None or fpr is None:
        raise DataError(
            f"cannot score a checkpoint on {metrics.num_positive} abnormal and "
            f"{metrics.num_negative} normal samples: selection needs both; change the split"
        )
    return f1 + sensitivity - 0.5 * fpr


def four_class_score(metrics: MultiClassMetrics) -> float:
    """``0.2·macroF1 + 0.3·abnormalF1(S,V,O) + 0.5·rareF1(S,V)``, the rare term by ``rare_term``.

    Raises:
        DataError: the selection samples hold no abnormal class.
    """
    if metrics.abnormal_f1 is None:
        raise DataError(
            "cannot score a checkpoint: no abnormal sample among the selection samples; "
            "change the split"
        )
    return 0.2 * metrics.macro_f1 + 0.3 * metrics.abnormal_f1 + 0.5 * rare_term(metrics)


def rare_term(metrics: MultiClassMetrics) -> float:
    """``rare_f1``, but 0 as soon as one rare class with support has an F1 of 0.

    A mean would let a good V hide a dead S; such a checkpoint must not win.
    """
    rare = [figures.f1 for figures in metrics.per_class[1:3] if figures.f1 is not None]
    return 0.0 if 0.0 in rare else (metrics.rare_f1 or 0.0)


def selection_score(
    metrics: Metrics,
    options: SelectionOptions,
    *,
    loss: float | None = None,
    unseen: Metrics | None = None,
    unseen_loss: float | None = None,
) -> float:
    """Score of a checkpoint under the configured rule.

    Args:
        metrics: figures on the selection samples.
        options: metric and blend.
        loss: validation loss, for ``early_stop_metric`` ``loss``.
        unseen: the same figures on selection records of other patients; used only with
            ``use_generalization_score``, and required then.
        unseen_loss: their loss.

    Returns:
        The score; higher is better for every metric (the loss enters negated).

    Raises:
        DataError: a figure that the rule needs is missing or undefined.
    """
    score = _score(metrics, options, loss)
    if not options.use_generalization_score:
        return score
    if unseen is None:
        raise DataError(
            "use_generalization_score is on but there are no unseen records: "
            "choose a split that has some, or switch it off"
        )
    weight = options.generalization_score_weight
    return (1.0 - weight) * score + weight * _score(unseen, options, unseen_loss)


def kd_checkpoint_score(metrics: BinaryMetrics, fpr_weight: float = 0.35) -> float:
    """``miss + 0.35·FPR``, by which a distilled student's checkpoint is chosen; lower is better.

    Raises:
        DataError: the selection samples lack one of the two classes.
    """
    if metrics.miss is None or metrics.fpr is None:
        raise DataError("cannot score a distilled checkpoint: selection needs both classes")
    return metrics.miss + fpr_weight * metrics.fpr


def _score(metrics: Metrics, options: SelectionOptions, loss: float | None) -> float:
    name = options.early_stop_metric
    if name == "score":
        if isinstance(metrics, BinaryMetrics):
            return binary_score(metrics)
        if isinstance(metrics, MultiClassMetrics):
            return four_class_score(metrics)
        name = "macro_f1"
    if name == "roc_auc" and not isinstance(metrics, MultiLabelMetrics):
        name = "auroc"  # the normal class against the others
    value = -loss if name == "loss" and loss is not None else getattr(metrics, name, None)
    if value is None:
        raise DataError(
            f"early_stop_metric {options.early_stop_metric} is not defined on these selection "
            "samples: choose another one or change the split"
        )
    return float(value)
