"""Are the files of a bundle the model? Graphs, matrices and reference compared number by number.

Three embodiments are run on the same inputs: the graphs in onnxruntime (one beat at a time and in a
batch), the stored values in NumPy (the reference meaning), and the stored codes and tables in
NumPy. Contradictions between files that no input shows are found by :mod:`export.consistency`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import onnxruntime

from export.bundle import FLOAT_MODEL, QUANTIZED_MODEL, REFERENCE, Bundle, file_faults
from export.chunks import chunks, num_samples
from export.consistency import Fault, consistency_faults
from export.departure import first_departing_step
from export.manifest import MANIFEST
from export.reexecute import FileArithmetic, file_arithmetic, settings_arithmetic
from export.runtime import metadata, open_session, run_model, run_one_by_one
from photonic.errors import BundleError, PhotonicError
from photonic.execute import execute, run_float, run_integer
from photonic.profile import Converters
from photonic.program import Program

FLOAT_TOLERANCE = 1e-5
# The first samples that differ show the layer as well as all of them do.
FEW = 64


@dataclass(slots=True, kw_only=True)
class Parity:
    """What ``verify`` found.

    Attributes:
        float_max_abs_diff: float graph against the reference (stored outputs of the reference
            sample, the float64 model on other data), largest difference of a logit.
        quantized_lsb_mismatches: logit codes of the quantised graph that are not the integer
            reference's; ``None`` for a bundle without a deployed model.
        decision_mismatches: decisions that differ between a graph and its reference.
        matrix_reexecution_max_abs_diff: the matrices in ``layers/`` re-executed in NumPy, against
            the stored outputs of the reference sample and against the float graph.
        matrix_reexecution_lsb_mismatches: logit codes from stored codes and tables that are not
            the integer reference's.
        settings_lsb_mismatches: logit codes with the matrices that ``settings/`` realise that are
            not the integer reference's. Must be none on a generic core; on other kinds it is what
            the settings cost, which ``check`` judges.
        settings_decision_changes: decisions that differ for the same reason.
        num_samples: samples compared.
        first_departing_layer: where the first value departs, if one does.
        faults: files that are damaged or contradict one another.
    """

    float_max_abs_diff: float = 0.0
    quantized_lsb_mismatches: int | None = None
    decision_mismatches: int = 0
    matrix_reexecution_max_abs_diff: float = 0.0
    matrix_reexecution_lsb_mismatches: int | None = None
    settings_lsb_mismatches: int | None = None
    settings_decision_changes: int | None = None
    num_samples: int = 0
    first_departing_layer: str | None = None
    faults: list[Fault] = field(default_factory=list)

    def add_difference(self, difference: float) -> None:
        """Take in a difference between the float graph and the matrices."""
        self.float_max_abs_diff = max(self.float_max_abs_diff, difference)
        before = self.matrix_reexecution_max_abs_diff
        self.matrix_reexecution_max_abs_diff = max(before, difference)

    def count(self, name: str, more: int) -> None:
        """Add to one of the counts, which are ``None`` until something was compared."""
        setattr(self, name, (getattr(self, name) or 0) + more)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the keys that other programs rely on."""
        return asdict(self)

    @property
    def verdict(self) -> Literal["pass", "fail"]:
        """``pass`` when everything agrees."""
        same = (
            self.float_max_abs_diff <= FLOAT_TOLERANCE
            and self.matrix_reexecution_max_abs_diff <= FLOAT_TOLERANCE
            and not self.quantized_lsb_mismatches
            and not self.matrix_reexecution_lsb_mismatches
            and not self.decision_mismatches
            and not self.faults
        )
        return "pass" if same else "fail"


def verify(
    bundle: Bundle,
    inputs: Mapping[str, np.ndarray] | None = None,
    *,
    advance: Callable[[int], None] = lambda samples: None,
) -> Parity:
    """Compare everything in ``bundle``.

    Args:
        bundle: as :func:`export.bundle.open_bundle` gives it.
        inputs: program inputs ``(n, tokens, channels)`` float32 to compare on; without them the
            reference sample, which is compared with its stored outputs in any case.
        advance: called with the number of samples done, for a progress bar.
    """
    parity = Parity()
    for name, message in file_faults(bundle).items():
        parity.faults.append(Fault(file=name, message=message))
    parity.faults += consistency_faults(bundle)
    try:
        embodiments = _Embodiments.of(bundle)
        parity.faults += embodiments.metadata_faults()
        reference = bundle.reference
        _compare_reference(embodiments, parity)
        for part in chunks(reference.inputs if inputs is None else inputs):
            _compare(embodiments, part, parity)
            advance(num_samples(part))
        if bundle.profile.kind == "generic" and parity.settings_lsb_mismatches:
            message = f"{parity.settings_lsb_mismatches} logit codes are not those of layers/"
            parity.faults.append(Fault(file="settings/", message=message))
    except PhotonicError as error:
        parity.faults.append(Fault(file=str(error).partition(":")[0], message=str(error)))
    if parity.first_departing_layer is None:
        parity.first_departing_layer = next((f.layer for f in parity.faults if f.layer), None)
    parity.faults = list(dict.fromkeys(parity.faults))
    return parity


@dataclass(frozen=True, slots=True, kw_only=True)
class _Embodiments:
    """The forms of one model, ready to run."""

    bundle: Bundle
    float_graph: onnxruntime.InferenceSession
    quantized_graph: onnxruntime.InferenceSession | None
    files: FileArithmetic | None
    settings: FileArithmetic | None

    @classmethod
    def of(cls, bundle: Bundle) -> _Embodiments:
        quantized = bundle.has_quantized
        return cls(
            bundle=bundle,
            float_graph=open_session(bundle.model(quantized=False), where=FLOAT_MODEL),
            quantized_graph=(
                open_session(bundle.model(quantized=True), where=QUANTIZED_MODEL)
                if quantized
                else None
            ),
            files=file_arithmetic(bundle) if quantized else None,
            settings=settings_arithmetic(bundle) if quantized else None,
        )

    @property
    def converters(self) -> Converters:
        converters = self.bundle.converters
        if converters is None:
            raise BundleError(f"{MANIFEST}: a quantised model, but a profile without converters")
        return converters

    def metadata_faults(self) -> Iterator[Fault]:
        """Graphs that say something else of themselves than the manifest does."""
        manifest = self.bundle.manifest
        right = {
            "workload": manifest.workload,
            "classes": list(manifest.classes),
            "decision": manifest.decision,
            "preprocessing": manifest.preprocessing,
            "profile": {"name": manifest.profile.name, "hash": manifest.profile.hash},
        }
        graphs = {FLOAT_MODEL: self.float_graph, QUANTIZED_MODEL: self.quantized_graph}
        for file, session in graphs.items():
            stated = {} if session is None else metadata(session)
            for key, value in right.items() if session is not None else ():
                if _plain(stated.get(key)) != _plain(value):
                    message = f"metadata {key!r} is {stated.get(key)!r}, {MANIFEST} has {value!r}"
                    yield Fault(file=file, message=message)


def _plain(value: object) -> object:
    """Tuples as the lists they become in JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _compare_reference(forms: _Embodiments, parity: Parity) -> None:
    """The stored outputs of the reference sample against graph, matrices and codes."""
    bundle, reference = forms.bundle, forms.bundle.reference
    logits = run_float(bundle.program, reference.inputs)
    difference = float(_distance(logits, reference.logits).max(initial=0.0))
    parity.matrix_reexecution_max_abs_diff = difference
    if not difference <= FLOAT_TOLERANCE:
        message = f"logits differ by {difference:.2g} from those of the matrices in layers/"
        parity.faults.append(Fault(file=REFERENCE, message=message))
    graph = run_model(forms.float_graph, reference.inputs)
    parity.float_max_abs_diff = float(_distance(graph, reference.logits).max(initial=0.0))
    if reference.codes is not None:
        codes = run_integer(bundle.program, reference.inputs, forms.converters)
        wrong = int((codes != reference.codes).sum())
        if wrong:
            message = f"{wrong} logit codes are not those of the matrices in layers/"
            parity.faults.append(Fault(file=REFERENCE, message=message))


def _compare(forms: _Embodiments, inputs: Mapping[str, np.ndarray], parity: Parity) -> None:
    """One part of the inputs through every embodiment."""
    program, decision = forms.bundle.program, forms.bundle.decision
    reference = run_float(program, inputs)
    decided = decision(reference)
    differs = np.zeros(len(reference), dtype=bool)
    for run in (run_model, run_one_by_one):
        logits = run(forms.float_graph, inputs)
        distance = _distance(logits, reference)
        differs |= distance.max(axis=-1) > FLOAT_TOLERANCE
        parity.add_difference(float(distance.max()))
        parity.count("decision_mismatches", int((decision(logits) != decided).sum()))
    parity.num_samples += num_samples(inputs)
    if differs.any():
        _name_departure(forms, inputs, differs, parity, None)
    if forms.quantized_graph is not None and forms.files is not None:
        _compare_codes(forms, forms.quantized_graph, forms.files, inputs, parity)


def _compare_codes(
    forms: _Embodiments,
    graph: onnxruntime.InferenceSession,
    files: FileArithmetic,
    inputs: Mapping[str, np.ndarray],
    parity: Parity,
) -> None:
    program, decision, adc = forms.bundle.program, forms.bundle.decision, files.converters.adc
    reference = run_integer(program, inputs, files.converters)
    decided = decision(adc.values(reference))
    again = _logits(program, inputs, files)
    differs = (again != reference).any(axis=-1)
    parity.count("matrix_reexecution_lsb_mismatches", int((again != reference).sum()))
    for run in (run_model, run_one_by_one):
        logits = run(graph, inputs)
        wrong = np.rint(logits / adc.step) != reference
        differs |= wrong.any(axis=-1)
        parity.count("quantized_lsb_mismatches", int(wrong.sum()))
        parity.count("decision_mismatches", int((decision(logits) != decided).sum()))
    if differs.any():
        _name_departure(forms, inputs, differs, parity, files)
    if forms.settings is not None:
        realised = _logits(program, inputs, forms.settings)
        changes = int((decision(adc.values(realised)) != decided).sum())
        parity.count("settings_lsb_mismatches", int((realised != reference).sum()))
        parity.count("settings_decision_changes", changes)


def _logits(
    program: Program, inputs: Mapping[str, np.ndarray], arithmetic: FileArithmetic
) -> np.ndarray:
    return execute(inputs, program.steps, arithmetic)[program.output][..., 0, :]


def _name_departure(
    forms: _Embodiments,
    inputs: Mapping[str, np.ndarray],
    differs: np.ndarray,
    parity: Parity,
    files: FileArithmetic | None,
) -> None:
    if parity.first_departing_layer is None:
        few = {name: x[differs][:FEW] for name, x in inputs.items()}
        parity.first_departing_layer = first_departing_step(forms.bundle, few, files)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Absolute differences; a NaN on either side is infinitely far."""
    distance = np.abs(np.asarray(a, dtype=np.float64) - b)
    return np.where(np.isnan(distance), np.inf, distance)
