"""Reading a bundle, a folder or a zip of it: needs neither torch nor onnx, and trusts no file.

:func:`read_bundle` is for those who use a bundle: it refuses one whose files are not the ones that
were written. :func:`open_bundle` is for those who judge it: ``check`` and ``verify``.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import ValidationError

from export.formats import content, first_fault, read_json, read_npz
from export.manifest import MANIFEST, SCHEMA_VERSION, Manifest
from export.matrices import Index, read_index, read_layers
from photonic.decision import Decision
from photonic.errors import BundleError, ConfigError, ProfileError, ProgramError
from photonic.execute import check_inputs
from photonic.profile import Converters, HardwareProfile, parse_profile
from photonic.program import Program
from photonic.program_io import structure_from_dict

FLOAT_MODEL, QUANTIZED_MODEL = "model.onnx", "model_qcdq.onnx"
PROGRAM, PROFILE, REFERENCE = "program.json", "profile.json", "reference.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A fixed sample of real inputs and what the model made of them at export.

    ``inputs`` are float32 ``(n, tokens, channels)`` by name; ``logits`` float64 ``(n, classes)`` of
    the float model; ``codes`` int64 logit codes of the deployed one, where there is one; the
    decisions are class indices; ``about`` is whatever else training wrote of the sample.
    """

    inputs: dict[str, np.ndarray]
    logits: np.ndarray
    decisions: np.ndarray
    codes: np.ndarray | None
    quantized_decisions: np.ndarray | None
    about: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def label(self) -> np.ndarray | None:
        """Class index of each sample ``(n,)``, where the run knew it."""
        return self.about.get("label")

    @property
    def record(self) -> np.ndarray | None:
        """Record that each sample comes from ``(n,)``, where the run knew it."""
        return self.about.get("record")

    @property
    def sample(self) -> np.ndarray | None:
        """Where in its record each sample lies ``(n,)``, where the run knew it."""
        return self.about.get("sample")


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle in memory, and what they say; properties are read when asked for.

    Every property raises :class:`BundleError`, naming the file, where a file is missing, damaged
    or does not fit.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, bytes]

    @cached_property
    def index(self) -> Index:
        """``layers/index.json``."""
        return read_index(self.files)

    @cached_property
    def program(self) -> Program:
        """The computation of ``program.json`` over the matrices of ``layers/``."""
        structure = read_json(self.files, PROGRAM)
        if not isinstance(structure, dict):
            raise BundleError(f"{PROGRAM}: not a JSON object")
        try:
            return structure_from_dict(structure, read_layers(self.files, self.index))
        except ProgramError as error:
            raise BundleError(f"{PROGRAM}: {error}") from None

    @cached_property
    def profile(self) -> HardwareProfile:
        """The profile that the bundle was made for."""
        try:
            return parse_profile(read_json(self.files, PROFILE), where=PROFILE)
        except ProfileError as error:
            raise BundleError(str(error)) from None

    @property
    def profile_hash(self) -> str:
        """Hash of the profile as it was written, whatever keys a later release adds to profiles."""
        canonical = json.dumps(read_json(self.files, PROFILE), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def converters(self) -> Converters | None:
        """Converters of the profile; ``None`` where there is no deployed model."""
        return self.profile.converters()

    @property
    def has_quantized(self) -> bool:
        """Whether there is a deployed model with codes."""
        return self.manifest.quantized

    @cached_property
    def decision(self) -> Decision:
        """How logits become a class."""
        try:
            return Decision.from_dict(self.manifest.decision)
        except ConfigError as error:
            raise BundleError(f"{MANIFEST}: {error}") from None

    @cached_property
    def reference(self) -> Reference:
        """The reference sample."""
        arrays = read_npz(content(self.files, REFERENCE), REFERENCE)
        names = [spec.name for spec in self.program.inputs]
        try:
            inputs = {name: arrays.pop(name) for name in names}
            check_inputs(self.program, inputs)
            reference = Reference(
                inputs=inputs,
                logits=arrays.pop("logits"),
                decisions=arrays.pop("decisions"),
                codes=arrays.pop("codes") if self.has_quantized else None,
                quantized_decisions=(
                    arrays.pop("quantized_decisions") if self.has_quantized else None
                ),
                about=arrays,
            )
        except KeyError as error:
            raise BundleError(f"{REFERENCE}: no array {error}") from None
        except ProgramError as error:
            raise BundleError(f"{REFERENCE}: {error}") from None
        num, classes = len(reference), self.program.num_classes
        results = [(reference.logits, (num, classes)), (reference.decisions, (num,))]
        if reference.codes is not None and reference.quantized_decisions is not None:
            results += [(reference.codes, (num, classes)), (reference.quantized_decisions, (num,))]
        if any(x.dtype != np.float32 or len(x) != num for x in inputs.values()) or any(
            result.shape != shape for result, shape in results
        ):
            raise BundleError(f"{REFERENCE}: arrays of different lengths or of other types")
        return reference

    def model(self, *, quantized: bool) -> bytes:
        """A serialised graph."""
        return content(self.files, QUANTIZED_MODEL if quantized else FLOAT_MODEL)


def read_bundle(path: str | Path) -> Bundle:
    """A bundle whose every file is the one that was written.

    Args:
        path: folder, or ``.zip`` of it.

    Raises:
        BundleError: no bundle, another schema version, or files that are missing or changed.
    """
    bundle = open_bundle(path)
    faults = file_faults(bundle)
    if faults:
        more = f" (and {len(faults) - 1} more files)" if len(faults) > 1 else ""
        raise BundleError(f"{path}: {next(iter(faults.values()))}{more}; export the run again")
    return bundle


def open_bundle(path: str | Path) -> Bundle:
    """A bundle as it lies there, its files not yet compared with their hashes.

    Raises:
        BundleError: no bundle, or another schema version.
    """
    folder = Path(path)
    files = _read_zip(folder) if folder.is_file() else _read_folder(folder)
    try:
        manifest = Manifest.model_validate_json(files[MANIFEST])
    except ValidationError as error:
        fault = first_fault(error)
        if fault.startswith("schema_version"):
            fault = f"another schema version ({fault}); this release reads {SCHEMA_VERSION}"
        raise BundleError(f"{path}: {MANIFEST}: {fault}") from None
    return Bundle(path=folder, manifest=manifest, files=files)


def file_faults(bundle: Bundle) -> dict[str, str]:
    """Files that are missing, changed or not in the manifest, each with what is wrong."""
    faults = {}
    for name, expected in bundle.manifest.files.items():
        data = bundle.files.get(name)
        if data is None:
            faults[name] = f"{name}: missing from the bundle"
        elif hashlib.sha256(data).hexdigest() != expected:
            faults[name] = f"{name}: changed: its SHA-256 is not the one in {MANIFEST}"
    for name in bundle.files:
        if name != MANIFEST and name not in bundle.manifest.files:
            faults[name] = f"{name}: not listed in {MANIFEST}"
    return faults


def _read_folder(folder: Path) -> dict[str, bytes]:
    if not (folder / MANIFEST).is_file():
        what = "no such file or folder" if not folder.exists() else f"no {MANIFEST} there"
        raise BundleError(f"{folder}: {what}; give a bundle that `photonic export` wrote")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _read_zip(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            files = {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"{path}: neither a bundle folder nor a zip of one: {error}") from None
    manifests = [name for name in files if PurePosixPath(name).name == MANIFEST]
    if not manifests:
        raise BundleError(
            f"{path}: no {MANIFEST} in it; give a bundle that `photonic export` wrote"
        )
    # Zipping the folder, and not what is in it, puts everything one level deeper.
    prefix = min(manifests, key=len).removesuffix(MANIFEST)
    return {n.removeprefix(prefix): data for n, data in files.items() if n.startswith(prefix)}
