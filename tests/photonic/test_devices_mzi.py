"""Interferometers and meshes: energy, splitters, losses, phases; the numbers of the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.devices import MziDevice, device_for
from photonic.devices.coherent import (
    extinction_db,
    mean_path_elements,
    mesh_transfer,
    mzi_transfer,
    straight_power,
)
from photonic.devices.heaters import quantize_phases
from photonic.devices.mesh import MeshPhases, decompose, mesh_layout, reconstruct
from photonic.errors import ProfileError
from photonic.profile import HardwareProfile, parse_profile
from photonic.units import field_ratio_from_db

angles = st.floats(-7, 7)
splitter_errors = st.floats(-0.5, 0.5)


def profile_of(**sections) -> HardwareProfile:
    return parse_profile(
        {"name": "test", "description": "x", "kind": "mzi", **sections}, where="test"
    )


def random_phases(kind: str, size: int, batch: int, seed: int = 0) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    num = len(mesh_layout(kind, size).modes)
    shapes = [(batch, num), (batch, num), (batch, size)]
    return [torch.from_numpy(rng.uniform(0, 2 * np.pi, shape)) for shape in shapes]


def splitter(eta: float) -> np.ndarray:
    c, s = math.cos(math.pi / 4 + eta), math.sin(math.pi / 4 + eta)
    return np.array([[c, 1j * s], [1j * s, c]])


@given(angles, angles, splitter_errors, splitter_errors)
def test_the_closed_form_is_the_product_of_splitters_and_phases(theta, phi, eta_1, eta_2):
    product = (
        splitter(eta_2) @ np.diag([np.exp(1j * theta), 1]) @ splitter(eta_1)
        @ np.diag([np.exp(1j * phi), 1])
    )  # fmt: skip
    elements = mzi_transfer(torch.tensor(theta), torch.tensor(phi), eta_1, eta_2)
    got = np.array([complex(t) for t in elements]).reshape(2, 2)
    # Single-precision angles come in; the transfer itself is double.
    assert np.abs(got - product).max() <= 1e-5
    exact = mzi_transfer(
        torch.tensor(theta, dtype=torch.float64), torch.tensor(phi, dtype=torch.float64),
        eta_1, eta_2,
    )  # fmt: skip
    assert np.abs(np.array([complex(t) for t in exact]).reshape(2, 2) - product).max() <= 1e-12


@given(angles, splitter_errors, splitter_errors)
def test_power_at_the_straight_port(theta, eta_1, eta_2):
    angle = torch.tensor(theta, dtype=torch.float64)
    t11 = mzi_transfer(angle, torch.zeros(()), eta_1, eta_2)[0]
    assert float(t11.abs() ** 2) == pytest.approx(
        float(straight_power(angle, eta_1, eta_2)), abs=1e-12
    )


def test_zero_crosses_and_pi_passes_straight():
    straight = mzi_transfer(torch.tensor(math.pi), torch.zeros(()))
    crossed = mzi_transfer(torch.tensor(0.0), torch.zeros(()))
    assert abs(straight[0]) == pytest.approx(1.0)
    assert abs(straight[1]) == pytest.approx(0.0, abs=1e-7)
    assert abs(crossed[0]) == pytest.approx(0.0, abs=1e-7)
    assert abs(crossed[1]) == pytest.approx(1.0)


@pytest.mark.parametrize(("eta_1", "eta_2"), [(0.02, 0.03), (0.05, -0.02), (0.01, 0.0)])
def test_splitter_errors_limit_the_extinction(eta_1, eta_2):
    zero = torch.zeros((), dtype=torch.float64)
    crossed = mzi_transfer(zero, zero, eta_1, eta_2)
    leak = float(crossed[0].abs() / crossed[1].abs())
    assert -20 * math.log10(leak) == pytest.approx(extinction_db(eta_1, eta_2), abs=1e-9)
    straight = mzi_transfer(zero + math.pi, zero, eta_1, eta_2)
    leak = float(straight[1].abs() / straight[0].abs())
    expected = extinction_db(eta_1, eta_2, crossed=False)
    assert -20 * math.log10(leak) == pytest.approx(expected, abs=1e-6)
    # What can be realised is the splitting 2|η₁+η₂| ≤ θ ≤ π − 2|η₁−η₂| of perfect splitters.
    powers = straight_power(torch.linspace(0, math.pi, 2001, dtype=torch.float64), eta_1, eta_2)
    ends = [2 * abs(eta_1 + eta_2), math.pi - 2 * abs(eta_1 - eta_2)]
    assert [float(powers.min()), float(powers.max())] == pytest.approx(
        [math.sin(e / 2) ** 2 for e in ends], abs=1e-9
    )


def test_perfect_splitters_have_no_leak():
    assert extinction_db(0.0, 0.0) == math.inf


@given(st.sampled_from(["clements", "reck"]), st.integers(1, 8), st.integers(0, 1000))
@settings(max_examples=30)
def test_a_lossless_mesh_conserves_energy_whatever_its_splitters(kind, size, seed):
    theta, phi, out = random_phases(kind, size, 3, seed)
    eta = 0.3 * torch.from_numpy(
        np.random.default_rng(seed).standard_normal((3, theta.shape[1], 2))
    )
    u = mesh_transfer(kind, theta, phi, out, eta)
    identity = torch.eye(size, dtype=torch.complex128)
    assert (u @ u.mH - identity).abs().max() <= 1e-12


@given(
    st.sampled_from(["clements", "reck"]), st.integers(2, 6), st.floats(0.01, 3), st.booleans(),
    st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=30)
def test_loss_only_removes_energy_and_dummies_make_it_equal(kind, size, loss_db, dummies, seed):
    theta, phi, out = random_phases(kind, size, 2, seed)
    lossy = mesh_transfer(kind, theta, phi, out, element_loss_db=loss_db, edge_dummies=dummies)
    assert torch.linalg.svdvals(lossy).max() <= 1 + 1e-12
    if dummies:
        lossless = mesh_transfer(kind, theta, phi, out)
        depth = mesh_layout(kind, size).num_columns
        expected = field_ratio_from_db(-loss_db * depth) * lossless
        assert (lossy - expected).abs().max() <= 1e-12


@pytest.mark.parametrize(
    ("kind", "size", "shortest", "longest"),
    [("clements", 4, 2, 4), ("reck", 4, 1, 5), ("reck", 6, 1, 9)],
)
def test_paths_through_a_mesh_pass_different_numbers_of_elements(kind, size, shortest, longest):
    num = len(mesh_layout(kind, size).modes)
    counts = set()
    for setting in (0.0, math.pi):  # all cross, all straight: every path is a single one
        theta = torch.full((1, num), setting, dtype=torch.float64)
        zero = torch.zeros(1, num, dtype=torch.float64)
        out = torch.zeros(1, size, dtype=torch.float64)
        powers = mesh_transfer(kind, theta, zero, out, element_loss_db=1.0)[0].abs() ** 2
        counts |= {round(float(-10 * torch.log10(p))) for p in powers.flatten() if p > 1e-9}
    assert (min(counts), max(counts)) == (shortest, longest)


def test_mean_path_elements():
    assert mean_path_elements("clements", 4, edge_dummies=False) == 3.0
    assert mean_path_elements("clements", 4, edge_dummies=True) == 4.0
    assert mean_path_elements("reck", 4, edge_dummies=True) == 5.0


@pytest.mark.parametrize("kind", ["clements", "reck"])
def test_the_simulated_mesh_is_the_reconstructed_one(kind):
    theta, phi, out = random_phases(kind, 5, 10)
    simulated = mesh_transfer(kind, theta, phi, out).numpy()
    phases = MeshPhases(theta=theta.numpy(), phi=phi.numpy(), out=out.numpy())
    assert np.abs(simulated - reconstruct(phases, kind)).max() <= 1e-12


def haar(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, count, 4, 4))
    q, r = np.linalg.qr(z[0] + 1j * z[1])
    diagonal = np.einsum("kii->ki", r)
    return q * (diagonal / np.abs(diagonal))[:, None, :]


def eight_bit_error(u: np.ndarray) -> np.ndarray:
    phases = decompose(u)
    rounded = MeshPhases(
        theta=quantize_phases(phases.theta, 8),
        phi=quantize_phases(phases.phi, 8),
        out=quantize_phases(phases.out, 8),
    )
    return np.linalg.norm(reconstruct(rounded) - u, axis=(1, 2)) / 2


def test_eight_bit_phases_err_by_the_closed_form_and_less_for_real_matrices():
    closed_form = 2 * (2 * np.pi / 2**8) / np.sqrt(12)
    assert closed_form == pytest.approx(0.0142, abs=5e-5)
    assert np.sqrt((eight_bit_error(haar(4000)) ** 2).mean()) == pytest.approx(
        closed_form, rel=0.02
    )
    # A real factor of W has some phases on the grid already.
    real = np.linalg.svd(np.random.default_rng(0).uniform(-1, 1, (4000, 4, 4)))[0]
    assert eight_bit_error(real).mean() == pytest.approx(0.0127, abs=0.0003)


def test_eight_bit_phases_give_nine_per_mille_of_a_matrix():
    device = device_for(profile_of(optics={"phase_bits": 8}))
    wanted = np.random.default_rng(0).uniform(-1, 1, (2000, 4, 4))
    realised = device.realise(device.compile(wanted))[0].numpy()
    relative = np.linalg.norm(realised - wanted, axis=(1, 2)) / np.linalg.norm(wanted, axis=(1, 2))
    assert relative.mean() == pytest.approx(0.0093, abs=0.0004)


@pytest.mark.parametrize("bits", [6, 10])
def test_phase_codes_are_whole_and_below_a_turn(bits):
    device = device_for(profile_of(optics={"phase_bits": bits}))
    phases = device.compile(np.random.default_rng(0).uniform(-1, 1, (50, 4, 4)))["phases_rad"]
    codes = phases / (2 * np.pi / 2**bits)
    assert np.abs(codes - np.rint(codes)).max() < 1e-9
    assert codes.min() >= 0
    assert np.rint(codes).max() <= 2**bits - 1


def test_losses_are_made_up_for_on_average():
    wanted = np.random.default_rng(0).uniform(-1, 1, (500, 4, 4))
    for layout, dummies in (("clements", False), ("clements", True), ("reck", False)):
        optics = {"element_loss_db": 0.3, "layout": layout, "edge_dummies": dummies}
        device = device_for(profile_of(optics=optics))
        compiled = device.compile(wanted)
        realised = device.realise(compiled)[0].numpy()
        slope = (realised * wanted).sum() / (wanted**2).sum()
        assert slope == pytest.approx(1.0, abs=0.03)
        assert np.abs(device.decompile(compiled) - wanted).max() < 1e-9
        if dummies:
            assert np.abs(realised - wanted).max() < 1e-9


def test_compensated_crosstalk_is_gone_and_uncompensated_crosstalk_is_not():
    wanted = np.random.default_rng(0).uniform(-1, 1, (100, 4, 4))
    heater = {"crosstalk": 0.01}
    raw = device_for(profile_of(heater=heater))
    off = np.abs(raw.realise(raw.compile(wanted))[0].numpy() - wanted)
    assert off.mean() > 0.01
    known = device_for(profile_of(heater={**heater, "compensated": True}))
    compiled = known.compile(wanted)
    assert np.abs(known.realise(compiled)[0].numpy() - wanted).max() < 1e-9
    assert np.abs(known.decompile(compiled) - wanted).max() < 1e-9
    assert compiled["phases_rad"].min() >= 0


def test_heaters_stand_apart():
    device = device_for(profile_of())
    assert isinstance(device, MziDevice)
    places = device.positions()
    assert places.shape == (device.num_phases, 2)
    assert len({tuple(p) for p in places}) == device.num_phases == 36


def test_a_cold_chip_is_another_matrix():
    device = device_for(profile_of(optics={"cold_start": True}))
    wanted = np.random.default_rng(0).uniform(-1, 1, (1, 4, 4))
    errors = device.static_errors(0, range(200), 1)
    realised = device.realise(device.compile(wanted), errors).numpy()
    assert np.abs(realised.mean(0) - wanted).max() > 0.1
    assert np.linalg.norm(realised - wanted, axis=(2, 3)).min() > 0.1


def test_temperature_moves_all_phases_of_a_chip_together():
    drift = {
        "temperature_k_per_rts": 0.1, "recalibration_interval_s": 50.0, "phase_rad_per_k": 0.02,
    }  # fmt: skip
    device = device_for(profile_of(drift=drift))
    compiled = device.compile(np.random.default_rng(0).uniform(-1, 1, (2, 4, 4)))
    errors = device.static_errors(0, range(5), 2)
    kelvin = 0.1 * math.sqrt(50 / 2) * errors["temperature"].double()  # random walk, mean of T/2
    moved = {**compiled, "phases_rad": compiled["phases_rad"] + 0.02 * kelvin.numpy()[3]}
    by_hand = device.realise(moved)[0]
    assert (device.realise(compiled, errors)[3] - by_hand).abs().max() < 1e-12


def test_finite_extinction_mixes_in_the_other_quadrature():
    profile = profile_of(input={"extinction_ratio_db": 20.0})
    device = device_for(profile)
    compiled = device.compile(np.random.default_rng(0).uniform(-1, 1, (1, 4, 4)))
    transfer = device.transfer(compiled)
    fields = device_for(profile_of()).optics(compiled, None).matrix
    assert torch.equal(transfer.matrix, fields)
    assert transfer.quadrature is not None
    # Rotating every output by −90° turns the imaginary part into the detected one.
    turned = compiled["phases_rad"].copy()
    turned[:, -4:] -= np.pi / 2
    imaginary = device_for(profile_of()).realise({**compiled, "phases_rad": turned})
    assert (transfer.quadrature + 0.1 * imaginary).abs().max() < 1e-12


def test_heaters_beyond_the_power_budget_are_refused():
    heater = {"power_per_pi_mw": 30.0, "max_power_mw": 100.0}
    with pytest.raises(ProfileError, match=r"take \d+ mW, allowed are heater\.max_power_mw = 100"):
        device_for(profile_of(heater=heater)).compile(np.eye(4)[None])
    device_for(profile_of(heater={**heater, "max_power_mw": 2160.0})).compile(np.eye(4)[None])
