from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from photonic.beats import (
    BEAT_SYMBOLS,
    NON_BEAT_SYMBOLS,
    SEGMENTS,
    WINDOW,
    TemplateState,
    normalise,
    normalise_beat,
    template_residuals,
    window,
)
from photonic.errors import DataError


def some_beats(seed: int, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Normalised beats that drift in shape and amplitude, as of one record."""
    rng = np.random.default_rng(seed)
    shape = np.sin(np.linspace(0.0, 9.0, WINDOW)) ** 3
    raw = shape * rng.uniform(0.5, 2.0, size=(num, 1)) + 0.3 * rng.normal(size=(num, WINDOW))
    return normalise(raw)


def test_a_window_is_180_samples_before_the_r_peak_and_179_after():
    signal = np.arange(2000.0)
    cut = window(signal, [180, 700])
    np.testing.assert_array_equal(cut.values[1], np.arange(520.0, 880.0))
    assert cut.values[0, 180] == 180.0


@pytest.mark.parametrize(("r_peak", "kept"), [(179, False), (180, True), (820, True), (821, False)])
def test_windows_that_leave_the_record_are_dropped_and_counted(r_peak, kept):
    cut = window(np.zeros(1000), [500, r_peak])
    assert cut.kept.tolist() == [True, kept]
    assert len(cut.values) == 1 + kept
    assert cut.num_outside == (not kept)


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_windows_with_a_missing_sample_are_dropped_and_counted(hole):
    signal = np.zeros(3000)
    signal[1000] = hole
    cut = window(signal, [100, 820, 821, 1180, 1181, 2000])
    assert cut.kept.tolist() == [False, True, False, False, True, True]
    assert (cut.num_outside, cut.num_gaps) == (1, 2)
    assert np.isfinite(cut.values).all()


def test_a_record_shorter_than_a_window_has_no_beats():
    cut = window(np.zeros(359), [179])
    assert (len(cut.values), cut.num_outside) == (0, 1)


def test_a_signal_of_two_leads_is_refused():
    with pytest.raises(DataError, match=r"shape \(1000, 2\)"):
        window(np.zeros((1000, 2)), [500])


@given(seed=st.integers(0, 2**16), scale=st.floats(1e-3, 1e3), num=st.integers(1, 5))
def test_normalised_beats_have_no_mean_and_reach_one(seed, scale, num):
    raw = scale * np.random.default_rng(seed).normal(size=(num, WINDOW))
    beats, amplitude = normalise(raw)
    assert beats.dtype == amplitude.dtype == np.float32
    np.testing.assert_array_equal(np.abs(beats).max(axis=1), 1.0)
    np.testing.assert_allclose(beats.mean(axis=1), 0.0, atol=1e-6)
    centred = raw - raw.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(beats * amplitude[:, None], centred, atol=1e-6 * np.abs(raw).max())


def test_a_beat_is_the_same_alone_and_in_a_batch():
    raw = np.random.default_rng(0).normal(size=(64, WINDOW))
    beats, amplitude = normalise(raw)
    for i in range(64):
        alone, size = normalise(raw[i : i + 1])
        assert np.array_equal(alone[0], beats[i])
        assert size[0] == amplitude[i]
        assert normalise_beat(raw[i], alone[0]) == amplitude[i]
        assert np.array_equal(alone[0], beats[i])


@pytest.mark.parametrize("offset_mv", [5.0, 5_000.0, -1e6])
def test_an_offset_changes_nothing(offset_mv):
    raw = np.round(np.random.default_rng(1).normal(size=(8, WINDOW)) * 200) / 200
    plain, _ = normalise(raw)
    shifted, _ = normalise(raw + offset_mv)
    np.testing.assert_allclose(shifted, plain, atol=2e-9 * abs(offset_mv) ** 0.5 + 1e-6)


@pytest.mark.parametrize("level", [0.0, 5.3, -1e6, 0.1 + 0.2])
def test_a_flat_beat_gives_zeros(level):
    beats, amplitude = normalise(np.full((2, WINDOW), level))
    assert not beats.any()
    assert not amplitude.any()
    assert normalise_beat(np.full(WINDOW, level), beats[0]) == 0.0
    assert not beats.any()


@pytest.mark.parametrize("template", ["mean", "huber"])
@given(seed=st.integers(0, 2**16), num=st.integers(0, 150))
def test_residuals_in_bulk_are_those_of_the_stream(template, seed, num):
    beats, amplitude = some_beats(seed, num)
    if num > 5:
        beats[5], amplitude[5] = 0.0, 0.0  # a flat one
    residual, ratio = template_residuals(beats, amplitude, template)
    state = TemplateState(template)
    for i in range(num):
        one_residual = np.empty(WINDOW, dtype=np.float32)
        one_ratio = state.push(beats[i], amplitude[i], out=one_residual)
        assert np.array_equal(one_residual, residual[i])
        assert np.float32(one_ratio) == ratio[i]


def test_the_template_is_the_mean_of_64_beats_and_then_forgets():
    beats, amplitude = some_beats(2, 300)
    centred = (beats * amplitude[:, None]).astype(np.float64)
    means = np.cumsum(centred, axis=0)[:64] / np.arange(1, 65)[:, None]
    # t[n] = t[n-1] + (x[n] - t[n-1]) / 64, started from the mean of 64.
    later, _ = lfilter([1 / 64], [1, -63 / 64], centred[64:], axis=0, zi=means[-1:] * 63 / 64)
    template = np.concatenate([means, later])[:-1]
    sizes = amplitude.astype(np.float64)
    first = np.cumsum(sizes)[:64] / np.arange(1, 65)
    rest, _ = lfilter([1 / 64], [1, -63 / 64], sizes[64:], zi=first[-1:] * 63 / 64)
    running = np.concatenate([first, rest])[:-1]
    residual, ratio = template_residuals(beats, amplitude)
    expected = np.clip((centred[1:] - template) / running[:, None], -1.0, 1.0)
    np.testing.assert_allclose(residual[1:], expected, atol=1e-5)
    np.testing.assert_allclose(ratio[1:], sizes[1:] / running, rtol=1e-5)
    assert not residual[0].any()
    assert ratio[0] == 1.0


def test_strange_beats_hardly_move_a_template_of_bounded_influence():
    """Every third beat is upside down and three times as large; the usual one stays."""
    beats = np.tile(some_beats(6, 1)[0], (300, 1))
    amplitude = np.ones(300, np.float32)
    beats[2::3], amplitude[2::3] = -beats[2::3], 3.0
    usual = np.arange(100, 300) % 3 != 2
    far = {
        kind: np.abs(template_residuals(beats, amplitude, kind)[0][100:][usual]).max()
        for kind in ("mean", "huber")
    }
    assert far["mean"] > 0.5
    assert far["huber"] < 0.25
    _, ratio = template_residuals(beats, amplitude, "huber")
    np.testing.assert_allclose(ratio[100:][usual], 1.0, atol=0.2)


def test_where_beats_are_alike_both_templates_are_the_mean():
    beats, amplitude = some_beats(7, 1)
    rng = np.random.default_rng(1)
    beats = (beats + 0.02 * rng.uniform(-1, 1, (200, WINDOW))).astype(np.float32)
    amplitude = np.repeat(amplitude, 200) * rng.uniform(0.95, 1.05, 200).astype(np.float32)
    mean, huber = (template_residuals(beats, amplitude, kind) for kind in ("mean", "huber"))
    for ours, theirs in zip(mean, huber, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_residuals_are_clipped():
    beats, amplitude = some_beats(3, 20)
    amplitude[10] *= 50.0
    residual, _ = template_residuals(beats, amplitude)
    assert np.abs(residual).max() == 1.0


def test_a_residual_depends_on_earlier_beats_only():
    beats, amplitude = some_beats(4, 40)
    before, _ = template_residuals(beats, amplitude)
    beats[20] = -beats[20]
    after, _ = template_residuals(beats, amplitude)
    assert np.array_equal(before[:20], after[:20])
    assert (before[20:] != after[20:]).any(axis=1).all()


def test_a_flat_beat_leaves_the_template_as_it_was():
    beats, amplitude = some_beats(5, 30)
    residual, ratio = template_residuals(beats, amplitude)
    with_flat, flat_ratio = template_residuals(
        np.insert(beats, 10, 0.0, axis=0), np.insert(amplitude, 10, 0.0)
    )
    assert not with_flat[10].any()
    assert flat_ratio[10] == 1.0
    assert np.array_equal(np.delete(with_flat, 10, axis=0), residual)
    assert np.array_equal(np.delete(flat_ratio, 10), ratio)


def test_segments_divide_the_window():
    assert [SEGMENTS[name] for name in ("P", "QRS", "T")] == [(0, 120), (120, 240), (240, 360)]
    assert SEGMENTS["Global"] == (0, WINDOW)


def test_every_symbol_that_wfdb_knows_is_a_beat_or_is_none():
    from wfdb.io.annotation import ann_labels

    assert {label.symbol for label in ann_labels} - {" "} <= BEAT_SYMBOLS | NON_BEAT_SYMBOLS
    assert not BEAT_SYMBOLS & NON_BEAT_SYMBOLS
