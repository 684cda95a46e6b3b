"""Flat parameters behave as parameters; learning rates are torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.config import OptimOptions
from training.optim import Adam, FlatParameters, Plateau, learning_rates, one_cycle


def network() -> nn.Module:
    with torch.random.fork_rng():
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("name", "reference_of", "decay"),
    [
        ("adam", torch.optim.Adam, 0.0),
        ("adam", torch.optim.Adam, 0.1),
        ("adamw", torch.optim.AdamW, 0.1),
    ],
)
def test_a_step_on_the_flat_vector_is_torchs_step_of_every_parameter(name, reference_of, decay):
    ours, plain = network().double(), network().double()
    plain.load_state_dict(ours.state_dict())
    flat = FlatParameters(ours)
    optimizer = Adam(flat.value.data, OptimOptions(optimizer=name, weight_decay=decay))
    reference = reference_of(plain.parameters(), lr=0.0, weight_decay=decay)
    x = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)).double()
    for lr in (0.1, 0.1, 0.02, 0.3):
        flat.zero_grad()
        ours(x).square().sum().backward()
        flat.clip_grad(0.5)
        optimizer.step(flat.grad, lr)
        reference.param_groups[0]["lr"] = lr
        reference.zero_grad()
        plain(x).square().sum().backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        reference.step()
        for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-12)


def test_vectors_with_rates_of_their_own_step_as_if_alone():
    draw = torch.Generator().manual_seed(0)
    start, rates = torch.rand(3, 5, generator=draw), torch.tensor([[0.1], [0.01], [0.3]])
    options = OptimOptions(optimizer="adamw", weight_decay=0.1)
    together, alone = start.clone(), start.clone()
    optimizer = Adam(together, options)
    single = [Adam(row, options) for row in alone]
    for _ in range(4):
        grad = torch.randn(3, 5, generator=draw)
        for k, each in enumerate(single):
            each.step(grad[k], float(rates[k]))
        optimizer.step(grad, rates)
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.allclose(together, start, atol=1e-2)


def test_a_loaded_vector_is_seen_by_the_module_and_frozen_parameters_stay():
    module = network()
    module[0].bias.requires_grad_(False)
    before = module[0].bias.clone()
    flat = FlatParameters(module)
    flat.load(torch.full_like(flat.value, 0.25))
    assert bool((module[2].weight == 0.25).all())
    assert torch.equal(module[0].bias, before)
    assert flat.value.numel() == 3 * 4 + 4 * 2 + 2


def test_the_module_that_is_not_finite_is_named():
    module = network()
    flat = FlatParameters(module)
    assert flat.not_finite() is None
    with torch.no_grad():
        module[2].weight[0, 0] = float("nan")
    assert flat.not_finite() == "2"


@given(losses=st.lists(st.floats(0.01, 10), min_size=1, max_size=30))
def test_plateau_is_the_one_of_torch(losses):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=2, factor=0.5, eps=0.0
    )
    state = Plateau(lr=1.0)
    for loss in losses:
        reference.step(loss)
        state = state.after(loss, patience=2, factor=0.5)
        assert state.lr == optimizer.param_groups[0]["lr"]


def test_one_cycle_is_the_one_of_torch():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=60, cycle_momentum=False
    )
    expected = []
    for _ in range(60):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 60:
            reference.step()
    ours = np.concatenate([one_cycle(0.01, epoch, 6, 10) for epoch in range(6)])
    assert ours == pytest.approx(expected, rel=1e-6)


def test_other_schedules_are_flat_within_an_epoch():
    assert learning_rates("plateau", 0.1, 3, 9, 4).tolist() == [0.1] * 4
