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
from training.problem import seeded
from training.rebalancing import plan_rebalancing
from training.teacher import WIDTH, ResNet1d, teach, train_teacher

TEACHER = 2
"""Purpose of the teacher's random streams."""
INITIAL, PROJECTIONS, TEACHER_BATCHES = 0, 1, 2
"""Parts of that purpose; batches come last, one number per teacher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one teacher says of every sample, and where its weights are."""

    logits: Tensor
    features: Tensor
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """The teachers of a run, and how they are judged.

    Attributes:
        lessons: one per learner. With folds, each fold's teacher has seen as little of the fold as
            its student, and the last one, of the refit, has learned from all.
        logits: ``(n, classes)``; of a validation sample by a teacher that has not learned from it.
        decision: the teacher's own, at its swept threshold.
        figures: what the gate looks at.
    """

    lessons: tuple[Lesson, ...]
    logits: Tensor
    decision: Decision
    figures: TeacherFigures

    @property
    def file(self) -> Path:
        """Weights of the teacher that the final student learns from."""
        return self.lessons[-1].file


def prepare_teacher(
    samples: Samples,
    split: Split,
    classes: tuple[str, ...],
    options: ImbalanceOptions,
    *,
    seed: int,
    on_step: Callable[[int], None] = lambda _: None,
) -> Teaching:
    """The teachers that the options ask for, judged at their own threshold.

    Args:
        samples: every sample.
        split: who trains and who validates; with folds there is a teacher for each, and one more.
        classes: class names.
        options: class weights, distillation, threshold search.
        seed: of the teachers' weights and batches.
        on_step: called with 1 after every step of their training.

    Raises:
        ConfigError: a mix of test records that is not offered, or a teacher file that is missing
            or does not fit.
    """
    distill = options.distill
    if split.folds and distill.teacher_checkpoint:
        raise ConfigError(
            f"teacher_checkpoint with split {split.name}: each of its {len(split.folds)} folds "
            "needs a teacher that has not seen it, and one file cannot be all of them; leave it "
            "out (trained teachers are cached), or use a split with a validation share"
        )
    if distill.kd_gen_mix_ratio > 0.0:
        raise ConfigError(
            f"kd_gen_mix_ratio {distill.kd_gen_mix_ratio:g}: records that test are not mixed into "
            "training here; leave it at 0"
        )
    label = samples.label.cpu().numpy()
    learned = [split.fold(k).train for k in range(len(split.folds))] or [split.train]
    held_out = split.folds or (split.val,)
    final = [split.learned] if split.folds else []
    lessons = tuple(
        _lesson(samples, index, classes, options, seed=seed, part=part, on_step=on_step)
        for part, index in enumerate(learned + final)
    )
    said = [lesson.logits.cpu().numpy() for lesson in lessons]
    judged = said[-1].copy()
    for own, fold in zip(said, held_out, strict=False):  # the last one holds nothing out
        judged[fold] = own[fold]
    val = np.concatenate(held_out)
    decision = choose_decision(judged[val], label[val], classes, options)
    own_train = [own[index] for own, index in zip(said, learned, strict=False)]
    train = np.concatenate(own_train), label[np.concatenate(learned)]
    return Teaching(
        lessons=lessons,
        logits=torch.from_numpy(judged),
        decision=decision,
        figures=teacher_figures(decision, (judged[val], label[val]), train),
    )


def _lesson(
    samples: Samples,
    index: np.ndarray,
    classes: tuple[str, ...],
    options: ImbalanceOptions,
    *,
    seed: int,
    part: int,
    on_step: Callable[[int], None],
) -> Lesson:
    """The teacher that learns from ``index``: from its file, from the cache, or trained."""
    distill, label = options.distill, samples.label.cpu().numpy()
    signal = next(iter(samples.inputs.values()))
    teacher = ResNet1d(
        signal.shape[2], len(classes), distill.teacher_embedding_dim, seeded(seed, TEACHER, INITIAL)
    ).to(samples.label.device)
    if distill.teacher_checkpoint:
        file = Path(distill.teacher_checkpoint)
        _read(teacher, file)
    else:
        counts = np.bincount(label[index], minlength=len(classes))
        weights = np.asarray(plan_rebalancing(counts, classes, options).full_class_weights)
        key = _key(signal, label, index, weights, distill.teacher_auto_train_epochs, seed, part)
        file = cache_directory() / f"teacher-{distill.teacher_embedding_dim}-{key}.safetensors"
        if file.is_file():
            _read(teacher, file)
        else:
            train_teacher(
                teacher,
                samples,
                index,
                weights,
                epochs=distill.teacher_auto_train_epochs,
                generator=seeded(seed, TEACHER, TEACHER_BATCHES + part),
                on_step=on_step,
            )
            values = {n: v.cpu().contiguous() for n, v in teacher.state_dict().items()}
            with atomic_write(file) as temporary:
                temporary.write_bytes(save(values))
    logits, features = teach(teacher, samples)
    return Lesson(logits=logits, features=features, file=file)


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
