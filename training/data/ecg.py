"""The data of the ECG workload by its options: beats and split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from photonic.beats import Template
from photonic.errors import DataError
from photonic.fiducial import Centre
from training.data.beatset import BeatSet, load_beats
from training.data.labels import label_map
from training.data.records import LeadChoice, list_records
from training.data.splits import EXTERNAL, MITDB_PLANS, Split, SplitPlan, plan_split


class EcgDataOptions(BaseModel):
    """What is read from a folder of WFDB records, and who trains, chooses and tests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: Literal["seed-binary", "aami-binary", "aami-4", "aami-5"] = Field(
        "aami-4", description="Label map."
    )
    split: Literal["seed", "seed-patient", "ds1-ds2", "by-record", "lists"] = Field(
        "ds1-ds2",
        description="Split; by-record for records of your own, lists with the three lists below.",
    )
    train_records: tuple[str, ...] = Field((), description="Records to train on (split lists).")
    val_records: tuple[str, ...] = Field((), description="Records to choose on (split lists).")
    test_records: tuple[str, ...] = Field((), description="Records to test on (split lists).")
    lead: str = Field("MLII", min_length=1, description="Lead, by name or channel index.")
    companion_lead: bool = Field(False, description="Read each record's other lead instead.")
    both_leads: bool = Field(
        False,
        description="Learn from the other lead of the training records too, each lead as an "
        "example of its own; the chosen lead alone validates and tests.",
    )
    resample: Literal[360] | None = Field(
        None, description="Resample records at another rate to this one, in Hz."
    )
    keep_paced: bool = Field(
        False, description="Keep records with paced beats; the AAMI maps leave them out."
    )
    escape_beats: Literal["N", "S"] = Field(
        "N", description="Class of escape beats (e, j) in the AAMI maps."
    )
    annotator: str = Field("atr", min_length=1, description="Suffix of the annotation files.")
    centre: Centre = Field(
        "r-peak",
        description="Cut windows around the marked R peak, or around the middle of its QRS.",
    )
    template: Template = Field(
        "mean",
        description="Compare beats with the mean of the record's beats so far, or with a mean in "
        "which strange beats have bounded influence.",
    )
    jitter: int = Field(
        0,
        ge=0,
        le=54,
        description="Move every R peak at random by up to so many samples, as a detector might.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgData:
    """Beats and who they are for; the plan, where there is one, divides them by another seed."""

    beats: BeatSet
    split: Split
    plan: SplitPlan | None = None


def load_ecg(
    directory: Path,
    options: EcgDataOptions,
    *,
    seed: int,
    residual: bool = False,
    cache: Path | None = None,
    on_record: Callable[[str], None] | None = None,
) -> EcgData:
    """Read the records that the split names and divide their beats.

    Args:
        directory: folder of WFDB records.
        options: what to read.
        seed: draws the validation beats of split seed.
        residual: also load the residuals (channel 2).
        cache: folder of the cache, the user's if left out.
        on_record: called with the name of each record that is done.

    Raises:
        ConfigError: record lists that do not fit the split.
        DataError: records that are missing, damaged or unfit; see :func:`load_beats`.
    """
    plan = plan_split(
        options.split,
        list_records(directory),
        train=options.train_records,
        val=options.val_records,
        test=options.test_records,
    )
    beats = load_beats(
        directory,
        label_map(options.labels, escape=options.escape_beats),
        records=plan.records,
        lead=LeadChoice.parse(
            options.lead, stand_ins=plan.stand_ins, companion=options.companion_lead
        ),
        both_leads=plan.train if options.both_leads else (),
        resample=options.resample is not None,
        annotator=options.annotator,
        keep_paced=options.keep_paced,
        residual=residual,
        centre=options.centre,
        template=options.template,
        jitter=options.jitter,
        cache=cache,
        on_record=on_record,
    )
    return EcgData(beats=beats, split=plan.resolve(beats, seed), plan=plan)


def load_records(
    directory: Path,
    options: EcgDataOptions,
    records: Sequence[str] = (),
    *,
    residual: bool = False,
    cache: Path | None = None,
    on_record: Callable[[str], None] | None = None,
) -> EcgData:
    """Read records to be scored and nothing else: all of their beats test, whatever the split.

    Args:
        directory: folder of WFDB records.
        options: what to read; the split only names the leads that stand in for a missing one.
        records: their names; every record of the folder if left out.
        residual: also load the residuals (channel 2).
        cache: folder of the cache, the user's if left out.
        on_record: called with the name of each record that is done.

    Raises:
        DataError: no such record; records that are damaged or unfit, see :func:`load_beats`.
    """
    available = list_records(directory)
    missing = [name for name in records if name not in available]
    if missing:
        raise DataError(
            f"{directory} holds no record {', '.join(missing)}; it holds "
            f"{', '.join(available[:10])}{' …' * (len(available) > 10)}"
        )
    plan = MITDB_PLANS.get(options.split)
    beats = load_beats(
        directory,
        label_map(options.labels, escape=options.escape_beats),
        records=tuple(records) or available,
        lead=LeadChoice.parse(
            options.lead,
            stand_ins={} if plan is None else plan.stand_ins,
            companion=options.companion_lead,
        ),
        resample=options.resample is not None,
        annotator=options.annotator,
        keep_paced=options.keep_paced,
        residual=residual,
        centre=options.centre,
        template=options.template,
        jitter=options.jitter,
        cache=cache,
        on_record=on_record,
    )
    nobody = np.empty(0, dtype=np.int64)
    split = Split(
        name=EXTERNAL,
        train=nobody,
        val=nobody,
        test=np.arange(len(beats)),
        folds=(),
        note="every record is scored; which of them the student learned from is not known here",
    )
    return EcgData(beats=beats, split=split)
