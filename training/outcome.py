"""What a fit came to: predictions of every subset, figures, reference sample, first log line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from photonic.decision import softmax
from photonic.layers import ExactCore
from training.config import RunConfig
from training.evaluate import Predictions, report
from training.fit import Fit
from training.loop import predict
from training.plots import write_figures
from training.run import read_log, save_predictions, save_run
from training.workloads import Dataset

SAMPLE_SIZE = 1024
"""Most samples of the reference sample that export takes along."""
SAMPLE_OF_CLASS = 16
"""How many of them each class has at least."""


def start_record(name: str, config: RunConfig, data: Dataset, fit: Fit) -> dict[str, Any]:
    """The first line of the log: data, counts, weights, expected mix, first probabilities."""
    plan, split = fit.rebalancing, data.split
    learner = fit.learners[0]
    first = learner.index[: config.optim.batch_size].cpu().numpy()
    return {
        "event": "start",
        "workload": name,
        "seed": config.seed,
        "split": split.name,
        "note": split.note,
        "num_train": len(split.train),
        "num_val": len(split.val),
        "num_test": len(split.test),
        "num_folds": len(split.folds),
        "num_parameters": learner.parameters.value.numel(),
        "classes": list(data.classes),
        "class_counts": {
            subset: dict(
                zip(
                    data.classes,
                    np.bincount(data.label[index], minlength=len(data.classes)).tolist(),
                    strict=True,
                )
            )
            for subset, index in (("train", split.train), ("val", split.val), ("test", split.test))
        },
        "class_weights": list(plan.class_weights),
        "weight_mode": plan.weight_mode,
        "sampler": plan.sampler_kind,
        "expected_mix": list(plan.expected_mix),
        "target_mix": list(plan.target_mix),
        "effective_weights": list(plan.effective),
        "messages": list(plan.messages),
        "first_probs": softmax(learner.predict(first)).mean(axis=0).tolist(),
        **data.facts,
    }


def finish(name: str, config: RunConfig, out: Path, data: Dataset, fit: Fit) -> None:
    """Write everything that a finished run holds into its directory."""
    predictions = {subset: p for subset, p in _all_predictions(data, fit).items() if len(p.label)}
    for subset, values in predictions.items():
        save_predictions(out, subset, values)
    metrics = {
        subset: report(fit.decision, values.probs, values.label)
        for subset, values in predictions.items()
    }
    last = list(predictions)[-1]
    page = _waveforms(data, data.subset(last))
    write_figures(out, fit.decision, predictions, page, read_log(out))
    split = data.split
    save_run(
        out,
        student=fit.student,
        sample=reference_sample(data, fit, seed=config.seed),
        meta={
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
                "used_in_selection": config.imbalance(
                    fit.problem.imbalance.task
                ).uses_unseen_records,
            },
            "input": dict(data.contract),
            "metrics": metrics,
            "seed": config.seed,
            "recipe": config.recipe,
            "profile": config.hardware.profile,
            "epoch": fit.chosen[-1].best_epoch,
            "stages": [stage.name for stage in fit.problem.stages],
        },
    )


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

    def scored(index: np.ndarray) -> Predictions:
        return of(index, predict(fit.student, inputs, index))

    order = np.argsort(fit.validation, kind="stable")
    return {
        "train": scored(data.subset("train")),
        "val": of(fit.validation[order], fit.pooled[order]),
        "test": scored(data.split.test),
    }


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
