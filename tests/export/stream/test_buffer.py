"""The buffer holds what a list would hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from export.stream.buffer import SampleBuffer


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), max_size=40))
def test_buffer_holds_the_samples_since_what_was_dropped(steps):
    buffer = SampleBuffer(capacity=16)
    total, start = 0, 0
    for num, keep in steps:
        buffer.append(np.arange(total, total + num, dtype=float))
        total += num
        start = max(start, total - keep)
        buffer.drop_before(start)
        assert (buffer.start, buffer.end) == (start, total)
        assert np.array_equal(buffer.view(start, total), np.arange(start, total))


def test_a_view_does_not_copy():
    buffer = SampleBuffer()
    buffer.append(np.arange(100.0))
    assert np.shares_memory(buffer.view(10, 20), buffer.view(15, 30))


def test_memory_stays_bounded():
    buffer = SampleBuffer(capacity=64)
    for _ in range(1000):
        buffer.append(np.zeros(20))
        buffer.drop_before(buffer.end - 30)
    assert len(buffer._data) <= 256
