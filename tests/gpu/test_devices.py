"""Chips on a GPU are the chips of the CPU: errors, realised matrices, products, gradients, scores.

Needs torch, numpy, pydantic, pytest and hypothesis; no data.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photonic.decision import Decision
from photonic.devices import device_for
from photonic.devices.core import DeviceCore
from photonic.devices.mesh import decompose, mesh_layout, reconstruct
from photonic.devices.read_noise import ChipStreams
from photonic.devices.readout import forward
from photonic.execute import run_float
from photonic.profile import HardwareProfile, load_profile, parse_profile
from photonic.simulate import simulate
from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student
from photonic.students.injection import Injection
from photonic.sweep import SweepData, sweep
from photonic.sweep.run import Resources

pytestmark = pytest.mark.gpu

POWERS = {"encoding": "intensity-differential"}
KINDS = {
    "generic": {"weight": {"programming_sigma": 0.03}, "output": {"gain_sigma": 0.02}},
    "mzi": {
        "optics": {"phase_bits": 8, "phase_sigma_rad": 0.02, "splitter_sigma_rad": 0.02},
        "heater": {"crosstalk": 0.002}, "input": {"extinction_ratio_db": 25.0},
    },
    "mrr": {
        "ring": {"spacing": 20.0, "max_detuning": 8.0, "tuning_sigma": 0.03}, "input": POWERS,
        "output": {"offset_sigma": 0.01},
    },
    "pcm": {"pcm": {"level_bits": 4, "cell_sigma": 0.01}, "input": POWERS},
}  # fmt: skip


def profile_of(kind: str) -> HardwareProfile:
    """Static errors of every sort, neither converters nor read noise."""
    data = {"name": "test", "description": "x", "kind": kind, **KINDS[kind]}
    return parse_profile(data, where="test")


def matrices(num: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.9, 0.9, (num, 4, 4))


def make_student(name: str):
    generator = torch.Generator().manual_seed(0)
    if name == "patch":
        return patch_student(PatchConfig(num_classes=2, dropout=0.0), generator)
    return segment_student(SegmentConfig(num_classes=2), generator)


def beats(student, num: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        i.name: rng.uniform(-1, 1, (num, i.tokens, i.channels)).astype(np.float32)
        for i in student.inputs
    }


@pytest.mark.parametrize("kind", KINDS)
def test_chip_17_realises_the_same_matrices(kind, device):
    core = device_for(profile_of(kind))
    settings = core.compile(matrices(3))
    here = core.static_errors(0, [17], 3)
    there = {
        name: values.to(device) for name, values in core.static_errors(0, range(20), 3).items()
    }
    for name, values in here.items():
        assert torch.equal(values[0], there[name][17].cpu()), name
    one, all_of_them = core.transfer(settings, here), core.transfer(settings, there)
    assert all_of_them.matrix.device.type == torch.device(device).type
    for name in ("matrix", "quadrature", "power", "offset"):
        mine, theirs = getattr(one, name), getattr(all_of_them, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            row = theirs[17 % len(theirs)].cpu()
            assert (mine[0] - row).abs().max() <= 1e-12, name


@pytest.mark.parametrize("kind", KINDS)
def test_one_core_answers_the_same(kind, device):
    core = device_for(profile_of(kind))
    settings, x = core.compile(matrices(1)), torch.linspace(-1, 1, 400).view(1, 100, 4)
    errors = core.static_errors(0, range(5), 1)
    here = forward(core, x, core.transfer(settings, errors).blocks(slice(0, 1)))
    moved = {name: values.to(device) for name, values in errors.items()}
    there = forward(core, x.to(device), core.transfer(settings, moved).blocks(slice(0, 1)))
    assert (here - there.cpu()).abs().max() <= 2e-6


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_in_settings_and_errors_are_those_of_the_cpu(kind, device):
    core = device_for(profile_of(kind))
    plain = core.compile(matrices(2))

    def gradients(on: str) -> list[torch.Tensor]:
        settings = {
            name: torch.as_tensor(v, dtype=torch.float64).to(on).requires_grad_()
            for name, v in plain.items()
        }
        errors = {
            name: v.double().to(on).requires_grad_()
            for name, v in core.static_errors(0, range(3), 2).items()
        }
        core.transfer(settings, errors).matrix.square().sum().backward()
        leaves = [*settings.values(), *errors.values()]
        return [leaf.grad.cpu() for leaf in leaves if leaf.grad is not None]

    here, there = gradients("cpu"), gradients(device)
    assert len(here) == len(there) > 0
    for mine, theirs in zip(here, there, strict=True):
        assert torch.isfinite(theirs).all()
        assert (mine - theirs).abs().max() <= 1e-9


def test_meshes_of_complex_unitaries_reach_a_gpu(device):
    from photonic.devices.coherent import mesh_transfer

    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, 50, 4, 4))
    random = np.linalg.qr(z[0] + 1j * z[1])[0]
    special = np.stack([np.eye(4), np.eye(4)[::-1], np.eye(4)[[1, 0, 3, 2]]]).astype(complex)
    for kind in ("clements", "reck"):
        unitaries = np.concatenate([random, special])
        phases = decompose(unitaries, kind)
        assert np.abs(reconstruct(phases, kind) - unitaries).max() <= 1e-12
        assert phases.theta.shape[-1] == len(mesh_layout(kind, 4).modes)
        on_device = (torch.from_numpy(p).to(device) for p in (phases.theta, phases.phi, phases.out))
        got = mesh_transfer(kind, *on_device).cpu().numpy()
        assert np.abs(got - unitaries).max() <= 1e-12


@pytest.mark.parametrize("name", ["segment", "patch"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_simulation_gives_the_logits_of_the_cpu(kind, name, device):
    student = make_student(name)
    program, inputs = student.program(), beats(student, 100)
    for chips in (None, range(6)):
        here = simulate(program, profile_of(kind), inputs, chips=chips)
        there = simulate(program, profile_of(kind), inputs, chips=chips, on=device)
        assert np.abs(here - there).max() <= 2e-5
    alone = simulate(program, profile_of(kind), inputs, chips=[4], on=device)
    assert np.abs(alone[0] - there[4]).max() <= 2e-5


def test_codes_without_noise_are_those_of_the_cpu(device):
    student = make_student("segment")
    program, inputs = student.program(), beats(student, 200)
    profile = load_profile("lab_ecg_5bit")
    here = simulate(program, profile, inputs, chips=None)
    there = simulate(program, profile, inputs, chips=None, on=device)
    # tanh of another library may fall on the other side of a rounding boundary.
    assert (here == there).mean() > 0.999


def test_read_noise_is_seeded_per_chip_and_as_large_as_asked_for(device):
    like = torch.zeros(1, device=device)
    drawn = ChipStreams.of_chips(0, range(3), 0, device).normal((3, 4, 20_000), 0.1, like)
    again = ChipStreams.of_chips(0, [2], 0, device).normal((1, 4, 20_000), 0.1, like)
    assert torch.equal(drawn[2], again[0])
    assert float(drawn.std()) == pytest.approx(0.1, rel=0.02)
    assert not torch.equal(drawn[0], drawn[1])
    student = make_student("segment")
    program, inputs = student.program(), beats(student, 50)
    profile = load_profile("lab_ecg_5bit_impaired")
    noisy = simulate(program, profile, inputs, chips=range(3), on=device)
    assert np.array_equal(noisy, simulate(program, profile, inputs, chips=range(3), on=device))
    here = simulate(program, profile, inputs, chips=range(3))
    assert abs(noisy.std() - here.std()) <= 0.2 * here.std()  # other numbers of the same size


def test_a_sweep_counts_what_the_cpu_counts(device):
    student = make_student("segment")
    program, inputs = student.program(), beats(student, 300)
    logits = run_float(program, inputs, np.float32)
    threshold = float(1 / (1 + np.exp(-np.median(logits[:, 1] - logits[:, 0]))))
    decision = Decision(kind="threshold", classes=("N", "A"), threshold=threshold)
    data = SweepData(inputs=inputs, labels=decision(logits), decision=decision, metric="f1")
    vary = {"weight.programming_sigma": [0.0, 0.1]}

    def scores(on: str) -> list[np.ndarray]:
        points = sweep(
            program, load_profile("ideal"), data, vary=vary, num_chips=8,
            resources=Resources(num_workers=1, on=on),
        )  # fmt: skip
        return [point.scores for point in points]

    for here, there in zip(scores("cpu"), scores(device), strict=True):
        assert np.abs(here - there).max() <= 0.02  # beats whose margin is nothing but rounding


@pytest.mark.parametrize("name", ["segment", "patch"])
@pytest.mark.parametrize("noise", ["none", "plain", *KINDS])
def test_a_student_learns_on_the_device(noise, name, device):
    student = make_student(name).to(device).train()
    advance = None
    if noise == "plain":
        student.injection = Injection(
            weight_sigma=0.02, activation_sigma=0.02, seed=0, warmup_steps=3, on=device
        )
        advance = student.injection.advance
    elif noise != "none":
        student.core = DeviceCore(profile_of(noise), seed=0, num_chips=2, on=device).train()
        advance = student.core.advance
    inputs = {n: torch.from_numpy(x).to(device) for n, x in beats(student, 64).items()}
    label = (inputs["beat"][:, 150:200].mean((1, 2)) > 0).long()
    optimizer = torch.optim.Adam(student.parameters(), lr=0.03, fused=True)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(student(inputs)[0], label)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if advance is not None:
            advance()
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    state = student.injection.noise.state() if noise == "plain" else None
    if state is not None:
        student.injection.noise.load_state(state)
        assert student.injection.noise.step == 12
