"""What a fit came to: predictions of every subset, figures, reference sample, first log line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from photonic.decision import softmax
from photonic.files import atomic_write
from photonic.layers import ExactCore
from photonic.profile import load_profile
from training.config import RunConfig
from training.evaluate import Predictions, report
from training.fit import Fit
from training.inspector.identity import split_hash
from training.loop import predict
from training.noise import has_noise
from training.on_chips import score_on_chips
from training.run import (
    load_run,
    read_log,
    save_evaluation,
    save_predictions,
    save_run,
    save_student,
)
from training.workloads import Dataset

SAMPLE_SIZE = 1024
"""Most samples of the reference sample that export takes along."""
SAMPLE_OF_CLASS = 16
"""How many of them each class has at least."""


def start_record(name: str, config: RunConfig, data: Dataset, fit: Fit) -> dict[str, Any]:
    """The first line of the log: data, counts, weights, expected mix, first probabilities."""
    split, learner = data.split, fit.learners[0]
    subsets = {"train": split.train, "val": split.val, "test": split.test}
    plan = asdict(fit.rebalancing)
    return {
        "event": "start",
        "workload": name,
        "seed": config.seed,
        "split": split.name,
        "note": split.note,
        **{f"num_{subset}": len(index) for subset, index in subsets.items()},
        "num_folds": len(split.folds),
        "num_parameters": learner.parameters.value.numel(),
        "classes": list(data.classes),
        "class_counts": {subset: _counts(data, index) for subset, index in subsets.items()},
        **{key: plan[key] for key in ("weight_mode", "multipliers", "expected_mix", "target_mix")},
        "class_weights": plan["full_class_weights"],
        "messages": list(fit.messages),
        "sampler": plan["sampler_kind"],
        "effective_weights": plan["effective"],
        "first_probs": softmax(learner.predict(fit.first_batch())).mean(axis=0).tolist(),
        **data.facts,
    }


def _counts(data: Dataset, index: np.ndarray) -> dict[str, int]:
    counts = np.bincount(data.label[index], minlength=len(data.classes))
    return dict(zip(data.classes, counts.tolist(), strict=True))


def finish(name: str, config: RunConfig, out: Path, data: Dataset, fit: Fit) -> None:
    """Write everything that a finished run holds into its directory."""
    # Baselines take seconds to import; a run that is killed before never needs them.
    from training.comparison import write_comparison
    from training.score import score_predictions

    predictions = _all_predictions(data, fit)
    checkpoint = save_student(out, fit.student)
    for subset, values in predictions.items():
        extra = {"checkpoint": np.array(checkpoint)}
        if subset == "val" and data.split.folds:
            extra["fold"] = _fold_of(fit)
        save_predictions(out, subset, values, extra)
    if config.logging.figures:
        from training.plots import write_figures  # takes a second to import

        page = _waveforms(data, data.subset(list(predictions)[-1]))
        write_figures(out, fit.decision, predictions, page, read_log(out))
    meta = _meta(name, config, data, fit, predictions)
    if fit.problem.teaching is not None:
        meta["distillation"] = write_comparison(out, fit, picture=config.logging.figures)
        with atomic_write(out / "teacher.safetensors") as temporary:
            temporary.write_bytes(fit.problem.teaching.file.read_bytes())
    sample = reference_sample(data, fit, seed=config.seed)
    meta["chips"] = _on_chips(config, data, fit, sample)
    save_run(out, meta=meta, sample=sample)
    run = load_run(out)
    for subset in ("val", "test"):
        if subset in predictions:
            scoring = score_predictions(run, data, subset, predictions[subset])
            save_evaluation(out, subset, scoring.to_dict())


def _meta(
    name: str,
    config: RunConfig,
    data: Dataset,
    fit: Fit,
    predictions: dict[str, Predictions],
) -> dict[str, Any]:
    split, chosen = data.split, fit.chosen[-1]
    rows = {
        subset: [f"{r}@{s}" for r, s in zip(p.record, p.sample, strict=True)]
        for subset, p in predictions.items()
    }
    return {
        "workload": name,
        "classes": list(data.classes),
        "decision": fit.decision.to_dict(),
        "labels": data.labels,
        "split": {
            "name": split.name,
            "note": split.note,
            "num_train": len(split.train),
            "num_val": len(split.val),
            "num_test": len(split.test),
            "used_in_selection": fit.problem.imbalance.uses_unseen_records,
            "hash": split_hash(rows),
        },
        "input": dict(data.contract),
        "metrics": {
            subset: report(fit.decision, p.probs, p.label) for subset, p in predictions.items()
        },
        "seed": config.seed,
        "recipe": config.recipe,
        "profile": config.hardware.profile,
        "epoch": chosen.best_epoch,
        "selection_score": chosen.best_score,
        "stages": [stage.name for stage in fit.problem.stages],
        "num_parameters": sum(p.numel() for p in fit.student.parameters()),
    }


def _on_chips(
    config: RunConfig, data: Dataset, fit: Fit, sample: dict[str, np.ndarray]
) -> dict[str, Any] | None:
    """Scores of the reference sample on fresh chips of the profile, where they differ at all."""
    if config.hardware.profile is None:
        return None
    profile = load_profile(config.hardware.profile)
    if not has_noise(profile):
        return None
    found = score_on_chips(
        fit.student.program(),
        profile,
        fit.decision,
        {name: sample[name] for name in data.inputs},
        sample["label"],
        seed=config.seed,
    )
    return {**found, "subset": str(sample["subset"])}


def _fold_of(fit: Fit) -> np.ndarray:
    """The fold that held each validation sample out, in the order of the samples."""
    fold = np.concatenate([np.full(len(index), k) for k, index in enumerate(fit.folds)])
    return fold[np.argsort(fit.validation, kind="stable")]


def _waveforms(data: Dataset, index: np.ndarray) -> np.ndarray | None:
    """First channel of the first input where it is a signal long enough to look at."""
    first = next(iter(data.inputs.values()))
    return first[index, :, 0] if first.shape[1] >= 64 else None


def _all_predictions(data: Dataset, fit: Fit) -> dict[str, Predictions]:
    """Predictions of the final student; with folds, those of ``val`` are the out-of-fold ones."""
    inputs = fit.problem.samples.inputs

    def of(index: np.ndarray, logits: np.ndarray) -> Predictions:
        return Predictions.of(
            logits, label=data.label[index], record=data.record[index], sample=data.sample[index]
        )

    order = np.argsort(fit.validation, kind="stable")
    train, test = data.subset("train"), data.split.test
    found = {
        "train": of(train, predict(fit.student, inputs, train)),
        "val": of(fit.validation[order], fit.pooled[order]),
    }
    if len(test):
        found["test"] = of(test, predict(fit.student, inputs, test))
    return found


def reference_sample(data: Dataset, fit: Fit, *, seed: int) -> dict[str, np.ndarray]:
    """A fixed, stratified sample of the test samples, or of validation where there are none.

    Classes keep their natural shares, so that scores on the sample mean what they mean on the
    subset, but none has fewer than :data:`SAMPLE_OF_CLASS` where there are as many. The float
    model's own logits come along.
    """
    subset = "test" if len(data.split.test) else "val"
    index = data.split.test if len(data.split.test) else data.split.val
    generator = np.random.default_rng(np.random.SeedSequence((seed, SAMPLE_SIZE)))
    chosen = np.sort(_stratified(index, data.label[index], SAMPLE_SIZE, generator))
    core = fit.student.core
    fit.student.core = ExactCore()
    logits = predict(fit.student, fit.problem.samples.inputs, chosen)
    fit.student.core = core
    return {
        **{name: np.ascontiguousarray(x[chosen]) for name, x in data.inputs.items()},
        "label": data.label[chosen],
        "record": data.record[chosen],
        "sample": data.sample[chosen],
        "logits": logits,
        "subset": np.array(subset),
    }


def _stratified(
    index: np.ndarray, label: np.ndarray, size: int, generator: np.random.Generator
) -> np.ndarray:
    """At most ``size`` of ``index``: some of every class first, then whoever comes at random."""
    shuffled = generator.permutation(len(index))
    first = [shuffled[label[shuffled] == c][:SAMPLE_OF_CLASS] for c in np.unique(label)]
    dealt = np.concatenate([*first, shuffled])
    _, earliest = np.unique(dealt, return_index=True)
    return index[dealt[np.sort(earliest)][:size]]
