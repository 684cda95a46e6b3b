"""The teacher of distillation: a one-dimensional ResNet18 that no chip has to hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.loop import Samples
from training.samplers import shuffled_indices

WIDTH = 32
"""Channels of the first stage; with four stages of doubling width about 0.96 M parameters."""


class _Block(nn.Module):
    """Two convolutions and a short cut (He et al. 2016, figure 2)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm1d(out)
        self.conv2 = nn.Conv1d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(out)
        self.short: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.short = nn.Sequential(
                nn.Conv1d(channels, out, 1, stride, bias=False), nn.BatchNorm1d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.short(x))


class ResNet1d(nn.Module):
    """ResNet18 on signals: ``(batch, channels, samples)`` → logits and features.

    Args:
        channels: channels of the input.
        num_classes: logits.
        embedding_dim: size of the features, one linear layer behind the last mean.
        generator: for the initial values.
    """

    def __init__(
        self, channels: int, num_classes: int, embedding_dim: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        widths = [WIDTH * 2**i for i in range(4)]
        self.stem = nn.Sequential(
            nn.Conv1d(channels, WIDTH, 7, 2, 3, bias=False),
            nn.BatchNorm1d(WIDTH),
            nn.ReLU(),
            nn.MaxPool1d(3, 2, 1),
        )
        blocks, before = [], WIDTH
        for stage, width in enumerate(widths):
            blocks += [_Block(before, width, 1 if stage == 0 else 2), _Block(width, width, 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.embed = nn.Linear(before, embedding_dim)
        self.head = nn.Linear(embedding_dim, num_classes)
        _initialise(self, generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(batch, classes)`` and features ``(batch, embedding_dim)``."""
        features = functional.relu(self.embed(self.blocks(self.stem(x)).mean(-1)))
        return self.head(features), features


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv1d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", generator=generator)
        elif isinstance(part, nn.Linear):
            bound = 1.0 / math.sqrt(part.in_features)
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            nn.init.uniform_(part.bias, -bound, bound, generator=generator)


def train_teacher(
    teacher: ResNet1d,
    samples: Samples,
    index: np.ndarray,
    class_weights: np.ndarray,
    *,
    epochs: int,
    generator: torch.Generator,
    batch_size: int = 128,
    on_step: Callable[[int], None] = lambda _: None,
) -> None:
    """Train in place: cross-entropy, AdamW, one cycle up to 3e-3.

    Args:
        teacher: on the device of the samples.
        samples: every sample; the teacher sees the first input.
        index: samples to learn from.
        class_weights: the same as the student's, ``(classes,)``.
        epochs: passes over them.
        generator: draws the batches.
        batch_size: samples per step.
        on_step: called with 1 after every step.
    """
    steps = max(1, round(len(index) / batch_size))
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-3, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps * epochs + 1)
    label = samples.label
    members = torch.as_tensor(index, device=label.device)
    weights = torch.as_tensor(class_weights, dtype=torch.float32, device=label.device)
    signal = signals(samples)
    teacher.train()
    for _ in range(epochs):
        drawn = shuffled_indices(len(index), steps, batch_size, generator).to(label.device)
        for batch in members[drawn]:
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(teacher(signal[batch])[0], label[batch], weights)
            loss.backward()
            optimizer.step()
            schedule.step()
            on_step(1)
    teacher.eval()


def signals(samples: Samples) -> Tensor:
    """The first input as ``(n, channels, samples)``."""
    return next(iter(samples.inputs.values())).transpose(1, 2)


@torch.no_grad()
def teach(teacher: ResNet1d, samples: Samples, batch_size: int = 1024) -> tuple[Tensor, Tensor]:
    """Logits ``(n, classes)`` and features ``(n, embedding_dim)`` of every sample."""
    teacher.eval()
    parts = [teacher(part) for part in signals(samples).split(batch_size)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
