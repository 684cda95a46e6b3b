"""The rules that the rebalancing policy consults, one function each.

Every rule is a pure function of one epoch's metrics (and what it needs to remember), so that it can
be tested, replaced or switched off alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from photonic.errors import DataError
from training.options import PolicyOptions

_SHARES = ("miss", "fpr", "unseen_miss", "unseen_fpr", "plain_miss", "plain_fpr")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics:
    """Validation figures of one epoch, at the threshold in force.

    ``miss`` and ``fpr`` are shares in [0, 1] or None where the side has no samples; ``confusion``
    has true classes in rows and predicted ones in columns, class 0 being the normal one.
    ``unseen_*`` are the same figures on selection records of other patients, where there are any.
    ``plain_*`` are those at the decision that nothing was fitted to (0.5, or argmax): a threshold
    swept every epoch hides a net that gives everybody nearly the same probability, so the collapse
    rule prefers these.

    Raises:
        DataError: a share outside [0, 1] or NaN, or a confusion matrix that is not square or does
            not match the names.
    """

    miss: float | None = None
    fpr: float | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    class_names: tuple[str, ...] = ()
    unseen_miss: float | None = None
    unseen_fpr: float | None = None
    plain_miss: float | None = None
    plain_fpr: float | None = None

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise DataError(f"epoch metric {name} is {value}: expected a share in [0, 1]")
        size = len(self.class_names)
        if self.confusion and any(len(row) != size for row in (self.confusion, *self.confusion)):
            raise DataError(
                f"confusion matrix and {size} class names {self.class_names} do not match: "
                "expected one row and one column per class"
            )

    @classmethod
    def from_confusion(
        cls, confusion: Sequence[Sequence[int]], class_names: Sequence[str]
    ) -> EpochMetrics:
        """Metrics of a single-label task; miss and FPR are those of class 0 against the rest."""
        matrix = np.asarray(confusion, dtype=np.int64)
        abnormal, normal = matrix[1:].sum(), matrix[0].sum()
        return cls(
            miss=float(matrix[1:, 0].sum() / abnormal) if abnormal else None,
            fpr=float(matrix[0, 1:].sum() / normal) if normal else None,
            confusion=tuple(tuple(int(count) for count in row) for row in matrix),
            class_names=tuple(class_names),
        )


@dataclass(frozen=True, slots=True)
class Collapse:
    """A collapse: towards the ``common`` or the ``rare`` classes, and the reason in words."""

    direction: Literal["common", "rare"]
    reason: str


def find_collapse(
    metrics: EpochMetrics, never_predicted: Sequence[int], options: PolicyOptions
) -> Collapse | None:
    """The first rule that sees a collapse, or None.

    Args:
        metrics: figures of the epoch.
        never_predicted: epochs in a row without a prediction of each class, this one included.
        options: limits, and the switches ``detect_collapse`` and ``collapse_to_negative``.
    """
    if not options.detect_collapse:
        return None
    # The class rules name classes, so they speak first where there are three or more.
    found = class_collapse(metrics, never_predicted, options) or binary_collapse(metrics, options)
    if found and found.direction == "common" and not options.collapse_to_negative:
        return None
    return found


def binary_collapse(metrics: EpochMetrics, options: PolicyOptions) -> Collapse | None:
    """Everything called abnormal, or everything called normal."""
    miss = metrics.miss if metrics.plain_miss is None else metrics.plain_miss
    fpr = metrics.fpr if metrics.plain_fpr is None else metrics.plain_fpr
    if miss is None or fpr is None:
        return None
    high, low = options.collapse_high, options.collapse_low
    if fpr > high and miss < low:
        return Collapse(
            "rare",
            f"collapse to positive (FPR {fpr:.2f} > {high:g}, miss {miss:.2f} < {low:g})",
        )
    if miss > high and fpr < low:
        return Collapse(
            "common",
            f"collapse to negative (miss {miss:.2f} > {high:g}, FPR {fpr:.2f} < {low:g})",
        )
    return None


def class_collapse(
    metrics: EpochMetrics, never_predicted: Sequence[int], options: PolicyOptions
) -> Collapse | None:
    """Collapse of a task with three or more classes: one class, two columns, or a class gone."""
    confusion = np.asarray(metrics.confusion)
    if len(confusion) < 3 or confusion.sum() == 0:
        return None
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    common = int(support.argmax())
    top = int(predicted.argmax())
    share, true_share = predicted[top] / predicted.sum(), support[top] / support.sum()
    # A class may truly hold more than the limit; then half of what is left must be missing.
    limit = max(options.collapse_class_share, (1.0 + true_share) / 2.0)
    names = metrics.class_names
    if share > limit:
        return Collapse(
            "common" if top == common else "rare",
            f"collapse to class {names[top]} ({share:.0%} of the predictions, over {limit:.0%})",
        )
    used = np.flatnonzero(predicted)
    if len(used) <= 2 < np.count_nonzero(support):
        both = " and ".join(names[index] for index in used)
        return Collapse(
            "common" if common in used else "rare",
            f"collapse to two columns of the confusion matrix (only {both} are ever predicted)",
        )
    limit_epochs = options.collapse_never_predicted_epochs
    gone = [names[i] for i, count in enumerate(never_predicted) if count >= limit_epochs]
    if gone:
        return Collapse(
            "common",
            f"collapse of class {', '.join(gone)} (has support, "
            f"never predicted for {limit_epochs} epochs)",
        )
    return None


def count_never_predicted(before: Sequence[int], metrics: EpochMetrics) -> tuple[int, ...]:
    """Epochs in a row in which each class had support and no prediction."""
    if not metrics.confusion:
        return tuple(before)
    confusion = np.asarray(metrics.confusion)
    missing = (confusion.sum(axis=1) > 0) & (confusion.sum(axis=0) == 0)
    counts = np.asarray(before if len(before) == len(confusion) else np.zeros(len(confusion)))
    return tuple(int(count) for count in np.where(missing, counts + 1, 0))


def flag_classes(metrics: EpochMetrics) -> tuple[str, ...]:
    """One line per class that has support and an F1 of 0, by name; pooled figures hide these."""
    confusion = np.asarray(metrics.confusion)
    if len(confusion) < 3:
        return ()
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    lines = []
    for index, name in enumerate(metrics.class_names):
        if support[index] and not confusion[index, index]:
            how = "never right" if predicted[index] else "never predicted"
            lines.append(f"class {name}: F1 is 0 ({how}, support {support[index]})")
    return tuple(lines)


def rescue_reason(metrics: EpochMetrics, rescues: int, options: PolicyOptions) -> str:
    """Why recall needs a rescue, or an empty string.

    A rescue needs a miss rate over ``recall_target_miss`` while the false-positive rate leaves room
    under ``adaptive_fpr_cap``, on validation or (``use_generalization_rescue``) on unseen records.
    """
    if rescues >= options.recall_rescue_limit:
        return ""
    pairs = [("", metrics.miss, metrics.fpr)]
    if options.use_generalization_rescue:
        pairs.append(("on unseen records ", metrics.unseen_miss, metrics.unseen_fpr))
    target, cap = options.recall_target_miss, options.adaptive_fpr_cap
    for where, miss, fpr in pairs:
        if miss is not None and fpr is not None and miss > target and fpr < cap:
            return f"miss {where}{miss:.2f} > {target:g} with FPR {fpr:.2f} < {cap:g}"
    return ""


def updated_miss_ema(
    before: float | None, metrics: EpochMetrics, options: PolicyOptions
) -> float | None:
    """Exponential mean of the miss rate; starts at the first known value."""
    if metrics.miss is None or before is None:
        return before if metrics.miss is None else metrics.miss
    decay = options.miss_ema_decay
    return decay * before + (1.0 - decay) * metrics.miss


def adaptive_boost(miss_ema: float | None, metrics: EpochMetrics, options: PolicyOptions) -> float:
    """Smooth factor on weights and sampler, 1 at the target miss rate, the maximum at miss 1.

    Off (1) without ``enable_adaptive_reweight`` and while the FPR is at or over its cap.
    """
    over_cap = metrics.fpr is not None and metrics.fpr >= options.adaptive_fpr_cap
    if not options.enable_adaptive_reweight or miss_ema is None or over_cap:
        return 1.0
    target = options.recall_target_miss
    excess = max(0.0, miss_ema - target) / max(1.0 - target, 1e-9)
    return 1.0 + (options.adaptive_max_boost - 1.0) * min(1.0, excess)
