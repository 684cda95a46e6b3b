"""From configuration and data to a problem that a fit can solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from photonic.errors import ConfigError
from photonic.layers import ExactCore
from photonic.profile import HardwareProfile, load_profile
from training.config import HardwareOptions, RunConfig
from training.distill import Distillation
from training.loop import EpochPlan, Objective, Samples
from training.losses import build_loss, cross_entropies
from training.noise import NoisePlan, deployed_core, has_noise
from training.options import ImbalanceOptions
from training.problem import WEIGHTS, Problem, Stage, seeded
from training.teaching import PROJECTIONS, TEACHER, prepare_teacher
from training.workloads import Dataset, task_of, workload


def build_problem(
    name: str,
    config: RunConfig,
    data: Dataset,
    on_step: Callable[[int], None] = lambda _: None,
) -> Problem:
    """What is to be learned, from configuration and data; with distillation, the teacher too.

    Raises:
        ConfigError: a device that this machine lacks, or a profile with neither bits nor noise.
        ProfileError: no such profile, or a bad one.
    """
    device = _device(config.optim.device)
    samples = Samples(
        inputs={n: torch.from_numpy(np.ascontiguousarray(x)) for n, x in data.inputs.items()},
        label=torch.from_numpy(data.label),
    ).to(device)
    build, imbalance = workload(name).build, config.imbalance(task_of(data.classes))
    objective, teaching, taught = objective_of(samples, imbalance), None, ()
    if imbalance.distill.use_kd:
        teaching = prepare_teacher(
            samples, data.split, data.classes, imbalance, seed=config.seed, on_step=on_step
        )
        student = build(config, len(data.classes), seeded(config.seed, WEIGHTS))
        num_features = student.program().shapes()[student.features][1]
        taught = tuple(
            Distillation(
                objective,
                samples.label,
                lesson.logits,
                lesson.features,
                num_features=num_features,
                options=imbalance.distill,
                generator=seeded(config.seed, TEACHER, PROJECTIONS),
            ).to(device)
            for lesson in teaching.lessons
        )
    return Problem(
        samples=samples,
        classes=data.classes,
        split=data.split,
        imbalance=imbalance,
        optim=config.optim,
        stages=stages_of(config),
        teaching=teaching,
        build=lambda generator: build(config, len(data.classes), generator),
        objective=objective,
        part_objectives=taught,
        seed=config.seed,
        transform=workload(name).transform(config),
        record=data.record,
    )


def _device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        ConfigError: no such device, here or at all.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r}: choose cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name!r}: this machine has no CUDA device")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name!r}: this machine has {torch.cuda.device_count()} of CUDA")
    return device


def objective_of(samples: Samples, options: ImbalanceOptions) -> Objective:
    """The configured loss of the samples' own labels."""
    loss = build_loss(options)
    smoothing = options.loss.label_smoothing

    def objective(
        logits: torch.Tensor,
        features: torch.Tensor,
        batch: torch.Tensor,
        class_weights: torch.Tensor,
        plan: EpochPlan,
    ) -> torch.Tensor:
        return loss(logits, samples.label[batch], class_weights)

    def plain(
        logits: torch.Tensor,
        features: torch.Tensor,
        batch: torch.Tensor,
        class_weights: torch.Tensor,
        plan: EpochPlan,
    ) -> torch.Tensor:
        label = samples.label[batch]
        return cross_entropy(logits, label, class_weights, label_smoothing=smoothing)

    def of_members(
        logits: torch.Tensor, batch: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return cross_entropies(logits, samples.label[batch], weights, label_smoothing=smoothing)

    if options.loss.loss_type != "ce":
        return objective
    plain.of_members = of_members
    # torch's own is the same as losses.cross_entropy in a third of the time.
    return plain


def stages_of(config: RunConfig) -> tuple[Stage, ...]:
    """Float first, with plain noise where it is asked for; then the hardware.

    Raises:
        ConfigError: a profile with neither bits nor noise.
        ProfileError: no such profile, or a bad one.
    """
    optim, hardware = config.optim, config.hardware
    injected = None
    if hardware.weight_noise or hardware.activation_noise:
        injected = NoisePlan(
            weight_sigma=hardware.weight_noise,
            activation_sigma=hardware.activation_noise,
            warmup_epochs=min(hardware.noise_warmup_epochs, optim.max_epochs - 1),
        )
    first = Stage(
        name="float",
        core=ExactCore,
        lr=optim.lr,
        schedule=optim.schedule,
        max_epochs=optim.max_epochs,
        min_epochs=optim.min_epochs,
        noise=injected,
    )
    stages = [first]
    if config.distill.use_kd:
        # Both begin where the first ended and differ in the teacher alone.
        full = injected and replace(injected, warmup_epochs=0)
        control = replace(first, name="control", start=0, by_miss=True, noise=full)
        stages += [control, replace(control, name="distilled", teaches=True)]
    if hardware.profile is None:
        return tuple(stages)
    return *stages, _on_hardware(load_profile(hardware.profile), hardware, optim.device)


def _on_hardware(profile: HardwareProfile, options: HardwareOptions, device: str) -> Stage:
    """Fine-tuning with the profile's bits, on its chips where they differ from each other."""
    noise = None
    if options.noise and has_noise(profile):
        noise = NoisePlan(
            profile=profile,
            num_chips=options.noise_chips,
            warmup_epochs=min(options.noise_warmup_epochs, options.qat_epochs - 1),
        )
    elif profile.converters() is None:
        raise ConfigError(
            f"profile {profile.name!r} gives no bits for input, weight and output"
            f"{' and no errors or noise' if options.noise else ''}, so there is nothing to train "
            "with: choose another profile or leave it out"
        )
    return Stage(
        name=profile.name,
        core=lambda: deployed_core(profile, device),
        lr=options.qat_lr,
        schedule="plateau",
        max_epochs=options.qat_epochs,
        min_epochs=options.qat_epochs,
        noise=noise,
        overflow_weight=options.overflow_weight,
    )
