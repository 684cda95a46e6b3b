from __future__ import annotations

import dataclasses
import os
import shutil

import numpy as np
import pytest

from photonic.beats import normalise, template_residuals, window
from photonic.errors import DataError
from photonic.rhythm import rhythm_tokens
from training.data import cache as cache_module
from training.data.beatset import BeatSet, load_beats
from training.data.cache import cache_directory
from training.data.labels import is_beat, label_map
from training.data.records import LeadChoice, read_annotations, read_header, read_signal

AAMI = label_map("aami-4")
ARRAYS = ("beats", "residual", "amplitude", "rhythm", "label", "symbol", "record", "sample")


def assert_same(one: BeatSet, other: BeatSet) -> None:
    for name in ARRAYS:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.records == other.records


def test_arrays_agree_with_the_record(synthetic_dir):
    beats = load_beats(synthetic_dir, AAMI, residual=True)
    index = beats.of_records(["syn02"])
    header = read_header(synthetic_dir, "syn02")
    annotations = read_annotations(synthetic_dir, header)
    beat = is_beat(annotations.symbols, annotations.samples, "syn02")
    r_peaks = annotations.samples[beat]
    cut = window(read_signal(synthetic_dir, header, 0), r_peaks)
    shapes, amplitude = normalise(cut.values)
    residual, ratio = template_residuals(shapes, amplitude)
    ratios = np.ones(len(r_peaks))
    ratios[cut.kept] = ratio
    assert np.array_equal(beats.beats[index], shapes)
    assert np.array_equal(beats.amplitude[index], amplitude)
    assert beats.residual is not None
    assert np.array_equal(beats.residual[index], residual)
    assert np.array_equal(beats.rhythm[index], rhythm_tokens(r_peaks, ratios)[cut.kept])
    assert np.array_equal(beats.sample[index], r_peaks[cut.kept])
    assert np.array_equal(beats.symbol[index], annotations.symbols[beat][cut.kept])
    assert [beats.record_names[i] for i in set(beats.record[index])] == ["syn02"]


def test_jitter_moves_windows_and_intervals_by_no_more_and_leaves_what_is_known(synthetic_dir):
    still = load_beats(synthetic_dir, AAMI, residual=True)
    moved = load_beats(synthetic_dir, AAMI, residual=True, jitter=8)
    assert_same(moved, load_beats(synthetic_dir, AAMI, residual=True, jitter=8))
    for name in ("label", "symbol", "sample"):
        assert np.array_equal(getattr(moved, name), getattr(still, name))
    index = moved.of_records(["syn02"])
    signal = read_signal(synthetic_dir, read_header(synthetic_dir, "syn02"), 0)
    shifts = []
    for i in index:
        tried = normalise(window(signal, moved.sample[i] + np.arange(-8, 9)).values)[0]
        shifts.append(np.flatnonzero((tried == moved.beats[i]).all(axis=1))[0] - 8)
    assert {-8, 8} <= set(shifts)
    assert not np.array_equal(moved.rhythm[index], still.rhythm[index])


def test_beats_without_a_class_are_dropped_and_counted_but_stay_neighbours(write_record):
    folder = write_record("a", symbols="NANVN")
    beats = load_beats(folder, label_map("seed-binary"))
    everything = load_beats(folder, AAMI)
    assert beats.symbol.tolist() == ["N", "N", "V", "N"]
    assert beats.records[0].num_unmapped == 1
    assert np.array_equal(beats.rhythm, everything.rhythm[everything.symbol != "A"])


def test_windows_that_leave_the_record_are_counted(write_record):
    folder = write_record("a", symbols="NNNN", rr_s=0.8)
    # The second record starts later: its first beat is too near to the edge.
    shutil.copy(folder / "a.atr", folder / "b.atr")
    header = (
        (folder / "a.hea").read_text().replace("a ", "b ", 1).replace("a.dat 16", "a.dat 16+900")
    )
    (folder / "b.hea").write_text(header.replace(" 1584", " 1359"))
    beats = load_beats(folder, AAMI)
    assert [record.num_outside for record in beats.records] == [0, 1]


def test_flutter_is_left_out_by_the_aami_maps(write_record):
    folder = write_record("a", symbols="NN[NN]NN")
    assert len(load_beats(folder, AAMI)) == 4
    assert load_beats(folder, AAMI).records[0].num_flutter == 2
    assert len(load_beats(folder, label_map("seed-binary"))) == 6


def test_paced_records_are_left_out_by_the_aami_maps_and_kept_on_demand(write_record):
    folder = write_record("a")
    write_record("p", symbols="NN//N", leads=("V5", "V2"))  # no MLII: no reason to stop
    beats = load_beats(folder, AAMI)
    assert (beats.record_names, beats.excluded) == (("a",), ("p",))
    kept = load_beats(folder, AAMI, keep_paced=True, lead=LeadChoice(stand_ins={"p": "V5"}))
    assert (kept.record_names, kept.excluded) == (("a", "p"), ())
    assert [record.lead for record in kept.records] == ["MLII", "V5"]
    assert kept.class_counts(kept.of_records(["p"])) == {"N": 3, "S": 0, "V": 0, "O": 2}
    with pytest.raises(DataError, match="record p has no lead MLII"):
        load_beats(folder, AAMI, keep_paced=True)


def test_no_beat_left_is_an_error_that_says_why(write_record):
    folder = write_record("p", symbols="///")
    with pytest.raises(DataError, match=r"no beat is left in 0 records .* 1 paced"):
        load_beats(folder, AAMI)
    with pytest.raises(DataError, match="no beat is left in 1 records"):
        load_beats(folder, label_map("seed-binary"))


def test_the_companion_lead_has_the_same_beats_of_another_shape(synthetic_dir):
    first = load_beats(synthetic_dir, AAMI)
    second = load_beats(synthetic_dir, AAMI, lead=LeadChoice(companion=True))
    assert {record.lead for record in second.records} == {"V5"}
    assert np.array_equal(first.sample, second.sample)
    assert np.abs(first.beats - second.beats).max() > 0.5


def test_selected_beats_keep_their_columns_together(synthetic_dir):
    beats = load_beats(synthetic_dir, AAMI, residual=True)
    some = beats.select(np.array([40, 3, 17]))
    for name in ARRAYS:
        assert np.array_equal(getattr(some, name)[1], getattr(beats, name)[3])
    assert len(some) == 3


def test_progress_is_told_once_per_record(synthetic_dir):
    seen: list[str] = []
    load_beats(synthetic_dir, AAMI, on_record=seen.append)
    assert seen == [f"syn{i:02d}" for i in range(1, 7)]


@pytest.fixture
def no_reading(monkeypatch):
    """Make reading a record an error, so that only the cache can answer."""

    def refuse(*_: object) -> None:
        raise AssertionError("read from the record, not from the cache")

    return lambda: monkeypatch.setattr(cache_module, "read_record_beats", refuse)


def test_the_cache_gives_the_same_beats(synthetic_dir, no_reading):
    fresh = load_beats(synthetic_dir, AAMI, residual=True)
    no_reading()
    assert_same(load_beats(synthetic_dir, AAMI, residual=True), fresh)
    assert load_beats(synthetic_dir, AAMI).residual is None


def test_a_copy_of_the_records_finds_the_cache(synthetic_dir, tmp_path, no_reading):
    fresh = load_beats(synthetic_dir, AAMI, residual=True)
    shutil.copytree(synthetic_dir, tmp_path / "copy")
    no_reading()
    assert_same(load_beats(tmp_path / "copy", AAMI, residual=True), fresh)


def test_an_edited_record_is_read_again(write_record):
    folder = write_record("a")
    before = load_beats(folder, AAMI)
    times = (folder / "a.dat").stat()
    codes = np.fromfile(folder / "a.dat", dtype="<i2")
    codes[1200] += 500  # same size
    codes.tofile(folder / "a.dat")
    os.utime(folder / "a.dat", ns=(times.st_atime_ns, times.st_mtime_ns))  # and same date
    assert (load_beats(folder, AAMI).beats != before.beats).any()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"no archive",
        lambda content: content[:9000] + bytes([content[9000] ^ 255]) + content[9001:],
    ],
    ids=["half", "empty", "text", "one byte"],
)
def test_a_damaged_cache_is_rebuilt(write_record, cache, damage):
    folder = write_record("a", symbols="N" * 20)
    fresh = load_beats(folder, AAMI, residual=True)
    (stored,) = cache.iterdir()
    whole = stored.read_bytes()
    stored.write_bytes(damage(whole))
    assert_same(load_beats(folder, AAMI, residual=True), fresh)
    assert stored.read_bytes() == whole


def test_a_cache_with_arrays_of_another_shape_is_rebuilt(write_record, cache):
    folder = write_record("a")
    fresh = load_beats(folder, AAMI, residual=True)
    (stored,) = cache.iterdir()
    with np.load(stored) as file:
        arrays = dict(file)
    np.savez(stored, **(arrays | {"beats": arrays["beats"][:2]}))
    assert_same(load_beats(folder, AAMI, residual=True), fresh)


def test_a_cache_with_pickled_objects_is_rebuilt_not_unpickled(write_record, cache):
    folder = write_record("a")
    fresh = load_beats(folder, AAMI, residual=True)
    (stored,) = cache.iterdir()
    with np.load(stored) as file:
        arrays = dict(file)
    np.savez(stored, **(arrays | {"beats": np.array([{"a": 1}], dtype=object)}))
    assert_same(load_beats(folder, AAMI, residual=True), fresh)


def test_a_cache_that_cannot_be_written_costs_time_only(write_record, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PHOTONIC_CACHE", str(tmp_path / "file" / "cache"))
    assert len(load_beats(write_record("a"), AAMI)) == 5


def test_nothing_but_whole_files_is_left_in_the_cache(write_record, cache, monkeypatch):
    def interrupted(file, **_: object) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    folder = write_record("a")
    with pytest.raises(KeyboardInterrupt):
        load_beats(folder, AAMI)
    assert not list(cache.iterdir())


def test_the_cache_folder_is_named_by_the_environment_or_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("PHOTONIC_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("PHOTONIC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory().name == "photonic"


def test_a_beat_set_cannot_be_changed(write_record):
    beats = load_beats(write_record("a"), AAMI)
    with pytest.raises(dataclasses.FrozenInstanceError):
        beats.label = beats.label + 1  # pyright: ignore[reportAttributeAccessIssue]
