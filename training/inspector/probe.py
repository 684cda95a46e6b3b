"""The probe batch of P2: what training computed, and the same computed again from the files.

``sample.npz`` of our runs holds inputs and the logits that the trained student gave in the training
process. Here the checkpoint is loaded again, as prediction does, and computes them anew; where the
rows also stand in the saved predictions, these are compared too. Other projects can save
``probe.npz`` with arrays ``train`` and ``predict``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonic.errors import PhotonicError
from training.inspector.evidence import Probe
from training.inspector.finding import Source
from training.inspector.predictions import read_arrays

SAMPLE, PROBE, META = "sample.npz", "probe.npz", "checkpoint.json"


def read_probe(folder: Path) -> Probe:
    """Outputs of both paths on the probe batch of a run directory.

    Raises:
        DataError: a probe file that cannot be read.
    """
    if (folder / PROBE).is_file():
        arrays = read_arrays(folder / PROBE)
        if {"train", "predict"} <= arrays.keys():
            pairs = {"probe batch": (arrays["train"], arrays["predict"])}
            return Probe(pairs=pairs, source=Source(PROBE))
        return Probe(reason=f"{PROBE} holds no arrays train and predict")
    if not (folder / SAMPLE).is_file():
        return Probe(reason="no probe batch was saved")
    if not (folder / META).is_file():
        return Probe(reason="the run has no checkpoint to predict with")
    sample = read_arrays(folder / SAMPLE)
    if "logits" not in sample:
        return Probe(reason=f"{SAMPLE} holds no logits of the training path")
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        return Probe(reason="needs torch, which is not in the base install")
    try:
        pairs = _own_pairs(folder, sample)
    except PhotonicError as error:
        return Probe(reason=f"the checkpoint cannot be loaded: {error}")
    return Probe(pairs=pairs, source=Source(SAMPLE))


def _own_pairs(
    folder: Path, sample: dict[str, NDArray[Any]]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    import torch

    from photonic.execute import run_integer
    from photonic.profile import load_profile
    from training.loop import predict
    from training.run import load_run

    run = load_run(folder)
    names = [spec.name for spec in run.program.inputs]
    missing = [name for name in names if name not in sample]
    if missing:
        return {f"input {missing[0]} of the probe": (np.zeros(0), np.zeros(1))}
    inputs = {name: torch.from_numpy(np.ascontiguousarray(sample[name])) for name in names}
    again = predict(run.student(), inputs)
    pairs = {"training process against reloaded checkpoint": (sample["logits"], again)}
    saved = _saved_rows(folder, sample)
    profile = run.meta.get("profile")
    converters = load_profile(profile).converters() if profile else None
    if saved is None or (profile and converters is None):
        return pairs
    rows, logits = saved
    if converters is None:
        pairs["saved predictions against reloaded checkpoint"] = (logits, again[rows])
    else:
        codes = run_integer(run.program, {n: sample[n][rows] for n in names}, converters)
        exact = (codes * converters.adc.step).astype(np.float32)
        pairs["saved predictions against the integer model"] = (logits, exact)
    return pairs


def _saved_rows(
    folder: Path, sample: dict[str, NDArray[Any]]
) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """Rows of the probe that saved predictions hold too, and their saved logits."""
    subset = str(sample.get("subset", ""))
    file = folder / f"probs_{subset}.npz"
    # Out-of-fold validation scores are of other weights than the ones that were kept.
    if subset != "test" or not file.is_file() or not {"record", "sample"} <= sample.keys():
        return None
    saved = read_arrays(file)
    if not {"record", "sample", "logits"} <= saved.keys():
        return None
    place = {key: i for i, key in enumerate(zip(saved["record"], saved["sample"], strict=True))}
    pairs = [
        (row, place[key])
        for row, key in enumerate(zip(sample["record"], sample["sample"], strict=True))
        if key in place
    ]
    if not pairs:
        return None
    rows, places = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    return rows, saved["logits"][places]
