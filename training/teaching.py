"""A teacher made ready: read from a file or the cache, or trained; and what it says of samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from photonic.decision import Decision
from photonic.errors import ConfigError
from photonic.files import atomic_write
from training.data.cache import cache_directory
from training.data.splits import Split
from training.evaluate import choose_decision
from training.judge import teacher_figures
from training.loop import Samples
from training.options import ImbalanceOptions
from training.policy_kd import TeacherFigures
from training.problem import BATCHES, seeded
from training.rebalancing import plan_rebalancing
from training.teacher import WIDTH, ResNet1d, teach, train_teacher

TEACHER = 2
"""Purpose of the teacher's random streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """A teacher's logits and features of every sample, its decision, and its figures.

    ``file`` is where its weights are.
    """

    logits: Tensor
    features: Tensor
    decision: Decision
    figures: TeacherFigures
    file: Path


def prepare_teacher(
    samples: Samples,
    split: Split,
    classes: tuple[str, ...],
    options: ImbalanceOptions,
    *,
    seed: int,
    on_step: Callable[[int], None] = lambda _: None,
) -> Teaching:
    """The teacher that the options ask for, judged at its own threshold.

    Args:
        samples: every sample.
        split: who trains and who validates; a validation share, no folds.
        classes: class names.
        options: class weights, distillation, threshold search.
        seed: of the teacher's weights and batches.
        on_step: called with 1 after every step of its training.

    Raises:
        ConfigError: a split with folds, a mix of test records that is not offered, or a teacher
            file that is missing or does not fit.
    """
    distill = options.distill
    if split.folds:
        raise ConfigError(
            f"use_kd with split {split.name}: each fold would need a teacher that has not seen it; "
            "use a split with a validation share (seed, or lists with val_records)"
        )
    if distill.kd_gen_mix_ratio > 0.0:
        raise ConfigError(
            f"kd_gen_mix_ratio {distill.kd_gen_mix_ratio:g}: records that test are not mixed into "
            "training here; leave it at 0"
        )
    signal = next(iter(samples.inputs.values()))
    device = samples.label.device
    teacher = ResNet1d(
        signal.shape[2], len(classes), distill.teacher_embedding_dim, seeded(seed, TEACHER)
    ).to(device)
    label = samples.label.cpu().numpy()
    counts = np.bincount(label[split.train], minlength=len(classes))
    weights = np.asarray(plan_rebalancing(counts, classes, options).class_weights)
    if distill.teacher_checkpoint:
        file = Path(distill.teacher_checkpoint)
        _read(teacher, file)
    else:
        key = _key(signal, label, split.train, weights, distill.teacher_auto_train_epochs, seed)
        file = cache_directory() / f"teacher-{distill.teacher_embedding_dim}-{key}.safetensors"
        if file.is_file():
            _read(teacher, file)
        else:
            train_teacher(
                teacher,
                samples,
                split.train,
                weights,
                epochs=distill.teacher_auto_train_epochs,
                generator=seeded(seed, BATCHES, TEACHER),
                on_step=on_step,
            )
            values = {n: v.cpu().contiguous() for n, v in teacher.state_dict().items()}
            with atomic_write(file) as temporary:
                temporary.write_bytes(save(values))
    logits, features = teach(teacher, samples)
    said = logits.cpu().numpy()
    seen = said[split.val], label[split.val]
    decision = choose_decision(*seen, classes, options)
    return Teaching(
        logits=logits,
        features=features,
        decision=decision,
        figures=teacher_figures(decision, seen, (said[split.train], label[split.train])),
        file=file,
    )


def _read(teacher: ResNet1d, file: Path) -> None:
    try:
        teacher.load_state_dict(load_file(file))
    except FileNotFoundError:
        raise ConfigError(f"teacher_checkpoint {file}: no such file") from None
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"teacher {file}: not the weights of this teacher: {reason}") from None


def _key(
    signal: Tensor, label: np.ndarray, index: np.ndarray, weights: np.ndarray, *numbers: int
) -> str:
    """What a trained teacher depends on, as a short hash."""
    digest = hashlib.sha256()
    for part in (signal[torch.as_tensor(index)].cpu().numpy(), label[index], weights):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(repr((WIDTH, *numbers)).encode())
    return digest.hexdigest()[:20]
