"""From logits and labels to a decision and to figures; the same for every workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from photonic.decision import Decision, softmax
from training.metrics import (
    BinaryMetrics,
    MultiClassMetrics,
    auprc,
    auroc,
    binary_metrics,
    confusion_matrix,
    multiclass_metrics,
)
from training.offsets import fit_logit_offsets
from training.options import ImbalanceOptions, Task
from training.thresholds import sweep_thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a model said about samples, and what they are.

    Attributes:
        probs: ``(n, classes)`` float64.
        logits: ``(n, classes)`` float32.
        label: class index ``(n,)``.
        record: name of the record each sample is from, ``(n,)``.
        sample: where in the record, ``(n,)``.
    """

    probs: np.ndarray
    logits: np.ndarray
    label: np.ndarray
    record: np.ndarray
    sample: np.ndarray

    @classmethod
    def of(
        cls, logits: np.ndarray, *, label: np.ndarray, record: np.ndarray, sample: np.ndarray
    ) -> Predictions:
        """Predictions with the probabilities of these logits."""
        return cls(probs=softmax(logits), logits=logits, label=label, record=record, sample=sample)


def choose_decision(
    logits: np.ndarray,
    label: np.ndarray,
    classes: Sequence[str],
    options: ImbalanceOptions,
    *,
    miss_ema: float | None = None,
    unseen: tuple[np.ndarray, np.ndarray] | None = None,
) -> Decision:
    """The decision that the options call for on these selection samples.

    Args:
        logits: ``(n, classes)``.
        label: class index ``(n,)``.
        classes: their names.
        options: task and threshold search.
        miss_ema: running miss rate from the policy.
        unseen: logits and labels of unseen records, for the blended search.
    """
    if options.task is not Task.BINARY:
        offsets: tuple[float, ...] = ()
        if options.thresholds.use_logit_offsets:
            offsets = tuple(fit_logit_offsets(softmax(logits), label).tolist())
        return Decision(kind="argmax", classes=tuple(classes), offsets=offsets)
    probs = softmax(logits)[:, 1]
    blended = None if unseen is None else (softmax(unseen[0])[:, 1], unseen[1])
    choice = sweep_thresholds(probs, label, options.thresholds, miss_ema=miss_ema, unseen=blended)
    return Decision(
        kind="threshold", classes=tuple(classes), threshold=between(choice.threshold, probs)
    )


def between(threshold: float, probs: np.ndarray) -> float:
    """The middle between the probabilities around ``threshold``: the same decisions on ``probs``.

    A threshold that equals a probability would leave its decision to the last bit of whoever
    computes it; on the coarse grid of a chip many samples share one probability.
    """
    below, above = probs[probs < threshold], probs[probs >= threshold]
    if not len(below) or not len(above):
        return threshold
    middle = (below.max() + above.min()) / 2.0
    return float(middle) if below.max() < middle <= above.min() else threshold


def figures(
    decision: Decision, logits: np.ndarray, label: np.ndarray
) -> BinaryMetrics | MultiClassMetrics:
    """The figures that choose a checkpoint."""
    if decision.kind == "threshold":
        assert decision.threshold is not None
        return binary_metrics(softmax(logits)[:, 1], label, decision.threshold)
    confusion = confusion_matrix(label, decision(logits), len(decision.classes))
    area = auroc(1.0 - softmax(logits)[:, 0], label > 0)
    return replace(multiclass_metrics(confusion, decision.classes), auroc=area)


def report(decision: Decision, probs: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Every figure of samples with probabilities ``(n, classes)``, as JSON.

    ``miss`` and ``fpr`` are class 0, the normal one, against the others, and so are ``auroc`` and
    ``auprc``; what is undefined is None.
    """
    predicted = decision.from_probabilities(probs)
    confusion = confusion_matrix(label, predicted, len(decision.classes))
    return confusion_report(decision.classes, confusion) | {
        "auroc": auroc(1.0 - probs[:, 0], label > 0),
        "auprc": auprc(1.0 - probs[:, 0], label > 0),
    }


def confusion_report(classes: Sequence[str], confusion: np.ndarray) -> dict[str, Any]:
    """What follows from a confusion matrix, as JSON."""
    metrics = multiclass_metrics(confusion, classes)
    values = asdict(metrics)
    del values["auroc"]  # a confusion matrix does not tell
    per_class = {c.pop("name"): c for c in map(dict, values.pop("per_class"))}
    values["per_class"] = per_class
    if len(classes) == 2:
        values["f1"] = per_class[classes[1]]["f1"]
    return values


def per_record(decision: Decision, predictions: Predictions) -> list[dict[str, Any]]:
    """One row per record: samples per class, F1 of every class, miss and FPR."""
    predicted = decision.from_probabilities(predictions.probs)
    rows = []
    for name in np.unique(predictions.record):
        chosen = predictions.record == name
        confusion = confusion_matrix(
            predictions.label[chosen], predicted[chosen], len(decision.classes)
        )
        values = confusion_report(decision.classes, confusion)
        rows.append(
            {
                "record": str(name),
                "num_samples": int(chosen.sum()),
                **{key: values[key] for key in ("accuracy", "miss", "fpr", "per_class")},
            }
        )
    return rows


def cross_entropy(logits: np.ndarray, label: np.ndarray) -> tuple[float, list[float | None]]:
    """Mean cross-entropy of all samples and of each class (None where it has none)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    losses = log_sum - shifted[np.arange(len(label)), label]
    by_class = [
        float(losses[label == c].mean()) if (label == c).any() else None
        for c in range(logits.shape[1])
    ]
    return float(losses.mean()), by_class


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures of a report that fit one line."""
    names = ("f1", "macro_f1", "rare_f1", "miss", "fpr", "auroc", "accuracy")
    return {name: metrics[name] for name in names if metrics.get(name) is not None}
