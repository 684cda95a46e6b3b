from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad, vmap

from training.losses import (
    build_loss,
    cross_entropies,
    cross_entropy,
    focal,
    focal_bce,
    weighted_bce,
)
from training.presets import resolve

BATCH, CLASSES, LABELS, MODELS = 7, 4, 3, 5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def class_batch(*leading: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = generator()
    logits = torch.randn(*leading, BATCH, CLASSES, generator=source, dtype=torch.float64)
    targets = torch.randint(CLASSES, (*leading, BATCH), generator=source)
    weights = torch.rand(*leading, CLASSES, generator=source, dtype=torch.float64) + 0.5
    return logits, targets, weights


def label_batch(*leading: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = generator(1)
    logits = torch.randn(*leading, BATCH, LABELS, generator=source, dtype=torch.float64)
    targets = torch.randint(2, (*leading, BATCH, LABELS), generator=source).double()
    weights = 4.0 * torch.rand(*leading, LABELS, generator=source, dtype=torch.float64) + 1.0
    return logits, targets, weights


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_cross_entropy_is_that_of_torch(smoothing, weighted, reduction):
    logits, targets, weights = class_batch()
    used = weights if weighted else None
    ours = cross_entropy(logits, targets, used, label_smoothing=smoothing, reduction=reduction)
    theirs = F.cross_entropy(
        logits, targets, weight=used, label_smoothing=smoothing, reduction=reduction
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.05])
def test_cross_entropies_are_those_of_each_model(smoothing):
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 7, 4, generator=draw)
    targets = torch.randint(4, (3, 7), generator=draw)
    weights = torch.rand(3, 4, generator=draw) + 0.1
    found = cross_entropies(logits, targets, weights, label_smoothing=smoothing)
    for own, *given in zip(found, logits, targets, weights, strict=True):
        assert own == pytest.approx(float(cross_entropy(*given, label_smoothing=smoothing)))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_focal_without_focus_is_cross_entropy(reduction):
    logits, targets, weights = class_batch()
    plain = cross_entropy(logits, targets, weights, reduction=reduction)
    torch.testing.assert_close(
        focal(logits, targets, weights, gamma=0.0, reduction=reduction), plain
    )


def test_focal_by_hand():
    logits = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    targets = torch.tensor([0, 1])
    p = torch.tensor([0.5, torch.sigmoid(torch.tensor(2.0))])
    alpha = torch.tensor([0.7, 1.3])
    expected = alpha * (1 - p) ** 2 * -torch.log(p)
    got = focal(logits, targets, alpha, gamma=2.0, reduction="none")
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(focal(logits, targets, alpha, gamma=2.0), expected.sum() / 2.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_weighted_bce_is_that_of_torch(weighted):
    logits, targets, weights = label_batch()
    used = weights if weighted else None
    theirs = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=used)
    torch.testing.assert_close(weighted_bce(logits, targets, used), theirs)
    torch.testing.assert_close(focal_bce(logits, targets, used, gamma=0.0), theirs)


def test_focal_bce_by_hand():
    logits = torch.tensor([[0.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0]])
    q = torch.sigmoid(torch.tensor(1.0))
    expected = torch.stack([5.0 * 0.5**3 * torch.log(torch.tensor(2.0)), q**3 * -torch.log(1 - q)])
    got = focal_bce(logits, targets, torch.tensor([5.0, 9.0]), gamma=3.0)
    torch.testing.assert_close(got, expected.mean())


@pytest.mark.parametrize("function", [focal, focal_bce])
def test_focus_lowers_easy_samples_more_than_hard_ones(function):
    multi = function is focal_bce
    logits = torch.tensor([[4.0], [-4.0]]) if multi else torch.tensor([[0.0, 4.0], [0.0, -4.0]])
    targets = torch.ones(2, 1) if multi else torch.ones(2, dtype=torch.int64)
    plain = function(logits, targets, gamma=0.0, reduction="none")
    focused = function(logits, targets, gamma=2.0, reduction="none")
    kept = focused / plain
    assert kept[0] < 1e-3
    assert kept[1] > 0.9


@pytest.mark.parametrize(
    ("function", "batch"),
    [
        (cross_entropy, class_batch),
        (focal, class_batch),
        (weighted_bce, label_batch),
        (focal_bce, label_batch),
    ],
)
def test_losses_and_gradients_vmap_over_models_with_their_own_weights(function, batch):
    logits, targets, weights = batch(MODELS)
    mapped = vmap(grad(function))(logits, targets, weights)
    one_by_one = torch.stack(
        [grad(function)(logits[i], targets[i], weights[i]) for i in range(MODELS)]
    )
    torch.testing.assert_close(mapped, one_by_one)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("size", [0.0, 40.0, 1e4])
def test_focal_gradients_stay_finite_at_certainty(gamma, size):
    logits = torch.tensor([[size, -size], [-size, size]], requires_grad=True)
    focal(logits, torch.tensor([0, 0]), gamma=gamma).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    other = logits.detach().clone().requires_grad_()
    focal_bce(other, labels, gamma=gamma).backward()
    assert other.grad is not None
    assert torch.isfinite(other.grad).all()


def test_the_configuration_chooses_the_loss():
    logits, targets, weights = class_batch()
    four = build_loss(resolve("four-class"))
    torch.testing.assert_close(
        four(logits, targets, weights), focal(logits, targets, weights, gamma=2.0)
    )
    binary = build_loss(resolve("binary", overrides={"label_smoothing": 0.05}))
    torch.testing.assert_close(
        binary(logits, targets, weights),
        cross_entropy(logits, targets, weights, label_smoothing=0.05),
    )
    logits, targets, weights = label_batch()
    table = build_loss(resolve("multi-label", overrides={"loss_type": "focal"}))
    torch.testing.assert_close(
        table(logits, targets, weights), focal_bce(logits, targets, weights, gamma=3.0)
    )
    plain = build_loss(resolve("multi-label"))
    torch.testing.assert_close(plain(logits, targets), weighted_bce(logits, targets))
