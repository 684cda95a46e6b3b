"""Advice that is printed when its condition is seen: what to change, with numbers.

Pure functions over the plan and the history of epochs; each piece of advice has a code and is given
once (``already`` holds the codes given).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from training.options import ImbalanceOptions, Task
from training.rebalancing import RebalancingPlan

LOW_NORMAL_RECALL = 0.35
LOW_EXPECTED_SHARE = 0.10
LARGE_CLASS_WEIGHT = 5.0
RARE_F1_PATIENCE = 5
FALLING_EPOCHS = 3
OVERCALLING_FACTOR = 3.0
LOW_PRECISION, HIGH_RECALL = 0.15, 0.80
UNSTABLE_SWINGS, UNSTABLE_CHANGE = 3, 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One piece of advice: a stable code and one line of text."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochFigures:
    """What advice looks at in one epoch; leave out what the task does not have.

    ``recalls`` per class in class order (None without support). For multi-label tasks:
    ``num_predicted_positive`` and ``num_true_positive`` count over all labels, ``precision`` and
    ``recall`` are macro figures.
    """

    recalls: tuple[float | None, ...] = ()
    rare_f1: float | None = None
    train_loss: float | None = None
    num_predicted_positive: int | None = None
    num_true_positive: int | None = None
    precision: float | None = None
    recall: float | None = None


History = Sequence[EpochFigures]
Rule = Callable[[History, ImbalanceOptions], str]


def advise_before_training(plan: RebalancingPlan, options: ImbalanceOptions) -> tuple[Advice, ...]:
    """Advice on a single-label plan, before the first step."""
    found = []
    rare = zip(plan.class_names[1:3], plan.expected_mix[1:3], plan.counts[1:3], strict=True)
    low = [
        f"{name} {share:.1%}" for name, share, count in rare if count and share < LOW_EXPECTED_SHARE
    ]
    if low and options.task is Task.FOUR_CLASS:
        found.append(
            Advice(
                code="low-expected-share",
                message=(
                    f"expected share in a batch: {', '.join(low)}, below "
                    f"{LOW_EXPECTED_SHARE:.0%}: raise sampler_power (now "
                    f"{options.sampler.sampler_power:g}, method "
                    f"{options.sampler.sampler_method}) or sampler_max_ratio (now "
                    f"{options.sampler.sampler_max_ratio:g})"
                ),
            )
        )
    # Weights have mean 1, so their size says nothing: what counts is the ratio to the lightest.
    ratios = [weight / min(plan.full_class_weights) for weight in plan.full_class_weights]
    heavy = [
        f"{name} {ratio:.1f}×"
        for name, ratio in zip(plan.class_names, ratios, strict=True)
        if ratio > LARGE_CLASS_WEIGHT + 1e-9
    ]
    if heavy:
        found.append(
            Advice(
                code="large-class-weight",
                message=(
                    f"warning: class weight above {LARGE_CLASS_WEIGHT:g}× the lightest: "
                    f"{', '.join(heavy)}; lower class_weight_max_ratio or class_weight_power"
                ),
            )
        )
    return tuple(found)


def advise_after_epoch(
    history: History, options: ImbalanceOptions, already: Collection[str] = ()
) -> tuple[Advice, ...]:
    """Advice on the epochs so far.

    Args:
        history: figures of every epoch, oldest first; the last one was just trained.
        options: the complete configuration; advice names what is not yet in use.
        already: codes of the advice given before.

    Returns:
        New advice, possibly none.
    """
    found = []
    for code, rule in RULES.items():
        message = "" if code in already else rule(history, options)
        if message:
            found.append(Advice(code=code, message=message))
    return tuple(found)


def low_normal_recall(history: History, options: ImbalanceOptions) -> str:
    """Normal recall below 0.35 in the first two epochs: the sampler pulls too hard."""
    if options.task is not Task.FOUR_CLASS or len(history) > 2 or not history[-1].recalls:
        return ""
    recall = history[-1].recalls[0]
    if recall is None or recall >= LOW_NORMAL_RECALL:
        return ""
    return (
        f"recall of the normal class is {recall:.2f} in epoch {len(history)}, below "
        f"{LOW_NORMAL_RECALL:g}: set sampler_max_ratio to 4-5 "
        f"(now {options.sampler.sampler_max_ratio:g})"
    )


def dead_rare_classes(history: History, options: ImbalanceOptions) -> str:
    """Rare F1 still 0 after five epochs: more weight or more focus."""
    if options.task is not Task.FOUR_CLASS or len(history) < RARE_F1_PATIENCE:
        return ""
    if any(figures.rare_f1 != 0.0 for figures in history):
        return ""
    return (
        f"rare F1 is 0 after {len(history)} epochs: set class_weight_max_ratio to 8-10 (now "
        f"{options.weights.class_weight_max_ratio:g}) or focal_gamma to 2.5 (now "
        f"{options.loss.focal_gamma:g})"
    )


def falling_ends(history: History, options: ImbalanceOptions) -> str:
    """Recall of the first and the last class both falling: a milder target mix."""
    recent = [figures.recalls for figures in history[-FALLING_EPOCHS - 1 :]]
    if options.task is not Task.FOUR_CLASS or len(recent) <= FALLING_EPOCHS or not all(recent):
        return ""
    for end in (0, -1):
        values = [recalls[end] for recalls in recent]
        steps = pairwise(values)
        if any(old is None or new is None or new >= old for old, new in steps):
            return ""
    return (
        f"recall of the normal and of the last class fell {FALLING_EPOCHS} epochs in a row: "
        "set target_mix to 0.55/0.18/0.18/0.09"
    )


def all_negative(history: History, options: ImbalanceOptions) -> str:
    """No positive prediction for ``all_negative_epochs`` epochs: what to try, strongest last."""
    wait = options.policy.all_negative_epochs
    recent = history[-wait:]
    if len(recent) < wait or any(figures.num_predicted_positive != 0 for figures in recent):
        return ""
    return f"no positive prediction for {wait} epochs: try {', then '.join(_next_steps(options))}"


def overcalling(history: History, options: ImbalanceOptions) -> str:
    """Three times more positives called than there are: rebalancing overshoots."""
    called, true = history[-1].num_predicted_positive, history[-1].num_true_positive
    if not called or not true or called <= OVERCALLING_FACTOR * true:
        return ""
    return (
        f"{called} positives called where {true} are true: overfitting to positives; lower "
        f"class_weight_multiplier (now {options.weights.class_weight_multiplier:g}), set "
        "weight_method balanced, add dropout"
    )


def low_precision(history: History, options: ImbalanceOptions) -> str:
    """Low precision beside a high recall: the thresholds are too low."""
    precision, recall = history[-1].precision, history[-1].recall
    if precision is None or recall is None:
        return ""
    if precision >= LOW_PRECISION or recall <= HIGH_RECALL:
        return ""
    how = (
        "raise the thresholds" if options.thresholds.optimize_thresholds else "optimize_thresholds"
    )
    return f"precision {precision:.2f} with recall {recall:.2f}: {how}"


def unstable_loss(history: History, options: ImbalanceOptions) -> str:
    """The training loss swings up and down by more than a tenth: slower, milder."""
    losses = [figures.train_loss for figures in history[-UNSTABLE_SWINGS - 2 :]]
    known = [loss for loss in losses if loss is not None]
    if len(known) < UNSTABLE_SWINGS + 2:
        return ""
    changes = [(new - old) / max(abs(old), 1e-12) for old, new in pairwise(known)]
    swings = sum(
        before * after < 0.0 and min(abs(before), abs(after)) > UNSTABLE_CHANGE
        for before, after in pairwise(changes)
    )
    if swings < UNSTABLE_SWINGS:
        return ""
    what = (
        "class_weight_multiplier" if options.task is Task.MULTI_LABEL else "class_weight_max_ratio"
    )
    return (
        f"training loss swings by more than {UNSTABLE_CHANGE:.0%} from epoch to epoch: "
        f"set the learning rate to 5e-4 and lower {what}"
    )


RULES: dict[str, Rule] = {
    "low-normal-recall": low_normal_recall,
    "dead-rare-classes": dead_rare_classes,
    "falling-ends": falling_ends,
    "all-negative": all_negative,
    "overcalling": overcalling,
    "low-precision": low_precision,
    "unstable-loss": unstable_loss,
}


def _next_steps(options: ImbalanceOptions) -> list[str]:
    """The settings that call more positives, mildest first, leaving out those already in use."""
    weights, sampler = options.weights, options.sampler
    if options.task is not Task.MULTI_LABEL:
        steps = [(not weights.use_class_weights, "use_class_weights")]
        steps.append((not sampler.use_weighted_sampler, "use_weighted_sampler"))
        steps.append((True, f"class_weight_max_ratio {2.0 * weights.class_weight_max_ratio:g}"))
        return [text for wanted, text in steps if wanted]
    method = weights.class_weight_method
    steps = [
        (not options.thresholds.optimize_thresholds, "optimize_thresholds"),
        (
            options.loss.loss_type == "bce",
            "loss_type weighted_bce with class_weight_method inverse",
        ),
        (not sampler.use_weighted_sampler, "use_weighted_sampler with weight_method per_class"),
        (method in ("balanced", "inverse"), "class_weight_method aggressive"),
        (method != "very_aggressive", "class_weight_method very_aggressive"),
        (True, f"class_weight_multiplier {2.0 * weights.class_weight_multiplier:g}"),
    ]
    return [text for wanted, text in steps if wanted]
