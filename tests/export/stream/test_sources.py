"""Bytes become the same samples whatever pieces they come in; sockets may close and come back."""

from __future__ import annotations

import io
import socket
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.stream.sources import (
    CsvDecoder,
    Int16Decoder,
    open_listener,
    read_socket,
    read_stream,
)
from photonic.errors import ConfigError

CSV = b"time,mV\n0,0.5\n1,-1.25e-1\r\n2,\n3,nan\n4,broken\n\n5,2\n6,7"
CSV_VALUES = [0.5, -0.125, np.nan, np.nan, np.nan, 2.0, 7.0]


def decoded(decoder, pieces):
    arrays = [decoder.push(piece) for piece in pieces]
    return np.concatenate([*arrays, decoder.finish()])


def pieces_of(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.integers(0, len(CSV)), max_size=10))
def test_csv_in_any_pieces(cuts):
    decoder = CsvDecoder(column=1)
    values = decoded(decoder, pieces_of(CSV, cuts))
    assert np.array_equal(values, CSV_VALUES, equal_nan=True)
    assert decoder.num_bad == 1


@given(st.lists(st.integers(0, 40), max_size=10))
def test_int16_in_any_pieces(cuts):
    codes = np.array([1024, 1224, -32768, 0, 2047, 1000], dtype="<i2")
    values = decoded(Int16Decoder(gain=200, baseline=1024), pieces_of(codes.tobytes(), cuts))
    assert np.array_equal(values, [0.0, 1.0, np.nan, -5.12, 5.115, -0.12], equal_nan=True)


def test_half_a_sample_at_the_end_is_counted():
    decoder = Int16Decoder()
    assert len(decoded(decoder, [b"\x01\x00\x02"])) == 1
    assert decoder.num_bad == 1


def test_csv_with_gain_and_baseline():
    assert decoded(CsvDecoder(gain=200.0, baseline=1024.0), [b"1024\n1224\n"]).tolist() == [0, 1]


def test_a_heading_is_skipped_only_at_the_start():
    decoder = CsvDecoder()
    assert np.isnan(decoded(decoder, [b"mV\n1\nmV\n"])).tolist() == [False, True]
    assert decoder.num_bad == 1


def test_a_column_that_is_not_there_is_missing():
    assert np.isnan(decoded(CsvDecoder(column=3), [b"1,2\n"])).all()


def test_a_pipe_is_read_to_its_end():
    chunks = list(read_stream(io.BytesIO(b"1\n2\n3"), CsvDecoder()))
    assert np.concatenate(chunks).tolist() == [1, 2, 3]


def test_a_socket_that_is_closed_and_opened_again():
    received = []
    with open_listener("127.0.0.1:0") as listener:
        address = listener.getsockname()

        def send():
            for text in (b"1\n2\n3", b"4\n5\n"):
                with socket.create_connection(address) as client:
                    client.sendall(text)

        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                received.append(np.concatenate(list(read_socket(connection, CsvDecoder()))))
        sender.join()
    assert [values.tolist() for values in received] == [[1, 2, 3], [4, 5]]


def test_a_connection_that_is_reset_ends():
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(b"1\n2\n")
        theirs.close()
        assert np.concatenate(list(read_socket(ours, CsvDecoder()))).tolist() == [1, 2]


@pytest.mark.parametrize("address", ["5000", "127.0.0.1", "127.0.0.1:99999", ":5000"])
def test_an_address_without_host_or_port_is_refused(address):
    with pytest.raises(ConfigError, match="HOST:PORT is needed"):
        open_listener(address)


def test_an_address_in_use_is_refused():
    with open_listener("127.0.0.1:0") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match="cannot listen"):
            open_listener(f"127.0.0.1:{port}")
