"""Plain noise on a student's weights and activations: its size, its place, and its absence."""

from __future__ import annotations

import pytest
import torch

from photonic.devices.core import DeviceCore
from photonic.errors import ConfigError
from photonic.layers import ConstrainedLinear
from photonic.profile import load_profile
from photonic.program import Activation, Input, Linear, Mean, Patch, Window
from photonic.students import PatchConfig, SegmentConfig, Student, patch_student, segment_student
from photonic.students.injection import Injection


def pooled(num_means: int, size: int) -> Student:
    """Patches → one 4×4 layer of tanh → means, and a head, as the fused path likes them."""
    ranges = tuple((i * size, (i + 1) * size) for i in range(num_means))
    generator = torch.Generator().manual_seed(0)
    return Student(
        inputs=(Input(name="x", tokens=4 * size * num_means, channels=1),),
        steps=(
            Window(out="all", source="x", start=0, stop=4 * size * num_means),
            Patch(out="patches", source="all", size=4, stride=4),
            Linear(out="sums", source="patches", layer="one"),
            Activation(out="values", source="sums", kind="tanh"),
            Mean(out="means", source="values", ranges=ranges),
            Linear(out="logits", source="means", layer="head"),
        ),
        output="logits",
        features="means",
        layers={
            "one": ConstrainedLinear(4, 4, generator=generator),
            "head": ConstrainedLinear(4, 2, generator=generator),
        },
    )


def injection(**sigmas) -> Injection:
    return Injection(**{"weight_sigma": 0.0, "activation_sigma": 0.0, "seed": 0, **sigmas})


def test_a_mean_of_disturbed_activations_has_their_noise_over_root_n():
    student = pooled(1, 25).train()
    assert student.chains  # noise behind the fused operation stands for noise inside it
    x = torch.zeros(4000, 100, 1)
    clean = student({"x": x})[1]
    student.injection = injection(activation_sigma=0.1)
    with torch.no_grad():
        noise = student({"x": x})[1] - clean
        assert float(noise.std()) == pytest.approx(0.1 / 5, rel=0.03)
        student.chains, student.rest = (), student.steps
        noise = student({"x": x})[1] - clean
    assert float(noise.std()) == pytest.approx(0.1 / 5, rel=0.03)


def test_weights_are_disturbed_once_per_step_in_front_of_the_gain():
    student = pooled(1, 1).train()
    student.injection = injection(weight_sigma=0.05)
    affine, sizes = [], []
    with torch.no_grad():
        for _ in range(400):
            values = student.affine(student.raw(), student.injection.weight)
            affine.append(values["one"][0])
            sizes.append(values["one"][1])
        gain = float(student.layers["one"].values()[2])
    assert float(torch.stack(affine).std(0).mean()) == pytest.approx(0.05 * gain, rel=0.03)
    assert torch.equal(sizes[0], sizes[-1])  # the bias is digital
    logits = student({"x": torch.full((8, 4, 1), 0.5)})[0]
    assert torch.allclose(logits, logits[:1].expand_as(logits))


@pytest.mark.parametrize(
    "student",
    [
        segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(0)),
        segment_student(
            SegmentConfig(num_classes=2, activation="relu"), torch.Generator().manual_seed(0)
        ),
        patch_student(PatchConfig(num_classes=2, dropout=0.0), torch.Generator().manual_seed(0)),
    ],
    ids=["segment", "segment relu", "patch"],
)
def test_only_training_is_disturbed_and_gradients_stay_finite(student):
    generator = torch.Generator().manual_seed(1)
    inputs = {
        i.name: torch.rand(6, i.tokens, i.channels, generator=generator) for i in student.inputs
    }
    student.injection = None
    clean = student.eval()(inputs)[0]
    for sigma in ("weight_sigma", "activation_sigma"):
        student.injection = injection(**{sigma: 0.05})
        assert torch.equal(student.eval()(inputs)[0], clean)
        student.train()
        one, two = student(inputs)[0], student(inputs)[0]
        assert not torch.equal(one, clean)
        assert not torch.equal(one, two)
        two.square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in student.parameters() if p.requires_grad)


def test_what_cannot_be_honoured_is_refused():
    with pytest.raises(ConfigError, match=r"noise of -0\.1: at least 0"):
        injection(weight_sigma=-0.1)
    with pytest.raises(ConfigError, match="warm-up of -1 steps"):
        injection(warmup_steps=-1)
    student = pooled(1, 1).train()
    student.core = DeviceCore(load_profile("generic_8bit"), seed=0)
    student.injection = injection(weight_sigma=0.1)
    with pytest.raises(ConfigError, match="injected noise is for the exact core"):
        student({"x": torch.zeros(2, 4, 1)})
