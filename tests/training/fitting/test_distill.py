"""Distillation: its loss by hand, its gate, and a whole run with its control beside it."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional

from photonic.errors import ConfigError
from training.distill import TERMS, Distillation, soft_targets, trusted
from training.loop import EpochPlan, Samples
from training.options import DistillOptions
from training.run import read_log
from training.setup import build_problem
from training.teacher import ResNet1d, teach, train_teacher
from training.teaching import prepare_teacher
from training.train import Callbacks, resume, train
from training.workloads import workload


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plan(**weights: float) -> EpochPlan:
    return EpochPlan(
        epoch=0, num_epochs=1, schedule="constant", lr=0.1,
        class_weights=(1.0, 1.0), multipliers=(1.0, 1.0), **weights,
    )  # fmt: skip


def cross_entropy(logits, features, batch, class_weights, plan):
    return functional.cross_entropy(logits, LABEL[batch])


LABEL = torch.tensor([0, 1, 1, 0])
TAUGHT = torch.tensor([[3.0, 0.0], [0.0, 3.0], [2.0, 0.0], [0.1, 0.0]])


def distillation(**options) -> Distillation:
    features = torch.randn(4, 6, generator=generator())
    return Distillation(
        cross_entropy, LABEL, TAUGHT, features,
        num_features=3, options=DistillOptions(**options), generator=generator(),
    )  # fmt: skip


def test_only_what_the_teacher_knows_is_taught():
    assert trusted(TAUGHT, LABEL, 0.6).tolist() == [True, True, False, False]


def test_soft_targets_are_zero_for_equal_logits_and_scaled_by_the_square_of_temperature():
    logits = torch.randn(5, 3, generator=generator())
    assert torch.allclose(soft_targets(logits, logits + 2.0, 3.0), torch.zeros(5), atol=1e-5)
    other = torch.randn(5, 3, generator=generator(1))
    theirs, ours = (other / 2).softmax(-1), (logits / 2).log_softmax(-1)
    expected = 4 * functional.kl_div(ours, theirs, reduction="none").sum(-1)
    assert torch.allclose(soft_targets(logits, other, 2.0), expected, atol=1e-6)


def test_gated_off_it_is_plain_cross_entropy():
    module, batch = distillation(), torch.arange(4)
    logits, features = torch.randn(4, 2, generator=generator()), torch.randn(4, 3)
    expected = functional.cross_entropy(logits, LABEL)
    assert module(logits, features, batch, torch.ones(2), plan()) == expected


def test_the_terms_add_up_by_hand():
    module, batch = distillation(kd_pos_penalty=0.5, kd_temperature=2.0), torch.arange(4)
    logits = torch.randn(4, 2, generator=generator())
    features = torch.randn(4, 3, generator=generator())
    with torch.no_grad():
        got = module(logits, features, batch, torch.ones(2), plan(alpha=0.7, beta=0.3, gamma=0.2))
        feature_term = module.feature_distance(features, module.teacher_features)[:2].mean()
    logit_term = soft_targets(logits, TAUGHT, 2.0)[:2].mean()
    margin = functional.relu(0.6 - logits.softmax(-1)[1:3, 1]).mean()
    expected = (
        0.7 * functional.cross_entropy(logits, LABEL)
        + 0.3 * logit_term + 0.2 * feature_term + 0.5 * margin
    )  # fmt: skip
    assert torch.allclose(got, expected, atol=1e-6)
    terms = module.take_terms()
    assert terms["kd_logits"] == pytest.approx(0.3 * float(logit_term), abs=1e-6)
    assert terms["kd_features"] == pytest.approx(0.2 * float(feature_term), abs=1e-6)
    assert sum(terms.values()) == pytest.approx(float(got), abs=1e-6)
    assert not any(module.take_terms().values())  # taken once


@pytest.mark.slow
def test_the_teacher_has_its_size_learns_and_is_reproducible():
    def trained() -> tuple[ResNet1d, Samples]:
        label = (torch.arange(64) % 2).long()
        signal = torch.randn(64, 60, 1, generator=generator()) * 0.1 + label[:, None, None]
        samples = Samples(inputs={"beat": signal}, label=label)
        teacher = ResNet1d(1, 2, 16, generator())
        train_teacher(
            teacher, samples, np.arange(64), np.ones(2),
            epochs=12, generator=generator(1), batch_size=16,
        )  # fmt: skip
        return teacher, samples

    (one, samples), (two, _) = trained(), trained()
    logits, features = teach(one, samples)
    assert features.shape == (64, 16)
    assert (logits.argmax(1) == samples.label).float().mean() > 0.9
    assert torch.equal(logits, teach(two, samples)[0])
    size = sum(p.numel() for p in ResNet1d(1, 2, 128, generator()).blocks.parameters())
    assert 0.9e6 < size < 1.0e6


@pytest.fixture(scope="module")
def kd_options(ecg_options):
    names = sorted(file.stem for file in ecg_options["data"].glob("*.hea"))
    return {
        **ecg_options, "split": "lists", "train_records": names[:2], "val_records": names[2:3],
        "test_records": names[3:], "use_kd": True, "teacher_auto_train_epochs": 1, "seed": 3,
        "kd_warmup_epochs": 0, "teacher_min_f1": 0.0, "teacher_min_sensitivity": 0.0,
        "kd_teacher_gen_margin": 1.0, "kd_teacher_max_gap": 1.0, "kd_teacher_conf": 0.0,
        "detect_collapse": False, "kd_pause_miss": 1.0, "kd_resume_miss": 1.0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def kd_run(kd_options, tmp_path_factory):
    out = tmp_path_factory.mktemp("kd") / "run"
    return train("ecg", workload("ecg").resolve({**kd_options, "figures": True}), out)


@pytest.mark.slow
def test_a_distilled_run_keeps_teacher_control_and_figures(kd_run):
    meta = kd_run.meta["distillation"]
    assert {"teacher", "control", "distilled", "gate_open"} == meta.keys()
    assert meta["gate_open"]
    assert (kd_run.path / "kd_roc.png").is_file()
    with (kd_run.path / "kd.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    stages = [row["stage"] for row in rows]
    assert stages == ["float"] * 2 + ["control"] * 2 + ["distilled"] * 2
    assert [float(row["beta"]) > 0 for row in rows] == [False] * 4 + [True] * 2
    assert any("KD on" in m for line in read_log(kd_run.path) for m in line.get("messages", ()))
    for row in rows:
        terms = [float(row[name]) for name in TERMS]
        assert sum(terms) == pytest.approx(float(row["loss"]), rel=1e-5)
        assert all(terms[1:3]) == (row["stage"] == "distilled")


@pytest.fixture(scope="module")
def folded(kd_options, tmp_path_factory):
    """A distilled run with folds, and what prepared its teachers."""
    lists = dict.fromkeys(("train_records", "val_records", "test_records"), ())
    given = {**kd_options, **lists, "split": "by-record"}
    out = tmp_path_factory.mktemp("folded") / "run"
    return train("ecg", workload("ecg").resolve(given), out)


@pytest.mark.slow
def test_with_folds_every_student_has_a_teacher_that_saw_no_more_than_it_did(folded):
    data = workload("ecg").load(folded.config, lambda _: None)
    problem = build_problem("ecg", folded.config, data)
    split, teaching = data.split, problem.teaching
    assert len(teaching.lessons) == len(split.folds) + 1
    assert len({lesson.file for lesson in teaching.lessons}) == len(teaching.lessons)
    for lesson, fold in zip(teaching.lessons, split.folds, strict=False):
        assert torch.equal(teaching.logits[fold], lesson.logits[fold])
    assert torch.equal(teaching.logits[split.test], teaching.lessons[-1].logits[split.test])
    # A fold's labels turned round change the other folds' teachers, but not its own.
    flipped = data.label.copy()
    flipped[split.folds[0]] = 1 - flipped[split.folds[0]]
    samples = Samples(inputs=problem.samples.inputs, label=torch.from_numpy(flipped))
    other = prepare_teacher(
        samples, split, data.classes, problem.imbalance, seed=folded.config.seed
    )
    assert other.lessons[0].file == teaching.lessons[0].file
    assert other.lessons[1].file != teaching.lessons[1].file


@pytest.mark.slow
def test_the_refit_distils_from_where_choosing_did(folded):
    """Both the control and the distilled student of the refit begin where its first stage ended."""
    log = [line for line in read_log(folded.path) if line["event"] == "epoch"]
    refit = [line for line in log if line["phase"] == "refit"]
    chosen = [line for line in log if line["phase"] == "choose"]
    assert [line["stage"] for line in refit] == sorted(
        (line["stage"] for line in refit), key=["float", "control", "distilled"].index
    )
    assert {line["stage"] for line in refit} == {line["stage"] for line in chosen}
    first = {line["stage"]: line["train"]["loss"] for line in reversed(refit)}
    assert first["control"] < first["float"]
    assert (folded.path / "kd.csv").is_file()
    assert folded.meta["distillation"]["distilled"]["test"]["auroc"] is not None


@pytest.mark.slow
def test_a_distilled_run_is_reproduced_from_its_teacher_file(kd_run, kd_options, tmp_path):
    teacher = shutil.copy(kd_run.path / "teacher.safetensors", tmp_path)
    given = {**kd_options, "teacher_checkpoint": str(teacher)}
    again = train("ecg", workload("ecg").resolve(given), tmp_path / "again")
    name = "checkpoint.safetensors"
    assert (again.path / name).read_bytes() == (kd_run.path / name).read_bytes()
    assert resume(again.path).meta["sha256"] == again.meta["sha256"]


@pytest.mark.slow
def test_a_weak_teacher_teaches_nothing_and_the_log_says_why(kd_options, tmp_path):
    given = {**kd_options, "teacher_min_f1": 1.0, "kd_teacher_gen_margin": 0.0}
    run = train("ecg", workload("ecg").resolve(given), tmp_path / "weak")
    lines = read_log(run.path)
    assert not run.meta["distillation"]["gate_open"]
    assert all(line["beta"] == line["gamma"] == 0 for line in lines if line["event"] == "epoch")
    assert any("KD off" in m for line in lines for m in line.get("messages", ()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"split": "by-record", "train_records": (), "val_records": (), "test_records": (),
          "teacher_checkpoint": "any.safetensors"}, "needs a teacher that has not seen it"),
        ({"kd_gen_mix_ratio": 0.35}, "leave it at 0"),
        ({"teacher_checkpoint": "nowhere.safetensors"}, "no such file"),
    ],
)  # fmt: skip
def test_what_distillation_cannot_do_is_refused(kd_options, tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        train("ecg", workload("ecg").resolve({**kd_options, **given}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_refit_broken_off_between_its_students_ends_the_same(folded, tmp_path):
    class Killed(BaseException):
        pass

    def kill(record):
        if (record["phase"], record["stage"]) == ("refit", "control"):
            raise Killed

    out = tmp_path / "run"
    with pytest.raises(Killed):
        train("ecg", folded.config, out, Callbacks(on_epoch=kill))
    name = "checkpoint.safetensors"
    assert (resume(out).path / name).read_bytes() == (folded.path / name).read_bytes()
