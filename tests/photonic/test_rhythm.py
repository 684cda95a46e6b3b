from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonic.errors import DataError
from photonic.rhythm import POST_SLOTS, RhythmState, causal_tokens, rhythm_tokens

intervals = st.lists(st.integers(1, 3000), max_size=60)


def assert_stream_agrees(r_peaks: np.ndarray, ratio: np.ndarray) -> None:
    """Bit for bit, both variants."""
    bulk = rhythm_tokens(r_peaks, ratio)
    causal = causal_tokens(bulk)
    state = RhythmState()
    for i, r_peak in enumerate(r_peaks.tolist()):
        if i:
            assert np.array_equal(state.with_post(r_peak), bulk[i - 1])
        assert np.array_equal(state.push(r_peak, float(ratio[i])), causal[i])
    assert np.array_equal(causal[-1:], bulk[-1:])


@given(gaps=intervals, seed=st.integers(0, 2**16))
def test_tokens_in_bulk_are_those_of_the_stream(gaps, seed):
    r_peaks = 500 + np.cumsum([0, *gaps])
    ratio = np.random.default_rng(seed).uniform(0.01, 9.0, size=len(r_peaks)).astype(np.float32)
    assert_stream_agrees(r_peaks, ratio)


def test_the_comparison_sees_one_sample_of_difference():
    r_peaks = np.cumsum([500, 300, 310, 290, 305])
    shifted = r_peaks + np.array([0, 0, 0, 1, 0])
    assert not np.array_equal(rhythm_tokens(r_peaks), rhythm_tokens(shifted))


def test_tokens_in_bulk_are_those_of_the_stream_on_real_records(mitdb_dir):
    import wfdb

    for name in ("207", "232"):  # flutter, and pauses of six seconds
        r_peaks = wfdb.rdann(str(mitdb_dir / name), "atr").sample
        assert_stream_agrees(r_peaks, np.ones(len(r_peaks), dtype=np.float32))


def test_no_beats_give_no_tokens():
    assert rhythm_tokens([]).shape == (0, 2, 4)


def test_a_steady_rhythm_of_75_per_minute_gives_zeros():
    assert not rhythm_tokens(1000 + 288 * np.arange(30)).any()


def test_slots_by_hand():
    # Intervals 300, 300, 200, 400 samples; the beat after 200 is premature, with a pause.
    tokens = rhythm_tokens([1000, 1300, 1600, 1800, 2200], [1.0, 1.0, 1.0, 1.5, 1.0])
    rhythm, other = tokens[3].astype(np.float64)
    log = np.log
    assert rhythm == pytest.approx(
        np.tanh([3 * log(200 / 300), 3 * log(400 / 300), 3 * log(200 / 300), 2 * log(400 / 200)])
    )
    irregularity = (0.0 + abs(log(200 / 300))) / 2
    assert other == pytest.approx(
        np.tanh([3 * log(200 / 300), 6 * irregularity, 2 * (200 / 360 - 0.8), 2 * log(1.5)])
    )


def test_slots_by_their_definition():
    r_peaks = np.cumsum(np.random.default_rng(0).integers(100, 600, size=80))
    rr = np.diff(r_peaks)
    tokens = rhythm_tokens(r_peaks)
    for beat in (15, 40, 78):
        pre, post, past = rr[beat - 1], rr[beat], rr[: beat - 1]
        changes = np.abs(np.diff(np.log(rr[:beat])))[-10:]
        expected = [
            [
                3 * np.log(pre / past[-10:].mean()),
                3 * np.log(post / past[-10:].mean()),
                3 * np.log(pre / past.mean()),
                2 * np.log(post / pre),
            ],
            [3 * np.log(pre / past[-1]), 6 * changes.mean(), 2 * (pre / 360 - 0.8), 0.0],
        ]
        np.testing.assert_allclose(tokens[beat], np.tanh(expected), rtol=1e-5)


def test_the_first_beats_know_nothing_of_a_past():
    tokens = rhythm_tokens([700, 1000, 1250])
    assert not tokens[0].any()
    # The second has an interval, 300 samples, and nothing to compare it with.
    assert tokens[1, 0, 0] == tokens[1, 0, 2] == tokens[1, 1, 0] == tokens[1, 1, 1] == 0.0
    assert tokens[1, 1, 2] == pytest.approx(np.tanh(2 * (300 / 360 - 0.8)))
    assert tokens[1, 0, 3] == pytest.approx(np.tanh(2 * np.log(250 / 300)))


@given(gaps=st.lists(st.integers(60, 1000), min_size=12, max_size=40), shift=st.integers(1, 500))
def test_nothing_looks_further_ahead_than_one_beat(gaps, shift):
    r_peaks = np.cumsum(gaps)
    later = r_peaks.copy()
    later[8:] += shift
    before, after = rhythm_tokens(r_peaks), rhythm_tokens(later)
    assert np.array_equal(before[:7], after[:7])
    assert np.array_equal(causal_tokens(before)[:8], causal_tokens(after)[:8])


def test_only_the_post_slots_differ_between_the_variants():
    tokens = rhythm_tokens(np.cumsum([300, 250, 330, 400, 280, 290]))
    differing = {
        (token, channel) for _, token, channel in np.argwhere(tokens != causal_tokens(tokens))
    }
    assert differing == set(POST_SLOTS)


def test_two_marks_of_one_beat_and_a_lost_lead_count_as_the_limits():
    assert np.array_equal(rhythm_tokens([0, 300, 300]), rhythm_tokens([0, 300, 354]))
    assert np.array_equal(rhythm_tokens([0, 300, 1380]), rhythm_tokens([0, 300, 99_999]))


def test_a_successor_without_a_beat_is_refused():
    with pytest.raises(DataError, match="no beat was pushed"):
        RhythmState().with_post(300)
