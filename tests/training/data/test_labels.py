from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from photonic.beats import BEAT_SYMBOLS
from photonic.errors import ConfigError, DataError
from training.data.ecg import EcgDataOptions
from training.data.labels import DROPPED, LABEL_MAPS, in_flutter, is_beat, label_map
from training.data.splits import SPLITS


def classes_of(name: str, symbols: str, **options: str) -> str:
    """Class names of symbols, a dot where the map has none."""
    labels = label_map(name, **options)
    return "".join(
        "." if index == DROPPED else labels.classes[index]
        for index in labels.encode(np.array(list(symbols)))
    )


@pytest.mark.parametrize(
    ("name", "symbols", "classes"),
    [
        ("aami-4", "NLRej", "NNNNN"),
        ("aami-4", "AaJS", "SSSS"),
        ("aami-4", "VE", "VV"),
        ("aami-4", "F/fQ", "OOOO"),
        ("aami-4", "Bnr?", "NSVO"),  # as PhysioNet's bxb
        ("aami-5", "NLRejBAaJSnVErF/fQ?", "NNNNNNSSSSSVVVFQQQQ"),
    ],
)
def test_aami_maps(name, symbols, classes):
    assert classes_of(name, symbols) == classes


@pytest.mark.parametrize("name", ["aami-binary", "aami-4", "aami-5"])
def test_aami_maps_have_a_class_for_every_beat(name):
    assert set(label_map(name).symbols) == BEAT_SYMBOLS


def test_aami_binary_is_n_against_the_rest():
    labels = label_map("aami-binary")
    four = label_map("aami-4")
    symbols = np.array(sorted(BEAT_SYMBOLS))
    assert np.array_equal(labels.encode(symbols), (four.encode(symbols) > 0).astype(int))


def test_the_founding_map_is_literal():
    labels = label_map("seed-binary")
    assert dict(labels.symbols) == {"N": 0, "V": 1, "S": 1, "F": 1, "Q": 1}
    assert classes_of("seed-binary", "AaJELRej/f") == "." * 10


def test_escape_beats_go_where_they_are_told():
    assert classes_of("aami-4", "ej", escape="S") == "SS"
    assert classes_of("aami-5", "ej", escape="N") == "NN"
    with pytest.raises(ConfigError, match="choose N or S"):
        label_map("aami-4", escape="V")


def test_an_unknown_map_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'aami-3'.*seed-binary.*aami-5"):
        label_map("aami-3")


def test_options_offer_every_map_and_split():
    fields = EcgDataOptions.model_fields
    assert get_args(fields["labels"].annotation) == LABEL_MAPS
    assert get_args(fields["split"].annotation) == SPLITS


def test_an_unknown_symbol_is_named_with_record_and_sample():
    symbols, samples = np.array(["N", "+", "Z", "Z"]), np.array([10, 20, 30, 40])
    with pytest.raises(DataError, match=r"record 300: annotation symbol 'Z' at sample 30 .*2 such"):
        is_beat(symbols, samples, "300")


def test_non_beats_are_no_beats():
    symbols = np.array(["N", "+", "~", "|", '"', "!", "[", "]", "x", "V"])
    assert is_beat(symbols, np.arange(10), "300").tolist() == [True, *[False] * 8, True]


def test_flutter_lasts_from_bracket_to_bracket():
    symbols = np.array(["N", "[", "!", "]", "N", "["])
    samples = np.array([10, 20, 30, 40, 50, 60])
    beats = np.array([10, 25, 45, 70])
    assert in_flutter(symbols, samples, beats).tolist() == [False, True, False, True]
