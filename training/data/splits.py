"""Splits: which beats train, which choose, which are tested; a named registry.

A plan is made from record names before anything is read, because it also says which records to
read and which lead stands in where the wanted one is missing. Resolved on the beats it becomes
index arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from photonic.errors import ConfigError, DataError
from training.data.beatset import BeatSet, Indices

_NUM_FOLDS = 3
_VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into one :class:`BeatSet`, each ascending; train, val and test are disjoint.

    Beats in a companion lead are only ever learned from, and never while the same patient
    validates: whatever chooses or tests is in the chosen lead.

    Attributes:
        name: name in the registry.
        train: beats that the student learns from, companions among them.
        val: beats that choose checkpoint and threshold; with folds, the first of them.
        test: beats that are scored once.
        folds: patient-wise folds of train and val for cross-validation; empty where validation is
            a random share of the beats.
        note: what a report must say about it.
        companions: beats of the records to train on in their companion lead.
        companion_folds: of these the ones of each fold's records.
    """

    name: str
    train: Indices
    val: Indices
    test: Indices
    folds: tuple[Indices, ...]
    note: str
    companions: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    companion_folds: tuple[Indices, ...] = ()

    @property
    def selection(self) -> Indices:
        """Every beat that may take part in choosing: train and val in the chosen lead."""
        return np.setdiff1d(np.union1d(self.train, self.val), self.companions)

    @property
    def learned(self) -> Indices:
        """Every beat that the final student learns from: all of them where there are folds."""
        return np.union1d(self.selection, self.companions) if self.folds else self.train

    def fold(self, number: int) -> Split:
        """The same split with fold ``number`` as val and the other folds as train.

        Raises:
            ConfigError: there is no such fold.
        """
        if not 0 <= number < len(self.folds):
            raise ConfigError(f"fold {number} of split {self.name}: it has {len(self.folds)} folds")
        val = self.folds[number]
        own = self.companion_folds[number] if self.companion_folds else val
        return replace(self, train=np.setdiff1d(self.learned, np.union1d(val, own)), val=val)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlan:
    """A split by record names.

    Attributes:
        name: name in the registry.
        train: records to train and choose on.
        test: records to test on.
        folds: validation records of each fold; empty where the beats decide.
        random_beats: validation is a random, stratified 20 % of the training beats.
        stand_ins: record -> lead that stands in where the wanted lead is missing.
        note: what a report must say about it.
    """

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...] = ()
    random_beats: bool = False
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    note: str

    @property
    def records(self) -> tuple[str, ...]:
        """Every record to read."""
        return self.train + self.test

    def resolve(self, beats: BeatSet, seed: int) -> Split:
        """Indices of this plan's beats.

        Args:
            beats: the beats of its records.
            seed: draws the validation beats of a plan with ``random_beats``.

        Raises:
            DataError: no beats to train or to validate on, or a class without a training beat.
        """
        selection = beats.of_records(self.train)
        companions = beats.of_records(self.train, companion=True)
        folds: tuple[Indices, ...] = ()
        if self.random_beats:
            train, val = _random_share(beats, selection, seed)
            companions = _same_beats(beats, companions, train)
        else:
            named = tuple(beats.of_records(fold) for fold in self.folds)
            folds = tuple(fold for fold in named if len(fold)) or _balanced(beats, selection)
            val = folds[0]
            train = np.setdiff1d(selection, val)
        if len(folds) == 1:
            folds = ()
            companions = np.setdiff1d(companions, _same_records(beats, companions, val))
        _check(self.name, beats, train, val)
        held_out = tuple(_same_records(beats, companions, fold) for fold in folds)
        learned = np.setdiff1d(companions, held_out[0]) if folds else companions
        return Split(
            name=self.name,
            train=np.union1d(train, learned),
            val=val,
            test=beats.of_records(self.test),
            folds=folds,
            note=self.note,
            companions=companions,
            companion_folds=held_out,
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SEED_TRAIN = _names(
    "100 101 102 103 104 105 107 108 109 111 112 113 115 117 121 122 123 200 201 202 203 207 209 "
    "210 212 213 219 222 223 230 231 232"
)
_SEED_TEST = _names("106 114 116 118 119 124 205 208 214 215 220 221 228 233 234")
_V5_FOR = {"102": "V5", "104": "V5"}  # their headers have no MLII

MITDB_PLANS = {
    plan.name: plan
    for plan in (
        SplitPlan(
            name="seed",
            train=_SEED_TRAIN,
            test=_SEED_TEST,
            random_beats=True,
            stand_ins=_V5_FOR,
            note="validation is a random 20 % of the training beats: training and validation share "
            "patients, so validation figures are optimistic",
        ),
        SplitPlan(
            name="seed-patient",
            train=_SEED_TRAIN,
            test=_SEED_TEST,
            folds=(
                _names("100 102 105 112 117 121 123 200 213 230 232"),
                _names("101 103 104 109 111 122 203 209 210 219 231"),
                _names("107 108 113 115 201 202 207 212 222 223"),
            ),
            stand_ins=_V5_FOR,
            note="validation by patients; the record list of split seed",
        ),
        # de Chazal, O'Dwyer, Reilly, IEEE Trans Biomed Eng 51(7):1196-1206 (2004), Table III.
        SplitPlan(
            name="ds1-ds2",
            train=_names(
                "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 "
                "223 230"
            ),
            test=_names(
                "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 "
                "233 234"
            ),
            folds=(
                _names("101 112 114 118 207 208 215"),
                _names("106 109 116 122 205 209 223"),
                _names("108 115 119 124 201 203 220 230"),
            ),
            # PhysioNet, MIT-BIH Arrhythmia Database Directory, introduction (mitdbdir/intro.htm).
            note="validation by patients; train on DS1, test on DS2 of de Chazal et al. 2004; "
            "records 201 (DS1) and 202 (DS2) are of one patient",
        ),
    )
}

SPLITS = (*MITDB_PLANS, "by-record", "lists")
"""Names that :func:`plan_split` knows."""

EXTERNAL = "external"
"""Name of the split of records that are scored only."""


def plan_split(
    name: str,
    available: Sequence[str],
    *,
    train: Sequence[str] = (),
    val: Sequence[str] = (),
    test: Sequence[str] = (),
) -> SplitPlan:
    """The plan of this name over the records of a folder.

    ``by-record`` takes any folder: the last third of its records tests, the others make folds.
    ``lists`` takes the records named in ``train``, ``val`` and ``test``; without ``val`` those to
    train on make folds.

    Args:
        name: one of :data:`SPLITS`.
        available: names of the records in the folder, sorted.
        train: records to train on, for ``lists``.
        val: records to validate on, for ``lists``.
        test: records to test on, for ``lists``.

    Raises:
        ConfigError: unknown name; lists that are missing, not wanted or overlap.
        DataError: the folder lacks records of the split or has too few.
    """
    if name == "lists":
        plan = _from_lists(tuple(train), tuple(val), tuple(test))
    elif train or val or test:
        raise ConfigError(f"split {name} has its own records: leave lists out or use split lists")
    elif name == "by-record":
        plan = _by_record(tuple(available))
    elif name in MITDB_PLANS:
        plan = MITDB_PLANS[name]
    else:
        raise ConfigError(f"split {name!r} is unknown: choose one of {', '.join(SPLITS)}")
    missing = [record for record in plan.records if record not in set(available)]
    if missing:
        raise DataError(
            f"split {name} needs records {', '.join(missing[:5])}{' …' * (len(missing) > 5)} "
            f"({len(missing)} of {len(plan.records)} are not in the folder): get them, or use "
            "split by-record for records of your own"
        )
    return plan


def _by_record(available: tuple[str, ...]) -> SplitPlan:
    if len(available) < 3:
        raise DataError(
            f"split by-record needs at least 3 records to train, validate and test on different "
            f"ones; the folder holds {len(available)} ({', '.join(available)}): add records"
        )
    num_test = len(available) // 3
    return SplitPlan(
        name="by-record",
        train=available[:-num_test],
        test=available[-num_test:],
        note="the last third of the records tests, validation by records; records of one "
        "patient must not fall on both sides",
    )


def _from_lists(train: tuple[str, ...], val: tuple[str, ...], test: tuple[str, ...]) -> SplitPlan:
    if not train:
        raise ConfigError("split lists needs records to train on: name them")
    names = train + val + test
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigError(
            f"split lists: {', '.join(doubled)} named more than once; a record trains, validates "
            "or tests"
        )
    return SplitPlan(
        name="lists",
        train=train + val,
        test=test,
        folds=(val,) if val else (),
        note="record lists of the user",
    )


def _random_share(beats: BeatSet, selection: Indices, seed: int) -> tuple[Indices, Indices]:
    label = beats.label[selection]
    rare = [name for name, count in beats.class_counts(selection).items() if count == 1]
    if len(selection) < 10 or rare:
        raise DataError(
            f"{len(selection)} training beats, one only of class {', '.join(rare) or '-'}: a "
            "random validation share needs two beats per class and ten in all"
        )
    from sklearn.model_selection import train_test_split  # takes seconds to import

    train, val = train_test_split(
        selection, test_size=_VALIDATION_SHARE, stratify=label, random_state=seed
    )
    return np.sort(train), np.sort(val)


def _same_records(beats: BeatSet, candidates: Indices, chosen: Indices) -> Indices:
    """Of the candidates those of the records of the chosen beats, whatever the lead."""
    names = np.asarray(beats.record_names)[beats.record]
    return candidates[np.isin(names[candidates], names[chosen])]


def _same_beats(beats: BeatSet, candidates: Indices, chosen: Indices) -> Indices:
    """Of the candidates those that are a chosen beat in another lead."""
    patient = np.unique(beats.record_names, return_inverse=True)[1][beats.record]
    moment = patient.astype(np.int64) * (beats.sample.max() + 1) + beats.sample
    return candidates[np.isin(moment[candidates], moment[chosen])]


def _balanced(beats: BeatSet, selection: Indices) -> tuple[Indices, ...]:
    """Folds of whole records with class shares as similar as can be; nothing is drawn."""
    record = beats.record[selection]
    num_folds = min(_NUM_FOLDS, len(np.unique(record)))
    if num_folds < 2:
        raise DataError(
            f"{num_folds} record to train and validate on: two are needed, as the beats of one "
            "patient on both sides would flatter every figure; add a record"
        )
    label = beats.label[selection]
    # A class with fewer beats than folds cannot be spread; it goes wherever its record goes.
    counts = np.bincount(label)
    strata = np.where(counts[label] < num_folds, counts.argmax(), label)
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds to import

    folds = StratifiedGroupKFold(num_folds).split(strata, strata, record)
    return tuple(selection[val] for _, val in folds)


def _check(name: str, beats: BeatSet, train: Indices, val: Indices) -> None:
    if not len(train) or not len(val):
        raise DataError(
            f"split {name}: {len(train)} beats to train on and {len(val)} to validate on after "
            f"leaving out {len(beats.excluded)} paced records: use other records or another split"
        )
    absent = [label for label, count in beats.class_counts(train).items() if not count]
    if absent:
        raise DataError(
            f"split {name}: no training beat of class {', '.join(absent)} under label map "
            f"{beats.labels.name}: use other records or a label map without that class"
        )
