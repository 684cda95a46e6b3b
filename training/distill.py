"""Distillation: the loss with a teacher's logits and features beside the labels.

``alpha·CE + beta·T²·KL(softmax(z_T/T) ‖ softmax(z_S/T)) + gamma·MSE(norm(P_T f_T), norm(P_S h))``
(Hinton et al. 2015, section 2, and Romero et al. 2015, eq. 3 for the features), the last two only
on samples that the teacher gets right with enough confidence, and a penalty on abnormal samples
whose probability stays below ``kd_pos_target``. Alpha, beta and gamma come with the plan of the
epoch, so that the gate (``training.policy_kd``) can close it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.loop import EpochPlan, Objective
from training.options import DistillOptions

TERMS = ("ce", "kd_logits", "kd_features", "kd_margin")
"""Terms of the loss: labels, the teacher's logits, its features, the positive-margin penalty."""


class Distillation(nn.Module):
    """The objective of a distilled student, with its two learned projections.

    Args:
        plain: the loss of the labels alone.
        label: class of every sample ``(n,)``.
        teacher_logits: ``(n, classes)``.
        teacher_features: ``(n, embedding)``.
        num_features: channels of the student's features.
        options: the distillation group.
        generator: for the projections.
    """

    label: Tensor
    teacher_logits: Tensor
    teacher_features: Tensor
    sums: Tensor

    def __init__(
        self,
        plain: Objective,
        label: Tensor,
        teacher_logits: Tensor,
        teacher_features: Tensor,
        *,
        num_features: int,
        options: DistillOptions,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.plain, self.options = plain, options
        self.register_buffer("label", label)
        self.register_buffer("teacher_logits", teacher_logits)
        self.register_buffer("teacher_features", teacher_features)
        self.project_teacher = _projection(teacher_features.shape[1], options.kd_d, generator)
        self.project_student = _projection(num_features, options.kd_d, generator)
        self.register_buffer("sums", torch.zeros(len(TERMS)), persistent=False)
        self.batches = 0

    def forward(
        self,
        logits: Tensor,
        features: Tensor,
        batch: Tensor,
        class_weights: Tensor,
        plan: EpochPlan,
    ) -> Tensor:
        """Scalar loss of a batch; plain cross-entropy where beta and gamma are 0."""
        loss = plan.alpha * self.plain(logits, features, batch, class_weights, plan)
        self.batches += 1
        if plan.beta == 0.0 and plan.gamma == 0.0:
            self.sums[0] += loss.detach()
            return loss
        options, label = self.options, self.label[batch]
        taught = self.teacher_logits[batch]
        usable = trusted(taught, label, options.kd_teacher_conf).float()
        count = usable.sum().clamp(min=1.0)
        by_logits = plan.beta * soft_targets(logits, taught, options.kd_temperature)
        by_features = plan.gamma * self.feature_distance(features, self.teacher_features[batch])
        abnormal = (label > 0).float()
        margin = functional.relu(options.kd_pos_target - 1.0 + logits.softmax(-1)[:, 0])
        terms = torch.stack(
            [
                loss,
                (by_logits * usable).sum() / count,
                (by_features * usable).sum() / count,
                options.kd_pos_penalty * (margin * abnormal).sum() / abnormal.sum().clamp(min=1.0),
            ]
        )
        self.sums += terms.detach()
        return terms.sum()

    def take_terms(self) -> dict[str, float]:
        """Mean of every term of the loss since the last call, as weighted: they add up to it."""
        means = (self.sums / max(self.batches, 1)).tolist()
        self.sums.zero_()
        self.batches = 0
        return dict(zip(TERMS, means, strict=True))

    def feature_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean square between the normalised projections, ``(batch,)``."""
        ours = functional.normalize(functional.linear(student, self.project_student), dim=-1)
        theirs = functional.normalize(functional.linear(teacher, self.project_teacher), dim=-1)
        return (ours - theirs).square().mean(-1)


def soft_targets(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """``T²·KL(softmax(z_T/T) ‖ softmax(z_S/T))`` of every sample, ``(batch,)``."""
    ours = functional.log_softmax(logits / temperature, dim=-1)
    theirs = functional.log_softmax(taught / temperature, dim=-1)
    return temperature**2 * (theirs.exp() * (theirs - ours)).sum(-1)


def trusted(taught: Tensor, label: Tensor, confidence: float) -> Tensor:
    """Where the teacher is right with at least this probability, ``(batch,)``."""
    probability, called = taught.softmax(-1).max(-1)
    return (called == label) & (probability >= confidence)


def _projection(inputs: int, outputs: int, generator: torch.Generator) -> nn.Parameter:
    bound = 1.0 / math.sqrt(inputs)
    return nn.Parameter((torch.rand(outputs, inputs, generator=generator) * 2 - 1) * bound)
