"""A sound bundle passes on every profile; whatever is changed in one is found and named."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.bundle import Bundle, file_faults, open_bundle
from export.formats import json_bytes, npy_bytes, npz_bytes, read_npz
from export.parity import Parity, verify
from export.run_directory import Run, read_run
from export.write import make_bundle
from photonic.profile import load_profile, parse_profile, shipped_profiles
from photonic.program import Program

# Cores of 64 rows and more: blocks of ten thousand numbers, as text and as JSON.
SLOW = pytest.mark.slow
LARGE_CORES = ("lightmatter_2025", "pace_2025")

Change = Callable[[dict[str, bytes]], None]


def changed(bundle: Bundle, change: Change, *, rehash: bool) -> Bundle:
    """The bundle after ``change`` of its files, the manifest's hashes recomputed or not."""
    files = dict(bundle.files)
    change(files)
    manifest = type(bundle.manifest).model_validate_json(files["manifest.json"])
    if rehash:
        hashes = {n: hashlib.sha256(d).hexdigest() for n, d in files.items() if "manifest" not in n}
        manifest = manifest.model_copy(update={"files": hashes})
    return Bundle(path=bundle.path, manifest=manifest, files=files)


def as_json(name: str, edit: Callable[[dict], None]) -> Change:
    def change(files: dict[str, bytes]) -> None:
        content = json.loads(files[name])
        edit(content)
        files[name] = json_bytes(content)

    return change


def as_array(name: str, edit: Callable[[np.ndarray], None]) -> Change:
    def change(files: dict[str, bytes]) -> None:
        array = np.load(io.BytesIO(files[name]))
        edit(array)
        files[name] = npy_bytes(array)

    return change


def as_model(name: str, edit: Callable[[onnx.ModelProto], None]) -> Change:
    def change(files: dict[str, bytes]) -> None:
        model = onnx.load_from_string(files[name])
        edit(model)
        files[name] = model.SerializeToString()

    return change


def as_text(name: str, old: str, new: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        text = files[name].decode()
        assert old in text
        files[name] = text.replace(old, new, 1).encode()

    return change


def reference(edit: Callable[[dict[str, np.ndarray]], None]) -> Change:
    def change(files: dict[str, bytes]) -> None:
        arrays = read_npz(files["reference.npz"], "reference.npz")
        edit(arrays)
        files["reference.npz"] = npz_bytes(arrays)

    return change


def add_to(index: tuple[int, ...], amount: float) -> Callable[[np.ndarray], None]:
    def edit(array: np.ndarray) -> None:
        array[index] += amount

    return edit


def initialiser(model: onnx.ModelProto, name: str, edit: Callable[[np.ndarray], None]) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    array = numpy_helper.to_array(tensor).copy()
    edit(array)
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.name == name)


def metadata_threshold(model: onnx.ModelProto) -> None:
    entry = next(p for p in model.metadata_props if p.key == "decision")
    entry.value = json.dumps(json.loads(entry.value) | {"threshold": 0.9})


def to_floor(model: onnx.ModelProto) -> None:
    node(model, "mlp1_sums/product").op_type = "Floor"


def to_softsign(model: onnx.ModelProto) -> None:
    node(model, "mlp0_features/values").op_type = "Softsign"


@pytest.fixture(scope="module")
def bundle(lab_bundle: Path) -> Bundle:
    return open_bundle(lab_bundle)


@pytest.mark.parametrize("profile", ["ideal", "generic_8bit", "lab_ecg_5bit"])
@pytest.mark.parametrize(("activation", "num_classes"), [("tanh", 4), ("relu", 2)])
def test_segment_students_pass(
    make_run, segment_program, tmp_path, profile, activation, num_classes
):
    program = segment_program(num_classes=num_classes, activation=activation)
    run = read_run(make_run(tmp_path / "run", program))
    check_passed(verify(make_bundle(run, load_profile(profile), tmp_path)), profile)


@pytest.fixture(scope="module")
def patch_runs(make_run, patch_program, tmp_path_factory) -> dict[int, Run]:
    folder = tmp_path_factory.mktemp("patch")
    return {n: read_run(make_run(folder / str(n), patch_program(num_classes=n))) for n in (2, 4)}


@pytest.mark.parametrize(
    "profile",
    [
        p if p in ("ideal", "lab_ecg_5bit", "component_mzi") else pytest.param(p, marks=SLOW)
        for p in shipped_profiles()
        if p not in LARGE_CORES
    ],
)
def test_patch_student_passes_on_every_shipped_profile(patch_runs, tmp_path, profile):
    check_passed(verify(make_bundle(patch_runs[2], load_profile(profile), tmp_path)), profile)


@pytest.mark.parametrize("profile", ["generic_8bit", "component_mzi", "zhang_2022_mrr"])
def test_patch_student_of_four_classes_passes(patch_runs, tmp_path, profile):
    check_passed(verify(make_bundle(patch_runs[4], load_profile(profile), tmp_path)), profile)


@pytest.mark.slow
@pytest.mark.parametrize("profile", LARGE_CORES)
def test_patch_student_passes_on_large_cores(patch_runs, tmp_path, profile):
    check_passed(verify(make_bundle(patch_runs[2], load_profile(profile), tmp_path)), profile)


def check_passed(parity: Parity, profile: str) -> None:
    assert parity.verdict == "pass", parity
    assert parity.num_samples == 24
    assert 0 < parity.float_max_abs_diff <= 1e-5
    expected = None if profile == "ideal" else 0
    assert parity.quantized_lsb_mismatches == parity.matrix_reexecution_lsb_mismatches == expected
    assert (parity.decision_mismatches, parity.first_departing_layer) == (0, None)


@pytest.mark.parametrize(
    "bits", [b if b in (2, 5, 8, 12) else pytest.param(b, marks=SLOW) for b in range(2, 13)]
)
def test_tiled_program_passes_at_every_width(make_run, tiled_program, bits_profile, tmp_path, bits):
    run = read_run(make_run(tmp_path / "run", tiled_program()))
    parity = verify(make_bundle(run, bits_profile(bits), tmp_path))
    assert parity.verdict == "pass", parity
    assert parity.quantized_lsb_mismatches == 0


MESH = {
    "name": "mesh",
    "kind": "mzi",
    "description": "",
    "weight": {"bits": 6},
    "input": {"bits": 6},
    "output": {"bits": 8},
}


@pytest.fixture(scope="module")
def make_mesh_bundle(make_run, segment_program, tmp_path_factory) -> Callable[..., Bundle]:
    run = read_run(make_run(tmp_path_factory.mktemp("mesh") / "run", segment_program()))

    def make(**optics: float) -> Bundle:
        profile = parse_profile(MESH | {"optics": optics}, where="mesh")
        return make_bundle(run, profile, tmp_path_factory.mktemp("mesh"))

    return make


def test_settings_of_an_ideal_mesh_give_the_same_codes(make_mesh_bundle):
    parity = verify(make_mesh_bundle())
    assert parity.verdict == "pass", parity
    assert (parity.settings_lsb_mismatches, parity.settings_decision_changes) == (0, 0)


def test_settings_with_coarse_phases_cost_codes_and_no_verdict(make_mesh_bundle):
    """How much they may cost is the matter of ``check``; that they are what is stated, of this."""
    parity = verify(make_mesh_bundle(phase_bits=6))
    assert parity.verdict == "pass", parity
    assert parity.settings_lsb_mismatches


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s["settings"]["phases_rad"].__setitem__(5, s["settings"]["phases_rad"][5] + 0.1),
        lambda s: s["settings"].update(gain=s["settings"]["gain"] * 1.01),
        lambda s: s["dac_codes"]["phases_rad"].__setitem__(5, 0),
        lambda s: s["settings"].pop("gain"),
    ],
)
def test_a_changed_phase_is_named(make_mesh_bundle, edit):
    changed_bundle = changed(
        make_mesh_bundle(phase_bits=8), as_json("settings/mlp1.0.0.json", edit), rehash=True
    )
    parity = verify(changed_bundle)
    assert parity.verdict == "fail"
    assert "settings/mlp1.0.0.json" in files_named(parity)


@pytest.mark.slow
def test_other_inputs_than_the_sample(bundle):
    generator = np.random.default_rng(0)
    inputs = {"beat": generator.uniform(-1, 1, (1100, 360, 1)).astype(np.float32)}
    done: list[int] = []
    parity = verify(bundle, inputs, advance=done.append)
    assert (parity.verdict, parity.num_samples, sum(done)) == ("pass", 1100, 1100)


TAMPERED: dict[str, tuple[Change, str, str | None]] = {
    "weight": (
        as_array("layers/mlp1.0.0.npy", add_to((2, 1), 0.25)),
        "layers/mlp1.0.0_codes.npy",
        "mlp1",
    ),
    "bias": (as_array("layers/head_bias.npy", add_to((0, 1), 0.3)), "layers/head_bias.csv", "head"),
    "code": (
        as_array("layers/p_encoder.0.0_codes.npy", add_to((0, 0), 1)),
        "layers/p_encoder.0.0_codes.npy",
        "p_encoder",
    ),
    "weight for people": (
        as_text("layers/mlp0.0.0.csv", "0.", "1."),
        "layers/mlp0.0.0.csv",
        "mlp0",
    ),
    "threshold": (
        as_json("manifest.json", lambda m: m["decision"].update(threshold=0.41)),
        "model.onnx",
        None,
    ),
    "threshold in a graph": (
        as_model("model_qcdq.onnx", metadata_threshold),
        "model_qcdq.onnx",
        None,
    ),
    "label": (
        as_json("manifest.json", lambda m: m.update(classes=["N", "S"])),
        "manifest.json",
        None,
    ),
    "labels swapped": (
        as_json(
            "manifest.json",
            lambda m: m.update(
                classes=["V", "N"], decision=m["decision"] | {"classes": ["V", "N"]}
            ),
        ),
        "model.onnx",
        None,
    ),
    "graph node": (as_model("model_qcdq.onnx", to_floor), "", "mlp1"),
    "graph weight": (
        as_model("model.onnx", lambda m: initialiser(m, "t_encoder/weight", add_to((0, 0), 0.5))),
        "",
        "t_encoder",
    ),
    "graph activation": (
        as_model("model_qcdq.onnx", to_softsign),
        "",
        "mlp0_features",
    ),
    "scale": (
        as_json("layers/index.json", lambda i: i["layers"][4].update(scale=0.5)),
        "layers/index.json",
        "mlp0",
    ),
    "gain": (
        as_json("layers/index.json", lambda i: i["layers"][7].update(gain=3.0)),
        "layers/index.json",
        "head",
    ),
    "setting": (
        as_json(
            "settings/mlp2.0.0.json",
            lambda s: s["settings"]["weight"][1].__setitem__(2, -s["settings"]["weight"][0][0]),
        ),
        "settings/mlp2.0.0.json",
        "mlp2",
    ),
    "realised matrix": (
        as_json("settings/head.0.0.json", lambda s: s["realised"][0].__setitem__(0, 9.0)),
        "settings/head.0.0.json",
        "head",
    ),
    "golden input": (
        as_text("vectors/qrs_encoder.0.0_in.csv", "\n-1", "\n-0"),
        "vectors/qrs_encoder.0.0_in.csv",
        "qrs_encoder",
    ),
    "golden output": (
        as_text("vectors/global_encoder.0.0_out.csv", "\n-", "\n"),
        "vectors/global_encoder.0.0_out.csv",
        "global_encoder",
    ),
    "table": (
        as_text("tables/mlp1_features.csv", "\n0,0\n", "\n0,1\n"),
        "tables/mlp1_features.csv",
        "mlp1_features",
    ),
    "reference output": (
        reference(lambda a: a["logits"].__setitem__((3, 0), 7.0)),
        "reference.npz",
        None,
    ),
    "reference code": (reference(lambda a: a["codes"].__iadd__(1)), "reference.npz", None),
    "reference decision": (
        reference(lambda a: a["decisions"].__setitem__(0, 1 - a["decisions"][0])),
        "reference.npz",
        None,
    ),
    "profile": (
        as_json("profile.json", lambda p: p["weight"].update(bits=6)),
        "profile.json",
        None,
    ),
    "step": (
        as_json("program.json", lambda p: p["steps"][0].update(start=1, stop=121)),
        "reference.npz",
        None,
    ),
    "padding": (
        as_array("layers/head.0.0.npy", add_to((3, 3), 0.5)),
        "layers/head.0.0.npy",
        "head",
    ),
}


def files_named(parity: Parity) -> set[str]:
    return {fault.file for fault in parity.faults}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_is_named_though_the_hashes_were_recomputed(bundle, kind):
    change, file, layer = TAMPERED[kind]
    parity = verify(changed(bundle, change, rehash=True))
    assert parity.verdict == "fail"
    if file:
        assert file in files_named(parity), parity.faults
    if layer:
        layers = {parity.first_departing_layer, *(fault.layer for fault in parity.faults)}
        assert layer in layers, parity


@pytest.mark.parametrize("kind", [k for k, (_, file, _) in TAMPERED.items() if not file])
def test_the_layer_where_a_graph_departs_is_the_first_one(bundle, kind):
    change, _, layer = TAMPERED[kind]
    assert verify(changed(bundle, change, rehash=True)).first_departing_layer == layer


def test_a_changed_table_of_a_graph_is_named(make_run, tiled_program, bits_profile, tmp_path):
    """Twelve bits: finer than a tanh of float32 can be trusted with, so the graph has a table."""
    run = read_run(make_run(tmp_path / "run", tiled_program()))
    made = make_bundle(run, bits_profile(12), tmp_path)
    negate = as_model(
        "model_qcdq.onnx",
        lambda m: initialiser(m, "features/table", lambda t: np.negative(t, out=t)),
    )
    parity = verify(changed(made, negate, rehash=True))
    assert (parity.verdict, parity.first_departing_layer) == ("fail", "features")


def test_a_weight_of_layers_side_by_side_is_named(patch_runs, tmp_path):
    """Both rhythm layers are one matrix in the graph; the one that departs is named."""
    made = make_bundle(patch_runs[2], load_profile("lab_ecg_5bit"), tmp_path)
    for graph, row, column, layer in (
        ("model.onnx", 0, 0, "rhythm0"),
        ("model_qcdq.onnx", 5, 6, "rhythm1"),
    ):
        weight = "rhythm0+rhythm1/weight"
        change = as_model(
            graph, lambda m, w=weight, at=(row, column): initialiser(m, w, add_to(at, 40.0))
        )
        assert verify(changed(made, change, rehash=True)).first_departing_layer == layer


def test_other_matrices_that_agree_with_each_other_are_not_the_graph(
    bundle, make_run, segment_program, tmp_path
):
    """All of layers/ made from another model: consistent, but not what the graphs compute."""
    program = segment_program()
    matrix = program.layers["mlp2"].matrix.copy()
    matrix[0] *= -1
    layers = dict(program.layers) | {
        "mlp2": dataclasses.replace(program.layers["mlp2"], matrix=matrix)
    }
    other = Program(inputs=program.inputs, steps=program.steps, output="logits", layers=layers)
    made = make_bundle(read_run(make_run(tmp_path / "run", other)), bundle.profile, tmp_path).files

    def swap(files: dict[str, bytes]) -> None:
        for name, data in made.items():
            if name.startswith(("layers/", "settings/", "vectors/", "tables/")):
                files[name] = data

    parity = verify(changed(bundle, swap, rehash=True))
    assert parity.first_departing_layer == "mlp2"
    assert files_named(parity) == {"reference.npz"}
    assert parity.quantized_lsb_mismatches
    assert parity.float_max_abs_diff > 1e-3
    assert parity.matrix_reexecution_lsb_mismatches == 0  # the files agree with one another


def test_a_flipped_byte_in_any_file_is_named(bundle):
    for name in bundle.manifest.files:

        def flip(files: dict[str, bytes], name: str = name) -> None:
            data = bytearray(files[name])
            data[len(data) // 2] ^= 1
            files[name] = bytes(data)

        assert set(file_faults(changed(bundle, flip, rehash=False))) == {name}


def test_missing_hash_and_missing_file_are_named(bundle):
    gone = changed(bundle, lambda files: files.pop("layers/mlp0.0.0.npy"), rehash=False)
    assert "layers/mlp0.0.0.npy" in files_named(verify(gone))

    def hash_of(files: Mapping[str, bytes]) -> None:
        as_json("manifest.json", lambda m: m["files"].update({"model.onnx": "0" * 64}))(files)

    assert files_named(verify(changed(bundle, hash_of, rehash=False))) == {"model.onnx"}


@pytest.mark.parametrize(
    "name", ["program.json", "layers/index.json", "model.onnx", "reference.npz", "profile.json"]
)
@pytest.mark.parametrize(
    "content", [b"garbage", b"{}", pytest.param(b"", marks=SLOW), pytest.param(b"[1]", marks=SLOW)]
)
def test_garbage_in_a_file_is_a_fault_and_no_crash(bundle, name, content):
    parity = verify(changed(bundle, lambda files: files.update({name: content}), rehash=True))
    assert parity.verdict == "fail"
    assert any(name in fault.file or name in fault.message for fault in parity.faults)
