"""Training on chips: what a step sees, what evaluation sees, and where the gradient goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photonic.devices.core import DeviceCore
from photonic.errors import ConfigError
from photonic.layers import Core
from photonic.profile import HardwareProfile, load_profile, parse_profile
from photonic.simulate import simulate
from photonic.students import SegmentConfig, segment_student

POWERS = {"encoding": "intensity-differential", "bits": 6, "noise_sigma": 0.01}
PROFILES = {
    "generic": {
        "weight": {"bits": 5, "programming_sigma": 0.03}, "input": {"bits": 6},
        "output": {"bits": 8, "noise_sigma": 0.02},
    },
    "mzi": {
        "optics": {"phase_bits": 8, "phase_sigma_rad": 0.02, "splitter_sigma_rad": 0.02},
        "input": {"bits": 6, "extinction_ratio_db": 25.0},
        "output": {"bits": 8, "noise_sigma": 0.01},
    },
    "mrr": {
        "ring": {"spacing": 20.0, "max_detuning": 8.0, "tuning_sigma": 0.03}, "input": POWERS,
        "output": {"bits": 8},
    },
    "pcm": {
        "pcm": {"level_bits": 4, "cell_sigma": 0.01, "read_sigma": 0.01}, "input": POWERS,
        "output": {"bits": 8, "gain_sigma": 0.01, "offset_sigma": 0.01},
    },
}  # fmt: skip


def profile_of(kind: str) -> HardwareProfile:
    data = {"name": "test", "description": "x", "kind": kind, **PROFILES[kind]}
    return parse_profile(data, where="test")


def student_on(core: Core | None, num_classes: int = 3):
    student = segment_student(
        SegmentConfig(num_classes=num_classes), torch.Generator().manual_seed(0)
    )
    if core is not None:
        student.core = core
    return student


def beats(num: int) -> torch.Tensor:
    return torch.rand(num, 360, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("kind", PROFILES)
def test_evaluation_is_the_simulation_without_noise(kind):
    profile = profile_of(kind)
    student = student_on(DeviceCore(profile, seed=0)).eval()
    x = beats(50)
    with torch.no_grad():
        logits = student({"beat": x})[0].numpy()
    simulated = simulate(student.program(), profile, {"beat": x.numpy()}, chips=None)[0]
    step = profile.output.full_scale / 2**7
    # float32 here, float64 there: now and then a value falls on the other side of a boundary.
    assert (np.abs(logits - simulated) <= 1e-5).mean() > 0.98
    assert np.abs(logits - simulated).max() <= 3 * step


@pytest.mark.parametrize("kind", PROFILES)
def test_every_step_has_chips_of_its_own(kind):
    core = DeviceCore(profile_of(kind), seed=0)
    student, x = student_on(core).train(), {"beat": beats(8)}
    seen = []
    with torch.no_grad():
        for _ in range(3):
            seen.append(student(x)[0])
            core.advance()
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    again = DeviceCore(profile_of(kind), seed=0)
    student.core = again
    with torch.no_grad():
        assert torch.equal(student(x)[0], seen[0])


@pytest.mark.parametrize("kind", PROFILES)
def test_gradients_reach_every_parameter_and_are_finite(kind):
    core = DeviceCore(profile_of(kind), seed=0, num_chips=2)
    student = student_on(core).train()
    student({"beat": beats(9)})[0].square().sum().backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    total = sum(float(p.grad.abs().sum()) for p in student.parameters() if p.grad is not None)
    assert total > 0


def test_without_bits_or_errors_the_gradient_is_that_of_the_float_model():
    x = beats(6)
    plain, noisy = student_on(None), student_on(DeviceCore(load_profile("ideal"), seed=0))
    for student in (plain, noisy):
        student.train()
        student({"beat": x})[0].square().sum().backward()
    for a, b in zip(plain.parameters(), noisy.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_a_batch_is_spread_over_chips_and_keeps_its_order():
    profile = parse_profile(
        {"name": "test", "description": "x", "output": {"gain_sigma": 0.2}}, where="test"
    )
    core = DeviceCore(profile, seed=0, num_chips=4).train()
    x = torch.ones(10, 1, 4)
    weight, bias = torch.eye(4), torch.zeros(4)
    y = core.product(x, weight, bias, torch.tensor(1.0))
    assert y.shape == (10, 1, 4)
    assert torch.equal(y[0], y[2])  # three beats to a chip
    assert not torch.equal(y[2], y[3])
    assert len(torch.unique(y[:, 0, 0])) == 4


def test_layers_of_one_step_share_the_fabrication_and_not_the_programming():
    profile = parse_profile(
        {
            "name": "test", "description": "x", "output": {"gain_sigma": 0.1},
            "weight": {"programming_sigma": 0.1},
        },
        where="test",
    )  # fmt: skip
    core = DeviceCore(profile, seed=0).train()
    first, second = (core._errors(2, 1, torch.empty(0)) for _ in range(2))
    assert torch.equal(first["receiver"], second["receiver"])
    assert not torch.equal(first["element"], second["element"])
    core.advance()
    third = core._errors(2, 1, torch.empty(0))
    assert not torch.equal(first["receiver"], third["receiver"])
    assert not torch.equal(first["element"], third["element"])


def test_noise_grows_over_the_warm_up():
    profile = load_profile("ideal").with_value("output.noise_sigma", 0.1)
    core = DeviceCore(profile, seed=0, warmup_steps=4).train()
    x, strengths, sigmas = torch.zeros(5000, 1, 4), [], []
    for _ in range(6):
        strengths.append(core.noise.strength)
        y = core.product(x, torch.eye(4), torch.zeros(4), torch.tensor(1.0))
        sigmas.append(float(y.std()))
        core.advance()
    assert strengths == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert sigmas == pytest.approx([0.1 * s for s in strengths], rel=0.03)


@pytest.mark.slow
def test_training_makes_a_student_robust():
    """A few steps on chips of large errors cost less on unseen chips than as many plain ones."""
    profile = load_profile("ideal").with_value("weight.programming_sigma", 0.4)
    x = beats(128)
    truth = (x[:, 150:200, 0].mean(1) > x[:, :50, 0].mean(1)).long()
    losses = {}
    for name, core in (("plain", None), ("aware", DeviceCore(profile, seed=0, num_chips=4))):
        student = student_on(core, 2).train()
        optimizer = torch.optim.Adam(student.parameters(), lr=0.03)
        for _ in range(40):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(student({"beat": x})[0], truth).backward()
            optimizer.step()
            if core is not None:
                core.advance()
        logits = simulate(student.program(), profile, {"beat": x.numpy()}, chips=range(40))
        scores = torch.from_numpy(logits).flatten(0, 1)
        losses[name] = float(torch.nn.functional.cross_entropy(scores, truth.repeat(40)))
    assert losses["aware"] < losses["plain"]


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="warm-up of -1 steps"):
        DeviceCore(load_profile("ideal"), seed=0, warmup_steps=-1)
    with pytest.raises(ConfigError, match="0 chips per step"):
        DeviceCore(load_profile("ideal"), seed=0, num_chips=0)
