from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from photonic.errors import ConfigError, DataError
from training.data.beatset import BeatSet, RecordSummary
from training.data.ecg import EcgDataOptions, load_ecg
from training.data.labels import label_map
from training.data.splits import MITDB_PLANS, SPLITS, plan_split

ALL_MITDB = sorted({name for plan in MITDB_PLANS.values() for name in plan.records} | {"217"})


def made_up(records: dict[str, str], labels: str = "aami-4") -> BeatSet:
    """Beats with the symbols given per record and nothing in their arrays."""
    mapping = label_map(labels)
    symbol = np.array(list("".join(records.values())))
    num = len(symbol)
    return BeatSet(
        beats=np.zeros((num, 360), np.float32),
        residual=None,
        amplitude=np.ones(num, np.float32),
        rhythm=np.zeros((num, 2, 4), np.float32),
        label=mapping.encode(symbol),
        symbol=symbol,
        record=np.repeat(np.arange(len(records), dtype=np.int32), [*map(len, records.values())]),
        sample=np.arange(num),
        records=tuple(
            RecordSummary(
                name=name,
                lead="MLII",
                fs_hz=360.0,
                duration_s=60.0,
                num_outside=0,
                num_gaps=0,
                num_flutter=0,
                num_unmapped=0,
            )
            for name in records
        ),
        excluded=(),
        labels=mapping,
    )


def names_of(beats: BeatSet, index: np.ndarray) -> set[str]:
    return {beats.record_names[record] for record in beats.record[index]}


@pytest.mark.parametrize(
    ("name", "num_train", "num_test"),
    [("seed", 32, 15), ("seed-patient", 32, 15), ("ds1-ds2", 22, 22)],
)
def test_record_lists_of_the_mit_bih_splits(name, num_train, num_test):
    plan = plan_split(name, ALL_MITDB)
    assert (len(plan.train), len(plan.test)) == (num_train, num_test)
    assert len(set(plan.records)) == num_train + num_test
    if plan.folds:
        assert sorted(record for fold in plan.folds for record in fold) == sorted(plan.train)


def test_both_seed_splits_have_the_same_records_and_stand_ins():
    seed, patient = MITDB_PLANS["seed"], MITDB_PLANS["seed-patient"]
    assert (seed.train, seed.test) == (patient.train, patient.test)
    assert seed.stand_ins == patient.stand_ins == {"102": "V5", "104": "V5"}


def test_ds1_and_ds2_hold_no_paced_record_and_need_no_stand_in():
    plan = MITDB_PLANS["ds1-ds2"]
    assert not set(plan.records) & {"102", "104", "107", "217"}
    assert not plan.stand_ins


def test_parts_are_disjoint_and_folds_make_up_train_and_val(synthetic_dir):
    split = load_ecg(synthetic_dir, EcgDataOptions(split="by-record"), seed=0).split
    beats = load_ecg(synthetic_dir, EcgDataOptions(split="by-record"), seed=0).beats
    parts = np.concatenate([split.train, split.val, split.test])
    assert len(np.unique(parts)) == len(parts) == len(beats)
    assert np.array_equal(np.sort(np.concatenate(split.folds)), split.selection)
    assert np.array_equal(split.val, split.folds[0])
    assert names_of(beats, split.test) == {"syn05", "syn06"}
    owners = [names_of(beats, fold) for fold in split.folds]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 4
    for number, fold in enumerate(split.folds):
        other = split.fold(number)
        assert np.array_equal(other.val, fold)
        assert np.array_equal(other.selection, split.selection)
        assert not np.intersect1d(other.train, other.val).size
    with pytest.raises(ConfigError, match="fold 3 of split by-record: it has 3 folds"):
        split.fold(3)


def test_folds_share_the_classes_out_whatever_the_seed(synthetic_dir):
    options = EcgDataOptions(split="by-record")
    one, other = (load_ecg(synthetic_dir, options, seed=seed) for seed in (0, 1))
    for fold, again in zip(one.split.folds, other.split.folds, strict=True):
        assert np.array_equal(fold, again)
        assert min(one.beats.class_counts(fold).values()) > 0


def test_named_folds_are_used_and_paced_records_fall_out():
    plan = MITDB_PLANS["seed-patient"]
    beats = made_up({name: "NNSVF" for name in plan.records if name not in {"102", "104", "107"}})
    split = plan.resolve(beats, seed=0)
    assert len(split.folds) == 3
    assert names_of(beats, split.val) == set(plan.folds[0]) - {"102"}
    assert names_of(beats, split.test) == set(plan.test)


def test_the_random_share_is_stratified_and_seeded():
    plan = MITDB_PLANS["seed"]
    beats = made_up(dict.fromkeys(plan.records, "N" * 40 + "V" * 10), "seed-binary")
    split = plan.resolve(beats, seed=5)
    assert beats.class_counts(split.val) == {"normal": 256, "abnormal": 64}
    assert len(split.selection) == 32 * 50
    assert split.folds == ()
    assert "share patients" in split.note
    assert np.array_equal(plan.resolve(beats, seed=5).val, split.val)
    assert not np.array_equal(plan.resolve(beats, seed=6).val, split.val)


def test_lists_of_the_user(synthetic_dir):
    options = EcgDataOptions(
        split="lists",
        train_records=("syn01", "syn03"),
        val_records=("syn04",),
        test_records=("syn02",),
    )
    data = load_ecg(synthetic_dir, options, seed=0)
    parts = (data.split.train, data.split.val, data.split.test)
    assert [sorted(names_of(data.beats, part)) for part in parts] == [
        ["syn01", "syn03"],
        ["syn04"],
        ["syn02"],
    ]
    assert data.split.folds == ()
    assert data.beats.record_names == ("syn01", "syn03", "syn04", "syn02")


def test_lists_without_validation_draw_folds_and_without_test_have_none(synthetic_dir):
    options = EcgDataOptions(split="lists", train_records=("syn01", "syn02", "syn03", "syn04"))
    data = load_ecg(synthetic_dir, options, seed=0)
    assert len(data.split.folds) == 3
    assert len(data.split.test) == 0


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({}, "needs records to train on"),
        ({"train": ["a", "b"], "test": ["b"]}, "b named more than once"),
        ({"train": ["a", "z"], "test": ["b"]}, "needs records z "),
    ],
)
def test_lists_that_cannot_be_are_refused(lists, message):
    with pytest.raises((ConfigError, DataError), match=message):
        plan_split("lists", ["a", "b", "c"], **lists)


def test_lists_beside_a_named_split_are_refused():
    with pytest.raises(ConfigError, match="split by-record has its own records"):
        plan_split("by-record", ["a", "b", "c"], test=["a"])


def test_an_unknown_split_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'ds2-ds1' is unknown: choose one of seed, .*lists"):
        plan_split("ds2-ds1", ALL_MITDB)


@pytest.mark.parametrize("name", ["seed", "seed-patient", "ds1-ds2"])
def test_a_folder_without_the_records_is_told_what_to_do(name):
    with pytest.raises(DataError, match=r"\(\d\d of 4\d are not in the folder\).*by-record"):
        plan_split(name, ["100", "101", "mine"])


@pytest.mark.parametrize("available", [["a"], ["a", "b"]])
def test_too_few_records_for_a_split_by_record(available):
    with pytest.raises(DataError, match=f"at least 3 records .*holds {len(available)}"):
        plan_split("by-record", available)


def test_one_training_record_cannot_validate():
    with pytest.raises(DataError, match="1 record to train and validate on"):
        plan_split("lists", ["a", "b"], train=["a"], test=["b"]).resolve(
            made_up({"a": "NSVF" * 5, "b": "NSVF"}), seed=0
        )


def test_a_class_without_a_training_beat_is_named():
    records = {"a": "NNNVVV", "b": "NNNVV", "c": "NNNVVVF", "d": "NSVF"}
    with pytest.raises(DataError, match="no training beat of class S"):
        plan_split("by-record", sorted(records)).resolve(made_up(records), seed=0)


def test_a_rare_class_does_not_stop_the_folds():
    records = {"a": "NNNSVVF", "b": "NNNSVVF", "c": "NNNSVVF", "d": "NNNSVVFQ", "e": "N", "f": "N"}
    split = plan_split("by-record", sorted(records)).resolve(made_up(records), seed=0)
    assert len(split.folds) == 3


def test_every_name_has_a_plan():
    for name in SPLITS:
        lists = {"train": ["100", "101"]} if name == "lists" else {}
        assert plan_split(name, ALL_MITDB, **lists).name == name


def in_both_leads(records: dict[str, str]) -> BeatSet:
    """Made-up beats, and the same ones again in a companion lead."""
    one = made_up(records)
    num, count = len(one), len(records)
    twice = np.tile(np.arange(num), 2)
    again = tuple(dataclasses.replace(r, lead="V5", companion=True) for r in one.records)
    return dataclasses.replace(
        one.select(twice),
        record=np.concatenate([one.record, one.record + count]).astype(np.int32),
        records=one.records + again,
    )


@pytest.mark.parametrize("name", ["by-record", "lists"])
def test_a_companion_lead_is_learned_from_and_never_chooses_or_tests(name):
    records = dict.fromkeys("abcdef", "NNSSVVFF")
    beats = in_both_leads(records)
    lists = {"train": ["a", "b"], "val": ["c", "d"], "test": ["e", "f"]} if name == "lists" else {}
    split = plan_split(name, sorted(records), **lists).resolve(beats, seed=0)
    companion = np.array([r.companion for r in beats.records])[beats.record]
    for part in (split.val, split.test, split.selection, *split.folds):
        assert not companion[part].any()
    assert companion[split.train].sum() == (~companion[split.train]).sum() == 16
    # Without folds the student is trained once, on a and b; with folds last on all four.
    assert names_of(beats, split.learned) == set("ab" if name == "lists" else "abcd")
    assert np.array_equal(split.learned[companion[split.learned]], split.companions)


def test_no_fold_learns_from_the_other_lead_of_a_patient_it_validates_on():
    records = dict.fromkeys("abcdef", "NNSSVVFF")
    beats = in_both_leads(records)
    split = plan_split("by-record", sorted(records)).resolve(beats, seed=0)
    for number in range(len(split.folds)):
        part = split.fold(number)
        assert not names_of(beats, part.train) & names_of(beats, part.val)
        assert len(part.train) == 2 * (len(split.selection) - len(part.val))
        assert np.array_equal(part.learned, split.learned)


def test_a_random_share_learns_from_the_other_lead_of_its_training_beats_alone():
    plan = MITDB_PLANS["seed"]
    beats = in_both_leads(dict.fromkeys(plan.records, "NSVF" * 5))
    split = plan.resolve(beats, seed=5)
    half = len(beats) // 2
    assert np.array_equal(split.companions - half, np.setdiff1d(split.train, split.companions))
    assert np.array_equal(split.learned, split.train)


def test_both_leads_are_read_for_the_records_to_train_on(synthetic_dir):
    options = EcgDataOptions(split="by-record", both_leads=True)
    data, plain = (
        load_ecg(synthetic_dir, given, seed=0, residual=True)
        for given in (options, EcgDataOptions(split="by-record"))
    )
    beats, split = data.beats, data.split
    read = [(r.name, r.lead, r.companion) for r in beats.records]
    assert read[6:] == [(f"syn0{i}", "V5", True) for i in range(1, 5)]
    assert [r[1:] for r in read[:6]] == [("MLII", False)] * 6
    # First come all beats that there would be anyway, and the same ones validate and test.
    assert np.array_equal(beats.beats[: len(plain.beats)], plain.beats.beats)
    for part in ("val", "test", "selection"):
        assert np.array_equal(getattr(split, part), getattr(plain.split, part))
    # An example's beat, amplitude and residual are of one lead, its label and rhythm of the beat.
    one, other = beats.of_records(["syn02"]), beats.of_records(["syn02"], companion=True)
    for name in ("label", "symbol", "sample"):
        assert np.array_equal(getattr(beats, name)[one], getattr(beats, name)[other])
    for name in ("beats", "residual", "amplitude"):
        assert not np.array_equal(getattr(beats, name)[one], getattr(beats, name)[other])
    assert np.array_equal(beats.rhythm[one][..., :3], beats.rhythm[other][..., :3])


def test_a_record_of_one_lead_has_no_companion_to_learn_from(write_record):
    for name in "abc":
        write_record(name, symbols="NNNSSVVFFN", leads=("MLII",) if name == "a" else ("MLII", "V1"))
    folder = write_record("d", symbols="NNNSSVVFFN")
    options = EcgDataOptions(
        split="lists",
        train_records=("a", "b"),
        val_records=("c",),
        test_records=("d",),
        both_leads=True,
    )
    data = load_ecg(folder, options, seed=0)
    assert names_of(data.beats, data.split.companions) == {"b"}
