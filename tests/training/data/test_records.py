from __future__ import annotations

import numpy as np
import pytest
import wfdb

from photonic.beats import WINDOW
from photonic.errors import DataError
from training.data.beatset import load_beats
from training.data.labels import label_map
from training.data.record_beats import read_record_beats
from training.data.records import (
    LeadChoice,
    check_rate,
    list_records,
    read_annotations,
    read_header,
    read_signal,
    to_beat_rate,
)

AAMI = label_map("aami-4")


@pytest.mark.parametrize(
    ("choice", "leads", "channel"),
    [
        (LeadChoice(), ("MLII", "V5"), 0),
        (LeadChoice(), ("V5", "MLII"), 1),
        (LeadChoice(lead=1), ("MLII", "V1"), 1),
        (LeadChoice(stand_ins={"102": "V5"}), ("V5", "V2"), 0),
        (LeadChoice(stand_ins={"104": "V5"}), ("V5", "V2"), None),
        (LeadChoice(lead=2), ("V5", "V2"), None),
        (LeadChoice(companion=True), ("V5", "MLII", "V1"), 0),
        (LeadChoice(companion=True), ("MLII", "V1"), 1),
        (LeadChoice(companion=True), ("MLII",), None),
    ],
)
def test_leads_are_chosen_by_name_then_stand_in(choice, leads, channel):
    assert choice.find("102", leads) == channel
    if channel is None:
        with pytest.raises(DataError, match=r"record 102 has no lead .*0 (V5|MLII)"):
            choice.channel("102", leads)
    else:
        assert choice.channel("102", leads) == channel


def test_digits_of_an_option_are_a_channel_index():
    assert LeadChoice.parse("1").lead == 1
    assert LeadChoice.parse("II").lead == "II"


def test_the_named_lead_is_read(write_record):
    folder = write_record("a", leads=("V5", "MLII"))
    header = read_header(folder, "a")
    assert read_signal(folder, header, 1).max() == pytest.approx(2.0, abs=0.01)
    beats = load_beats(folder, AAMI)
    assert beats.records[0].lead == "MLII"


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no WFDB record"):
        list_records(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        list_records(tmp_path / "nowhere")


def test_a_missing_record_is_named(write_record):
    folder = write_record("a")
    with pytest.raises(DataError, match=r"b\.hea does not exist"):
        load_beats(folder, AAMI, records=["b"])


@pytest.mark.parametrize("text", ["", "garbage\n", "a 2 abc\n", "a/2 2 360 9\nx 4\ny 5\n"])
def test_an_unreadable_header_is_named(tmp_path, text):
    (tmp_path / "a.hea").write_text(text)
    with pytest.raises(DataError, match=r"a\.hea (is not a readable|is a multi|names 2 signals)"):
        read_header(tmp_path, "a")


def test_a_header_that_is_no_text_is_named(tmp_path):
    (tmp_path / "a.hea").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"a\.hea is not a readable WFDB header"):
        read_header(tmp_path, "a")


def test_a_missing_signal_is_named(write_record):
    folder = write_record("a")
    (folder / "a.dat").unlink()
    with pytest.raises(DataError, match=r"a\.dat does not exist"):
        load_beats(folder, AAMI)


@pytest.mark.parametrize("num_bytes", [0, 1, 2001, 4000])
def test_a_signal_cut_short_is_named(write_record, num_bytes):
    folder = write_record("a")
    with (folder / "a.dat").open("r+b") as file:
        file.truncate(num_bytes)
    with pytest.raises(DataError, match=rf"a\.dat \({num_bytes} bytes\) is not .*cut short"):
        load_beats(folder, AAMI)


def test_a_signal_in_format_212_cut_short_is_named(synthetic_dir, tmp_path):
    for suffix in ("hea", "dat", "atr"):
        (tmp_path / f"syn01.{suffix}").write_bytes((synthetic_dir / f"syn01.{suffix}").read_bytes())
    with (tmp_path / "syn01.dat").open("r+b") as file:
        file.truncate(50_000)
    with pytest.raises(DataError, match=r"syn01\.dat \(50000 bytes\) is not .*cut short"):
        load_beats(tmp_path, AAMI)


def test_missing_annotations_are_named(write_record):
    folder = write_record("a")
    (folder / "a.atr").unlink()
    with pytest.raises(DataError, match=r"a\.atr does not exist: record a has no annotations"):
        load_beats(folder, AAMI)


@pytest.mark.parametrize("keep", [0, 15, 20])
def test_annotations_cut_short_are_named(write_record, keep):
    folder = write_record("a")
    path = folder / "a.atr"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"a\.atr has no end mark"):
        load_beats(folder, AAMI)


def test_a_symbol_outside_wfdb_is_named_with_record_and_sample(write_record):
    folder = write_record("a")
    code_without_symbol = (45 << 10) | 300
    (folder / "a.atr").write_bytes(code_without_symbol.to_bytes(2, "little") + b"\0\0")
    with pytest.raises(DataError, match=r"record a: .*'undefined' at sample 300"):
        load_beats(folder, AAMI)


def test_another_rate_needs_to_be_asked_for(write_record):
    folder = write_record("a", fs_hz=250)
    with pytest.raises(DataError, match=r"record a is sampled at 250 Hz.*--resample 360"):
        load_beats(folder, AAMI)
    assert len(load_beats(folder, AAMI, resample=True)) == 5


def test_a_rate_without_a_qrs_complex_is_refused(write_record):
    folder = write_record("a", fs_hz=20)
    with pytest.raises(DataError, match="20 Hz; 50 to 20000 Hz can be resampled"):
        check_rate(read_header(folder, "a"), resample=True)


@pytest.mark.parametrize("fs_hz", [128, 250, 257, 1000])
@pytest.mark.parametrize("offset_mv", [0.0, 20.0])
def test_resampled_beats_are_those_of_the_original(write_record, fs_hz, offset_mv):
    folder = write_record("slow", fs_hz=fs_hz, offset_mv=offset_mv)
    write_record("a", offset_mv=offset_mv)
    beats = load_beats(folder, AAMI, resample=True)
    reference, resampled = (beats.of_records([name]) for name in ("a", "slow"))
    np.testing.assert_allclose(beats.sample[resampled], beats.sample[reference], atol=1)
    # Half a sample of rounding on a pulse of 20 ms, and a codes' step of 1 µV.
    np.testing.assert_allclose(beats.beats[resampled], beats.beats[reference], atol=0.06)


def test_resampling_keeps_a_sine_and_spreads_a_gap_little():
    time_s = np.arange(2500) / 250
    sine = np.sin(2 * np.pi * 5 * time_s)
    sine[1250] = np.nan
    at_360 = to_beat_rate(sine, 250.0)
    expected = np.sin(2 * np.pi * 5 * np.arange(3600) / 360)
    good = np.isfinite(at_360)
    assert 0 < (~good).sum() < 60
    np.testing.assert_allclose(at_360[good][40:-40], expected[good][40:-40], atol=0.01)


def test_beats_in_a_gap_are_dropped_and_counted_but_stay_neighbours(write_record):
    folder = write_record("a", symbols="NNNNNN", gap=slice(900, 950))
    whole = write_record("b", symbols="NNNNNN")
    with_gap = read_record_beats(folder, read_header(folder, "a"), 0)
    without = read_record_beats(whole, read_header(whole, "b"), 0)
    lost = without.sample[~np.isin(without.sample, with_gap.sample)]
    assert with_gap.num_gaps == len(lost) == 1
    kept = np.isin(without.sample, with_gap.sample)
    # Intervals are still taken to and from the beat that has no window.
    assert np.array_equal(with_gap.rhythm[..., :3], without.rhythm[kept][..., :3])


def test_annotation_times_in_another_unit_are_converted(write_record):
    folder = write_record("a")
    r_peaks = read_annotations(folder, read_header(folder, "a")).samples
    wfdb.wrann("a", "atr", r_peaks * 2, symbol=["N"] * 5, fs=720, write_dir=str(folder))
    again = read_annotations(folder, read_header(folder, "a"))
    assert np.array_equal(again.samples, r_peaks)


def test_a_window_is_centred_on_its_annotation(write_record):
    folder = write_record("a")
    beats = load_beats(folder, AAMI)
    assert (beats.beats.argmax(axis=1) == WINDOW // 2).all()
