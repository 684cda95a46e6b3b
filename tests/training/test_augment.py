"""Augmentation: nothing changes unless asked for, and what is asked for keeps its bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photonic.errors import DataError
from training.augment import AugmentOptions, BeatAugmenter, read_noise, shifted


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def beats(n: int = 200, channels: int = 2) -> torch.Tensor:
    time = torch.arange(360) / 360
    pulse = torch.exp(-(((time - 0.5) / 0.03) ** 2)) * 0.9
    return pulse[None, :, None].repeat(n, 1, channels)


def test_no_option_no_change():
    assert not AugmentOptions().active
    x = {"beat": beats(), "rhythm": torch.ones(200, 2, 4)}
    out = BeatAugmenter(AugmentOptions())(x, generator())
    assert torch.equal(out["beat"], x["beat"])
    assert out["rhythm"] is x["rhythm"]


@pytest.mark.parametrize(
    ("option", "value", "bound"),
    [
        ("augment_wander", 0.2, 0.2),
        ("augment_amplitude", 0.3, 0.27),
        ("augment_noise", 0.05, 0.35),
    ],
)
def test_a_change_has_its_size_and_differs_between_beats(option, value, bound):
    options = AugmentOptions(**{option: value})
    assert options.active
    x = beats()
    out = BeatAugmenter(options)({"beat": x}, generator())["beat"]
    change = (out - x).abs().amax((1, 2))
    assert 0.3 * bound < change.max() <= bound + 1e-6
    assert change.std() > 0
    assert out.abs().max() <= 1


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"augment_shift_samples": 90},
        {"augment_shift_samples": 5, "augment_wander": 0.3, "augment_amplitude": 0.4},
        {"augment_wander": 0.1, "augment_noise": 0.3},
    ],
)
def test_members_of_a_population_get_what_each_would_get_alone(
    options, channels, compiled, monkeypatch
):
    if not compiled:
        monkeypatch.setattr("training.augment.kernel_for", lambda *_: None)
    augment = BeatAugmenter(AugmentOptions(**options))
    x = {"beat": torch.rand(50, 360, channels, generator=generator()) * 2 - 1}
    x["rhythm"] = torch.rand(50, 2, 4, generator=generator())
    batches = torch.randint(50, (3, 20), generator=generator())
    together = augment.of_members(x, batches, [generator(k) for k in range(3)])
    for k, batch in enumerate(batches):
        alone = augment({name: values[batch] for name, values in x.items()}, generator(k))
        assert torch.equal(together["rhythm"][k], alone["rhythm"])
        assert torch.allclose(together["beat"][k], alone["beat"], rtol=0, atol=1e-6)


def test_shift_moves_every_channel_alike_and_fills_with_the_edge():
    x = torch.arange(5.0)[None, :, None].repeat(2, 1, 2)
    out = shifted(x, torch.tensor([2, -1]))
    assert out[0, :, 0].tolist() == [2, 3, 4, 4, 4]
    assert out[1, :, 1].tolist() == [0, 0, 1, 2, 3]


def test_shifts_stay_in_range_and_use_all_of_it():
    x = beats(2000)
    out = BeatAugmenter(AugmentOptions(augment_shift_samples=6))({"beat": x}, generator())["beat"]
    peaks = out[..., 0].argmax(1) - x[..., 0].argmax(1)
    assert sorted(set(peaks.tolist())) == list(range(-6, 7))


def test_recorded_noise_has_the_drawn_ratio():
    noise = torch.randn(100_000, generator=generator(3))
    options = AugmentOptions(augment_noise_records=("any",), augment_snr_db=6.0)
    x = beats(2000, channels=1) * 0.2  # far from the clip
    out = BeatAugmenter(options, noise)({"beat": x}, generator())["beat"]
    ratio = x[..., 0].var(1) / (out - x)[..., 0].var(1)
    snr_db = 10 * torch.log10(ratio)
    assert snr_db.min() > 5.9
    assert snr_db.max() < 30.1
    assert abs(float(snr_db.mean()) - 18.0) < 1.0


def test_the_same_generator_gives_the_same_beats():
    augment = BeatAugmenter(AugmentOptions(augment_noise=0.1, augment_shift_samples=3))
    first, second = (augment({"beat": beats()}, generator(5))["beat"] for _ in range(2))
    assert torch.equal(first, second)


def test_noise_records_are_read_and_refused(tmp_path, mitdb_dir):
    nstdb = mitdb_dir.parent / "nstdb"
    noise = read_noise((str(nstdb / "bw"), str(nstdb / "ma")))
    assert noise is not None
    assert len(noise) == 4 * 650_000
    assert np.isclose(float(noise.std()), 1.0, atol=1e-3)
    assert read_noise(()) is None
    with pytest.raises(DataError, match="noise record cannot be read"):
        read_noise((str(tmp_path / "none"),))
