"""Meshes: every unitary has phases, and they give it back."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.devices.mesh import MeshPhases, decompose, mesh_layout, reconstruct
from photonic.errors import ConfigError

KINDS = ("clements", "reck")


def haar(size: int, count: int, seed: int = 0) -> np.ndarray:
    """Uniformly random unitaries (Mezzadri 2007)."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((2, count, size, size))
    q, r = np.linalg.qr(z[0] + 1j * z[1])
    diagonal = np.einsum("kii->ki", r)
    return q * (diagonal / np.abs(diagonal))[:, None, :]


def rotation(size: int, mode: int, angle: float) -> np.ndarray:
    u = np.eye(size, dtype=complex)
    c, s = np.cos(angle), np.sin(angle)
    u[mode : mode + 2, mode : mode + 2] = [[c, -s], [s, c]]
    return u


def special(size: int) -> dict[str, np.ndarray]:
    """Matrices on which formulas with quotients and unguarded angles fail."""
    eye = np.eye(size, dtype=complex)
    rng = np.random.default_rng(1)
    grid = np.outer(np.arange(size), np.arange(size))
    z = rng.standard_normal((2, size, size))
    hermitian = z[0] + z[0].T + 1j * (z[1] - z[1].T)
    values, vectors = np.linalg.eigh(hermitian)
    near = {
        f"near identity {scale:g}": (vectors * np.exp(1j * scale * values)) @ vectors.conj().T
        for scale in (1e-15, 1e-12, 1e-8, 1e-4)
    } | {
        f"identity and {scale:g}": eye + scale * (z[0] + 1j * z[1])
        for scale in (1e-322, 1e-310, 1e-290, 1e-155, 1e-145)
    }
    left, _, right = np.linalg.svd(np.outer(rng.standard_normal(size), rng.standard_normal(size)))
    zero_left, _, zero_right = np.linalg.svd(np.zeros((size, size)))
    return {
        "identity": eye,
        "minus identity": -eye,
        "anti-diagonal": eye[::-1].copy(),
        "cyclic": np.roll(eye, 1, axis=0),
        "diagonal phases": np.diag(np.exp(1j * rng.uniform(-9, 9, size))),
        "diagonal signs": np.diag((-1.0) ** np.arange(size)).astype(complex),
        "Fourier": np.exp(2j * np.pi * grid / size) / np.sqrt(size),
        "block": rotation(size, 0, 0.3) @ rotation(size, size - 2, 1.1),
        "real orthogonal": np.linalg.qr(rng.standard_normal((size, size)))[0].astype(complex),
        "left factor of rank one": left.astype(complex),
        "right factor of rank one": right.astype(complex),
        "factors of zero": (zero_left @ zero_right).astype(complex),
        **near,
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 3, 4, 5, 8])
def test_special_matrices_come_back(kind, size):
    for name, u in special(size).items():
        assert np.abs(reconstruct(decompose(u, kind), kind) - u).max() <= 1e-12, name


@pytest.mark.parametrize("kind", KINDS)
def test_every_permutation_comes_back(kind):
    u = np.stack([np.eye(4, dtype=complex)[list(p)] for p in permutations(range(4))])
    assert np.abs(reconstruct(decompose(u, kind), kind) - u).max() <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_hadamard_comes_back(kind):
    two = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    u = np.kron(two, two)
    assert np.abs(reconstruct(decompose(u, kind), kind) - u).max() <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_random_unitaries_come_back(kind):
    u = haar(4, 10_000)
    phases = decompose(u, kind)
    assert np.abs(reconstruct(phases, kind) - u).max() <= 1e-12
    assert (phases.theta >= 0).all()
    assert (phases.theta <= np.pi).all()
    for angles in (phases.phi, phases.out):
        assert ((angles >= 0) & (angles < 2 * np.pi)).all()


@given(st.sampled_from(KINDS), st.integers(1, 12), st.integers(0, 10_000))
@settings(max_examples=40)
def test_any_size_comes_back(kind, size, seed):
    u = haar(size, 3, seed)
    assert np.abs(reconstruct(decompose(u, kind), kind) - u).max() <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_sixty_four_modes_come_back(kind):
    u = haar(64, 1)
    assert np.abs(reconstruct(decompose(u, kind), kind) - u).max() <= 1e-12


@given(st.sampled_from(KINDS), st.integers(2, 6), st.integers(0, 10_000))
@settings(max_examples=40)
def test_any_phases_give_a_unitary_that_the_decomposition_finds_again(kind, size, seed):
    rng = np.random.default_rng(seed)
    num = size * (size - 1) // 2
    phases = MeshPhases(
        theta=rng.uniform(0, np.pi, (2, num)),
        phi=rng.uniform(0, 2 * np.pi, (2, num)),
        out=rng.uniform(0, 2 * np.pi, (2, size)),
    )
    u = reconstruct(phases, kind)
    assert np.abs(u @ u.conj().swapaxes(1, 2) - np.eye(size)).max() <= 1e-12
    again = decompose(u, kind)
    assert np.abs(reconstruct(again, kind) - u).max() <= 1e-12
    assert again.theta == pytest.approx(phases.theta, abs=1e-6)


def test_the_round_trip_notices_a_wrong_phase():
    u = haar(4, 1)
    phases = decompose(u)
    phases.theta[0, 2] += 1e-6
    assert np.abs(reconstruct(phases) - u).max() > 1e-8


@pytest.mark.parametrize("size", range(2, 10))
def test_the_depth_of_a_mesh(size):
    clements, reck = mesh_layout("clements", size), mesh_layout("reck", size)
    assert clements.num_columns == (size if size > 2 else 1)
    assert reck.num_columns == max(2 * size - 3, 1)
    for layout in (clements, reck):
        assert len(layout.modes) == size * (size - 1) // 2
        for column in range(layout.num_columns):
            used = layout.modes[layout.columns == column]
            assert len({*used, *(used + 1)}) == 2 * len(used)  # no mode twice in a column


def test_bad_matrices_are_refused():
    with pytest.raises(ConfigError, match=r"not unitary: .* off by 1\.0e\+00"):
        decompose(2 * np.eye(4))
    with pytest.raises(ConfigError, match="not unitary"):
        decompose(np.full((2, 2), np.nan))
    with pytest.raises(ConfigError, match=r"\(3, 4\): the last two must be equal"):
        decompose(np.zeros((3, 4)))
    with pytest.raises(ConfigError, match="65 modes: allowed are 1…64"):
        decompose(np.eye(65))
    with pytest.raises(ConfigError, match="mesh 'fldzhyan': known are clements, reck"):
        decompose(np.eye(4), "fldzhyan")
