"""Options of training under class imbalance: frozen groups, one field per named switch.

Field names are the founding spellings and are unique over all groups, so the command line can show
them flat (``flat_options``) and a TOML file may spell them with ``-`` or ``_``. Task defaults,
presets and the strength dial are functions in ``training.presets``; the values below are the
common ones.

Where each option acts (4 = four-class, 2 = binary, L = multi-label; "=" same as the common value):

| option | acts in | default | 4 | 2 | L |
| --- | --- | --- | --- | --- | --- |
| use_class_weights | rebalancing.plan_rebalancing | on | = | off (stable) | off |
| class_weight_power | imbalance.class_weights | 0.5 | = | = | - |
| class_weight_max_ratio (max_class_weight_ratio) | imbalance.class_weights | 5 | = | 2 | - |
| class_weight_abnormal | imbalance.class_weights | 1 | = | 1.3 | - |
| class_weight_clamp | imbalance.class_weights (0 = off) | 0 | = | 2 | - |
| class_weight_method, class_weight_multiplier | imbalance.positive_weights | balanced, 1 | | | = |
| class_weight_scale | policy (base of weight_scale) | 1 | = | = | = |
| sampler_class_weights | rebalancing.plan_rebalancing | sqrt | = | = | = |
| stack_sampler_with_ce | rebalancing.plan_rebalancing | off | = | = | = |
| effective_weight_warn_ratio | rebalancing.plan_rebalancing | 10 | = | = | = |
| use_weighted_sampler (use_weighted_sampling) | samplers, policy | off | on | = | = |
| sampler_method | samplers.class_multipliers | power | target_mix | boost | - |
| sampler_power, sampler_max_ratio | samplers.class_multipliers | 0.7, 6 | = | = | - |
| target_mix | samplers.class_multipliers | () | .5/.2/.2/.1 | = | - |
| sampler_abnormal_boost | samplers, policy (base of sampler_boost) | 1.2 | = | 1.1 | = |
| auto_sampler_ratio | samplers.sampler_kind | 0.35 | - | = | - |
| sampler_max_abnormal_share | samplers.class_multipliers | 0.5 | 0.7 | = | - |
| force_balanced_batches, balanced_batch_ratio | samplers.sampler_kind | off, 0.45 | - | = | - |
| weight_method | samplers.multilabel_sample_weights | per_class | - | - | = |
| sampler_strength | samplers (exponent of the multipliers) | 1 | = | = | = |
| record_balance | samplers.record_weights (0 beats, 1 records count alike) | 0 | = | = | - |
| loss_type, focal_gamma, label_smoothing | losses.build_loss | ce, 2, 0 | focal | = | bce, 3, 0 |
| detect_collapse, collapse_* | policy_rules | on, see below | = | = | to_negative off |
| imbalance_warmup_epochs, imbalance_ramp_epochs | policy | 5, 5 | = | = | = |
| weight_warmup_epochs | policy (0 = imbalance_warmup_epochs) | 0 | 8 | = | = |
| enable_adaptive_reweight, adaptive_* , miss_ema_decay | policy | off | = | = | = |
| recall_* , use_generalization_rescue | policy_rules.rescue_reason | see below | = | = | = |
| all_negative_epochs | advice | 5 | - | - | = |
| threshold_*, use_blended_thresholds | thresholds | see below | - | = | objective only |
| threshold_spread (logits; plain rules) | thresholds | 0 | - | = | - |
| optimize_thresholds, threshold_objective | thresholds.per_label_thresholds | on, f1 | - | - | = |
| use_logit_offsets | offsets.fit_logit_offsets | off | = | - | - |
| use_generalization_score, generalization_score_weight | selection | off, 0.35 | = | = | - |
| kept_epoch | training.fit | best | = | = | = |
| early_stop_metric, early_stop_patience | selection, training loop | score, 25 | = | = | macro_f1 |
| use_kd, teacher_*, kd_*, alpha, beta, gamma | policy_kd, distillation | off | warm-up 10 | = | - |

The four options that make the unseen records selection data (use_generalization_rescue,
use_generalization_score, use_blended_thresholds, kd_gen_mix_ratio) are off here; the founding notes
had them on. ``uses_unseen_records`` tells whether any is on, for the report.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
AtLeastOne = Annotated[float, Field(ge=1.0, allow_inf_nan=False)]
Epochs = Annotated[int, Field(ge=0)]


class Task(StrEnum):
    """The kinds of classification; FOUR_CLASS is any single-label task of three classes or more."""

    BINARY = "binary"
    FOUR_CLASS = "four-class"
    MULTI_LABEL = "multi-label"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WeightOptions(_Group):
    """Instrument 1: weights of the loss."""

    use_class_weights: bool = True
    class_weight_power: Annotated[float, Field(ge=0.0, le=2.0)] = 0.5
    class_weight_max_ratio: AtLeastOne = 5.0
    class_weight_abnormal: Annotated[float, Field(gt=0.0, le=20.0)] = 1.0
    class_weight_clamp: NonNegative = 0.0
    class_weight_method: Literal["balanced", "inverse", "aggressive", "very_aggressive"] = (
        "balanced"
    )
    class_weight_multiplier: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    class_weight_scale: Annotated[float, Field(ge=0.0, le=5.0)] = 1.0
    sampler_class_weights: Literal["uniform", "sqrt"] = "sqrt"
    stack_sampler_with_ce: bool = False
    effective_weight_warn_ratio: AtLeastOne = 10.0

    @model_validator(mode="after")
    def _clamp_is_off_or_a_factor(self) -> WeightOptions:
        if 0.0 < self.class_weight_clamp < 1.0:
            raise ValueError(
                f"class_weight_clamp {self.class_weight_clamp} is a factor around the mean weight: "
                "give 1 or more, or 0 to switch it off"
            )
        return self


class SamplerOptions(_Group):
    """Instrument 2: what a batch is made of."""

    use_weighted_sampler: bool = False
    sampler_method: Literal["power", "target_mix", "boost"] = "power"
    sampler_power: Annotated[float, Field(ge=0.0, le=2.0)] = 0.7
    sampler_max_ratio: AtLeastOne = 6.0
    target_mix: tuple[float, ...] = ()
    sampler_abnormal_boost: AtLeastOne = 1.2
    auto_sampler_ratio: Share = 0.35
    sampler_max_abnormal_share: Share = 0.5
    force_balanced_batches: bool = False
    balanced_batch_ratio: Share = 0.45
    weight_method: Literal["balanced", "aggressive", "per_class"] = "per_class"
    sampler_strength: Annotated[float, Field(ge=0.0, le=5.0)] = 1.0
    record_balance: Share = 0.0

    @model_validator(mode="after")
    def _target_mix_is_a_mix(self) -> SamplerOptions:
        mix = self.target_mix
        if mix and (min(mix) <= 0.0 or abs(sum(mix) - 1.0) > 1e-6):
            shares = "/".join(f"{share:g}" for share in mix)
            raise ValueError(
                f"target_mix {shares} sums to {sum(mix):g}: give one positive share per class, "
                "in class order, with sum 1"
            )
        if self.record_balance and self.force_balanced_batches:
            raise ValueError(
                "record_balance needs weighted draws, which force_balanced_batches does without: "
                "use use_weighted_sampler with target_mix instead"
            )
        if self.sampler_method == "target_mix" and not mix:
            raise ValueError(
                "sampler_method target_mix needs target_mix (one share per class); "
                "or choose sampler_method power"
            )
        return self


class LossOptions(_Group):
    """Instrument 3: the loss. ``focal`` means ``focal_bce`` in multi-label tasks."""

    loss_type: Literal["ce", "focal", "bce", "weighted_bce", "focal_bce"] = "ce"
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 2.0
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class PolicyOptions(_Group):
    """The schedule and its state machine (``training.policy``)."""

    imbalance_warmup_epochs: Epochs = 5
    weight_warmup_epochs: Epochs = 0
    imbalance_ramp_epochs: Epochs = 5
    collapse_cooldown_epochs: Annotated[int, Field(ge=1)] = 5
    collapse_lock_after: Annotated[int, Field(ge=1)] = 2
    collapse_restore: bool = True
    detect_collapse: bool = True
    collapse_to_negative: bool = True
    collapse_high: Share = 0.95
    collapse_low: Share = 0.05
    collapse_class_share: Share = 0.95
    collapse_never_predicted_epochs: Annotated[int, Field(ge=1)] = 3
    collapse_grace_epochs: Epochs = 1
    enable_adaptive_reweight: bool = False
    adaptive_fpr_cap: Share = 0.25
    adaptive_max_boost: AtLeastOne = 2.0
    miss_ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.7
    recall_target_miss: Share = 0.15
    recall_rescue_limit: Annotated[int, Field(ge=0)] = 3
    recall_rescue_factor: AtLeastOne = 1.2
    recall_rescue_boost: AtLeastOne = 1.5
    use_generalization_rescue: bool = False
    all_negative_epochs: Annotated[int, Field(ge=1)] = 5


class ThresholdOptions(_Group):
    """The search for decision thresholds (``training.thresholds``)."""

    threshold_rule: Literal["constrained", "min_miss_fpr", "max_f1"] = "constrained"
    threshold_spread: NonNegative = 0.0
    threshold_target_miss: Share = 0.10
    threshold_max_fpr: Share = 0.10
    threshold_recall_gain: NonNegative = 1.0
    threshold_recall_gain_slope: NonNegative = 1.8
    threshold_fpr_penalty: NonNegative = 0.9
    threshold_center: Share = 0.78
    threshold_reg: NonNegative = 0.02
    threshold_grid_min: Share = 0.05
    threshold_grid_max: Share = 0.95
    threshold_candidates: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    use_blended_thresholds: bool = False
    threshold_generalization_weight: Share = 0.35
    optimize_thresholds: bool = True
    threshold_objective: Literal["f1", "balanced_accuracy"] = "f1"
    use_logit_offsets: bool = False

    @model_validator(mode="after")
    def _grid_is_an_interval(self) -> ThresholdOptions:
        if self.threshold_grid_min >= self.threshold_grid_max:
            raise ValueError(
                f"threshold_grid_min {self.threshold_grid_min} must lie below "
                f"threshold_grid_max {self.threshold_grid_max}"
            )
        return self


class SelectionOptions(_Group):
    """Which figure chooses the checkpoint (``training.selection``)."""

    use_generalization_score: bool = False
    generalization_score_weight: Share = 0.35
    early_stop_metric: Literal["score", "macro_f1", "macro_recall", "roc_auc", "loss"] = "score"
    early_stop_patience: Annotated[int, Field(ge=1)] = 25
    kept_epoch: Literal["best", "last"] = "best"


class DistillOptions(_Group):
    """Teacher and distillation. alpha, beta, gamma weigh the CE, logit and feature terms.

    The values that the founding notes leave open (teacher_min_*, kd_temperature, kd_d, alpha, beta,
    gamma, kd_pos_penalty, kd_teacher_conf, kd_teacher_gen_margin, teacher_embedding_dim) are ours.
    """

    use_kd: bool = False
    teacher_checkpoint: str = ""
    teacher_auto_train_epochs: Annotated[int, Field(ge=1)] = 15
    teacher_embedding_dim: Annotated[int, Field(ge=1)] = 128
    teacher_min_f1: Share = 0.5
    teacher_min_sensitivity: Share = 0.6
    alpha: NonNegative = 1.0
    beta: NonNegative = 0.5
    gamma: NonNegative = 0.1
    kd_temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 2.0
    kd_d: Annotated[int, Field(ge=1)] = 16
    kd_warmup_epochs: Epochs = 5
    kd_pause_miss: Share = 0.35
    kd_resume_miss: Share = 0.20
    kd_pos_penalty: NonNegative = 0.1
    kd_pos_target: Share = 0.6
    kd_teacher_conf: Share = 0.6
    kd_teacher_gen_margin: Share = 0.0
    kd_teacher_max_gap: Share = 0.05
    kd_gen_mix_ratio: Share = 0.0
    kd_fpr_weight: NonNegative = 0.35

    @model_validator(mode="after")
    def _resume_below_pause(self) -> DistillOptions:
        if self.kd_resume_miss > self.kd_pause_miss:
            raise ValueError(
                f"kd_resume_miss {self.kd_resume_miss} must not exceed kd_pause_miss "
                f"{self.kd_pause_miss}, or KD would pause and resume at the same miss rate"
            )
        return self


class ImbalanceOptions(_Group):
    """The complete configuration; build it with ``training.presets.resolve``.

    ``strategy_preset`` and ``strategy_strength`` record what the values were made from; they are
    not applied again.
    """

    task: Task
    strategy_preset: str = "default"
    strategy_strength: Annotated[float, Field(ge=0.0, le=3.0)] = 1.0
    weights: WeightOptions = WeightOptions()
    sampler: SamplerOptions = SamplerOptions()
    loss: LossOptions = LossOptions()
    policy: PolicyOptions = PolicyOptions()
    thresholds: ThresholdOptions = ThresholdOptions()
    selection: SelectionOptions = SelectionOptions()
    distill: DistillOptions = DistillOptions()

    @model_validator(mode="after")
    def _fits_the_task(self) -> ImbalanceOptions:
        multi_label = self.task is Task.MULTI_LABEL
        loss = self.loss.loss_type
        allowed = ("bce", "weighted_bce", "focal", "focal_bce") if multi_label else ("ce", "focal")
        if loss not in allowed:
            raise ValueError(
                f"loss_type {loss} does not fit the task {self.task}: "
                f"choose one of {', '.join(allowed)}"
            )
        if multi_label and self.weights.use_class_weights != (loss != "bce"):
            raise ValueError(
                f"loss_type {loss} with use_class_weights {self.weights.use_class_weights}: bce "
                "takes no positive weights, the other multi-label losses need them; change one"
            )
        if multi_label and self.loss.label_smoothing > 0.0:
            raise ValueError("label_smoothing is for the losses ce and focal, not for multi-label")
        if multi_label and self.distill.use_kd:
            raise ValueError("use_kd is not available in multi-label tasks: leave it off")
        if self.sampler.force_balanced_batches and self.task is not Task.BINARY:
            raise ValueError(
                f"force_balanced_batches makes batches of two classes, the task is {self.task}: "
                "use use_weighted_sampler with target_mix instead"
            )
        if self.sampler.sampler_method == "boost" and self.task is Task.FOUR_CLASS:
            raise ValueError("sampler_method boost is for binary tasks: choose target_mix or power")
        return self

    @property
    def uses_unseen_records(self) -> bool:
        """Whether held-out records take part in choosing anything, so their figures are no test."""
        return (
            self.policy.use_generalization_rescue
            or self.selection.use_generalization_score
            or self.thresholds.use_blended_thresholds
            or (self.distill.use_kd and self.distill.kd_gen_mix_ratio > 0.0)
        )


GROUPS: dict[str, type[BaseModel]] = {
    "weights": WeightOptions,
    "sampler": SamplerOptions,
    "loss": LossOptions,
    "policy": PolicyOptions,
    "thresholds": ThresholdOptions,
    "selection": SelectionOptions,
    "distill": DistillOptions,
}
