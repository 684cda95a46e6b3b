"""Evidence of a run that every rule is content with, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training.inspector.evidence import Evaluation, Evidence, Member, Predictions, Probe, RunFiles
from training.inspector.finding import Finding, Source
from training.inspector.history import Entry
from training.inspector.identity import ROW, rows_hash, split_hash
from training.inspector.log import Log, LogBuilder
from training.inspector.plan import Baseline, Component, E2Limits, Plan, Target, WarnLine
from training.inspector.rules.registry import RULES

NUM_SAMPLES = 600
CLASSES = ("normal", "abnormal")
EPOCHS = tuple(range(1, 8))
CURVES: dict[str, Sequence[float]] = {
    "train/loss": (0.90, 0.80, 0.71, 0.65, 0.60, 0.57, 0.55),
    "train/auprc": (0.70, 0.73, 0.76, 0.785, 0.80, 0.81, 0.815),
    "val/auprc": (0.66, 0.69, 0.72, 0.745, 0.76, 0.77, 0.775),
    "grad/encoder": (0.5, 0.4, 0.3, 0.25, 0.2, 0.2, 0.2),
    "grad/head": (1.5, 1.2, 1.0, 0.8, 0.7, 0.7, 0.6),
    "term/contrastive": (0.0, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2),
    "curriculum": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0),
}
FACTS: dict[str, Any] = {"num_parameters": 158.0, "num_train": 5000.0, "sampler": "Weighted"}

PLAN = Plan(
    metric="val/auprc",
    history=Path("history.jsonl"),
    roll_back_to="chat0",
    components=(
        Component(name="contrastive loss", kind="loss"),
        Component(name="head", kind="module"),
        Component(name="curriculum", kind="schedule"),
        Component(name="weighted sampling", kind="sampler", expected=("Weighted",)),
    ),
    targets=(Target(metric="f1", at_least=0.6),),
    baselines=(Baseline(name="chance", metric="f1", value=0.2),),
    warn_lines=(WarnLine(metric="train/auprc", warn=0.9, severe=0.95),),
    E2=E2Limits(beat_baselines=True),
)


def make_log(
    curves: Mapping[str, Sequence[float]] = CURVES,
    facts: Mapping[str, Any] = FACTS,
    *,
    key: str = "",
    words: Mapping[str, str] | None = None,
) -> Log:
    """A log with one trace: line 1 holds the facts, line n + 1 epoch n."""
    builder = LogBuilder("log.jsonl")
    for name, value in facts.items():
        builder.fact(name, value, 1)
    for index in range(max((len(values) for values in curves.values()), default=0)):
        row = {name: v[index] for name, v in curves.items() if index < len(v)}
        builder.epoch(key, index + 1.0, row, index + 2, words)
    return builder.build()


def make_predictions(
    subset: str, *, seed: int = 0, quality: float = 3.0, **changes: Any
) -> Predictions:
    """Calibrated predictions of a binary task with a prevalence of 30 %."""
    generator = np.random.default_rng([seed, len(subset)])
    truth = generator.random(NUM_SAMPLES) < 0.3
    # Log-odds of a Gaussian shift: calibrated by construction.
    evidence = generator.normal(np.where(truth, quality / 2, -quality / 2), 1.0)
    odds = quality * evidence + np.log(0.3 / 0.7)
    p = 1.0 / (1.0 + np.exp(-odds))
    record = np.array([f"{subset}{i % 12:02d}" for i in range(NUM_SAMPLES)])
    row = np.array([f"{r}@{i}" for i, r in enumerate(record)])
    values: dict[str, Any] = {
        "subset": subset,
        "source": Source(f"probs_{subset}.npz"),
        "classes": CLASSES,
        "probs": np.stack([1.0 - p, p], axis=1),
        "truth": np.stack([~truth, truth], axis=1),
        "predicted": np.stack([p < 0.5, p >= 0.5], axis=1),
        "logits": np.stack([np.zeros_like(odds), odds], axis=1),
        "keys": {"record": record, ROW: row},
        "exclusive": True,
        "checkpoint": "abc",
        "modified": 100.0,
    }
    return Predictions(**values | changes)


def make_evidence(**changes: Any) -> Evidence:
    """Evidence that every rule is content with."""
    predictions = {subset: make_predictions(subset) for subset in ("train", "val", "test")}
    test_rows = predictions["test"].keys[ROW].tolist()
    stated = split_hash({name: p.keys[ROW].tolist() for name, p in predictions.items()})
    files = RunFiles(
        meta={
            "epoch": 7,
            "split": {
                "num_train": 5000,
                "num_val": 600,
                "num_test": 600,
                "hash": stated,
                "used_in_selection": False,
            },
        },
        meta_source=Source("checkpoint.json"),
        checkpoint="abc",
        checkpoint_modified=90.0,
        config={"lr": 0.001},
        evaluations={
            subset: Evaluation(
                subset=subset,
                source=Source(f"evaluation_{subset}.json"),
                metrics={"f1": 0.85},
                baselines=({"name": "all normal", "metrics": {"f1": 0.0}},),
                checkpoint="abc",
            )
            for subset in ("val", "test")
        },
    )
    logits = np.linspace(-1.0, 1.0, 32, dtype=np.float32).reshape(16, 2)
    values: dict[str, Any] = {
        "run": "clean",
        "log": make_log(),
        "own": True,
        "files": files,
        "predictions": predictions,
        "probe": Probe(pairs={"probe": (logits, logits.copy())}, source=Source("sample.npz")),
        "group": tuple(
            Member(
                name=f"seed{seed}",
                seed=seed,
                figures={"test": {"f1": 0.85 + 0.005 * seed}},
                test_hash=rows_hash(test_rows),
            )
            for seed in range(3)
        ),
        "history": (
            Entry(id="good", verdict="PASS", metric="val/auprc", curve=tuple(CURVES["val/auprc"])),
        ),
    }
    return Evidence(**values | changes)


def ask(rule: str, evidence: Evidence, plan: Plan = PLAN) -> Finding:
    """The finding of one rule."""
    return next(known for known in RULES if known.id == rule).judge(evidence, plan)


def with_curve(name: str, values: Sequence[float]) -> Evidence:
    """Clean evidence with one curve of the log replaced."""
    return make_evidence(log=make_log({**CURVES, name: values}))


def without(*names: str) -> Evidence:
    """Clean evidence without some curves or facts of the log."""
    curves = {name: values for name, values in CURVES.items() if name not in names}
    facts = {name: value for name, value in FACTS.items() if name not in names}
    return make_evidence(log=make_log(curves, facts))


def with_files(**changes: Any) -> Evidence:
    """Clean evidence with other run files."""
    evidence = make_evidence()
    return replace(evidence, files=replace(evidence.files, **changes))


def with_predictions(subset: str, **changes: Any) -> Evidence:
    """Clean evidence with one set of predictions changed."""
    evidence = make_evidence()
    changed = replace(evidence.predictions[subset], **changes)
    return replace(evidence, predictions={**evidence.predictions, subset: changed})


@pytest.fixture(scope="session")
def bench() -> SimpleNamespace:
    """The builders above: this folder is no package that a test could import them from."""
    return SimpleNamespace(
        CURVES=CURVES,
        FACTS=FACTS,
        PLAN=PLAN,
        ask=ask,
        log=make_log,
        evidence=make_evidence,
        predictions=make_predictions,
        with_curve=with_curve,
        with_files=with_files,
        with_predictions=with_predictions,
        without=without,
    )


@pytest.fixture
def founding(repository) -> Path:
    """The founding report's run: log, patterns, plan and history."""
    return repository / "examples" / "inspector" / "founding"


@pytest.fixture
def write(tmp_path) -> Callable[[str, str], Path]:
    """Write a text file and return its path."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put
