"""Writing a bundle: everything is made in memory first, then appears at once, or not at all.

Nothing depends on the time, on the order of a set or on random numbers: the same run and profile
give the same bytes.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import (
    FLOAT_MODEL,
    PROFILE,
    PROGRAM,
    QUANTIZED_MODEL,
    REFERENCE,
    Bundle,
)
from export.formats import json_bytes, npz_bytes
from export.graph import OPSET
from export.manifest import (
    MANIFEST,
    InputEntry,
    LayerSummary,
    Manifest,
    ProfileEntry,
)
from export.matrices import index_of, layer_files
from export.onnx import lean_float_model, quantized_model
from export.run_directory import Run
from export.settings import compile_settings, settings_files
from export.tables import table_files, tables
from export.vectors import golden_vectors, vector_files
from photonic.errors import ConfigError
from photonic.execute import IntegerArithmetic, run_float, run_integer
from photonic.files import atomic_directory, atomic_write
from photonic.profile import HardwareProfile
from photonic.program_io import structure_to_dict

README = """\
A deployment bundle of photonic-deploy.

manifest.json    what this is, what it takes, SHA-256 of every file
model.onnx       float graph; model_qcdq.onnx: the deployed model on integer codes (if quantised)
program.json     the computation, step by step; its matrices stand in layers/
layers/          every matrix the chip holds (values, codes), biases apart; index.json lists them
settings/        device settings of every matrix and the matrix they realise
vectors/         test vectors of every matrix: what goes in, what must come out
tables/          activation tables, ADC code to DAC code (if quantised)
reference.npz    real inputs and the model's outputs on them
profile.json     the hardware profile the bundle was made for

`photonic check` says whether the chip can hold it, `photonic verify` whether it is the model.
"""


def make_bundle(run: Run, profile: HardwareProfile, path: Path) -> Bundle:
    """The bundle of ``run`` for ``profile`` in memory, as it would be read from ``path``.

    Raises:
        ProgramError: a program that cannot run on the profile's converters.
        ProfileError: a device kind that nobody registered.
    """
    program, converters = run.program, profile.converters()
    blocks = program.blocks(profile.core.rows, profile.core.cols)
    deployed = converters and IntegerArithmetic.of(program, converters)
    properties = _graph_metadata(run, profile)
    files = {
        "README.txt": README.encode(),
        PROGRAM: json_bytes(structure_to_dict(program)),
        PROFILE: json_bytes(profile.model_dump(mode="json")),
        FLOAT_MODEL: lean_float_model(program, properties, run.sample.inputs),
        **layer_files(program, profile),
        **settings_files(compile_settings(blocks, profile)),
        **vector_files(golden_vectors(program, blocks, deployed, run.sample.inputs)),
        REFERENCE: npz_bytes(_reference(run, profile)),
    }
    if deployed:
        converters = deployed.converters
        properties |= {"adc_step": converters.adc.step, "dac_step": converters.dac.step}
        files[QUANTIZED_MODEL] = quantized_model(program, converters, properties)
        files |= table_files(tables(program, deployed.layers, converters))
    files = dict(sorted(files.items()))
    manifest = _manifest(run, profile, files)
    files[MANIFEST] = json_bytes(manifest.model_dump(mode="json"))
    return Bundle(path=path, manifest=manifest, files=files)


def write_bundle(run: Run, profile: HardwareProfile, out: str | Path) -> Bundle:
    """Write the bundle to the folder ``out``, or to the zip file if it ends in ``.zip``.

    A bundle that is there already is replaced; a crash leaves the old one or none.

    Raises:
        ConfigError: ``out`` holds something else than a bundle.
        ProgramError, ProfileError: as :func:`make_bundle`.
    """
    target = Path(out)
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise ConfigError(f"{target} holds something that is no bundle; name another folder")
    bundle = make_bundle(run, profile, target)
    if target.suffix == ".zip":
        with atomic_write(target) as temporary:
            _write_zip(bundle.files, temporary)
        return bundle
    with atomic_directory(target, replace=True) as temporary:
        for name, data in bundle.files.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    return bundle


def _write_zip(files: Mapping[str, bytes], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in sorted(files.items()):
            # A ZipInfo of its own: writestr would note the present time.
            archive.writestr(zipfile.ZipInfo(name), data)


def _manifest(run: Run, profile: HardwareProfile, files: Mapping[str, bytes]) -> Manifest:
    checkpoint = run.checkpoint
    return Manifest(
        name=f"{checkpoint.workload}-{checkpoint.labels}-seed{checkpoint.seed}",
        workload=checkpoint.workload,
        label_map=checkpoint.labels,
        classes=checkpoint.classes,
        decision=run.decision.to_dict(),
        inputs=tuple(
            InputEntry(name=spec.name, tokens=spec.tokens, channels=spec.channels)
            for spec in run.program.inputs
        ),
        preprocessing=checkpoint.input,
        split=checkpoint.split,
        seed=checkpoint.seed,
        layers=tuple(
            LayerSummary(
                name=layer.name,
                out=layer.out,
                fan_in=layer.fan_in,
                blocks=layer.tiles_down * layer.tiles_across,
                applied_per_beat=layer.applied_per_beat,
            )
            for layer in index_of(run.program, profile).layers
        ),
        quantized=profile.converters() is not None,
        profile=ProfileEntry(name=profile.name, kind=profile.kind, hash=profile.hash()),
        metrics=checkpoint.metrics,
        versions={f"training {k}": v for k, v in checkpoint.versions.items()} | _versions(),
        opset=OPSET,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )


def _versions() -> dict[str, str]:
    packages = ("photonic-deploy", "onnx", "onnxruntime", "numpy", "torch")
    python = ".".join(map(str, sys.version_info[:3]))
    return {"export python": python} | {f"export {name}": version(name) for name in packages}


def _graph_metadata(run: Run, profile: HardwareProfile) -> dict[str, Any]:
    """What a host that has only the graph needs to use it."""
    return {
        "workload": run.checkpoint.workload,
        "classes": list(run.checkpoint.classes),
        "decision": run.decision.to_dict(),
        "preprocessing": run.checkpoint.input,
        "profile": {"name": profile.name, "hash": profile.hash()},
    }


def _reference(run: Run, profile: HardwareProfile) -> dict[str, np.ndarray]:
    inputs, converters = run.sample.inputs, profile.converters()
    logits = run_float(run.program, inputs)
    results = {"logits": logits, "decisions": run.decision(logits)}
    if converters:
        codes = run_integer(run.program, inputs, converters)
        quantized = run.decision(converters.adc.values(codes))
        results |= {"codes": codes, "quantized_decisions": quantized}
    return {**inputs, **results, **run.sample.about}
