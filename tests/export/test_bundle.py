"""A bundle appears whole or not at all, is the same every time, and needs none of our code."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from export.bundle import open_bundle, read_bundle
from export.manifest import json_schema, shipped_json_schema
from export.run_directory import read_run
from export.write import make_bundle, write_bundle
from photonic.errors import BundleError, ConfigError
from photonic.execute import run_float, run_integer
from photonic.profile import load_profile


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_same_run_same_bytes(run_dir, tmp_path):
    profile = load_profile("lab_ecg_5bit")
    for name in ("a", "b"):
        write_bundle(read_run(run_dir), profile, tmp_path / name)
        write_bundle(read_run(run_dir), profile, tmp_path / f"{name}.zip")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert read_bundle(tmp_path / "a.zip").files == read_bundle(tmp_path / "a").files


def test_a_copied_run_gives_the_same_bundle(run_dir, lab_bundle, tmp_path):
    shutil.copytree(run_dir, tmp_path / "elsewhere")
    again = make_bundle(read_run(tmp_path / "elsewhere"), load_profile("lab_ecg_5bit"), tmp_path)
    assert again.files == contents(lab_bundle)


def test_what_is_read_is_what_was_written(run_dir, lab_bundle):
    run, bundle = read_run(run_dir), read_bundle(lab_bundle)
    assert bundle.program.steps == run.program.steps
    for name, layer in run.program.layers.items():
        assert np.array_equal(bundle.program.layers[name].matrix, layer.matrix)
        assert np.array_equal(bundle.program.layers[name].bias, layer.bias)
        assert bundle.program.layers[name].gain == layer.gain
    assert bundle.decision == run.decision
    assert bundle.profile.hash() == load_profile("lab_ecg_5bit").hash()
    reference = bundle.reference
    assert np.array_equal(reference.logits, run_float(run.program, run.sample.inputs))
    codes = run_integer(run.program, run.sample.inputs, bundle.converters)
    assert np.array_equal(reference.codes, codes)
    assert codes.any()
    assert list(reference.label) == list(run.sample.about["label"])
    assert reference.record[0] == "100"


def test_files_are_those_of_the_specification(lab_bundle):
    names = set(contents(lab_bundle))
    assert {"manifest.json", "model.onnx", "model_qcdq.onnx", "program.json"} <= names
    assert {"reference.npz", "profile.json", "layers/index.json"} <= names
    for stem in ("mlp0.0.0", "head.0.0", "p_encoder.0.0"):
        assert {f"layers/{stem}{s}" for s in (".csv", ".npy", "_codes.csv", "_codes.npy")} <= names
        assert {f"vectors/{stem}_in.csv", f"vectors/{stem}_out.csv"} <= names
        assert f"settings/{stem}.json" in names
    assert "tables/mlp0_features.csv" in names


def test_every_hash_is_that_of_the_file(lab_bundle):
    manifest = json.loads((lab_bundle / "manifest.json").read_text())
    files = contents(lab_bundle)
    del files["manifest.json"]
    assert manifest["files"] == {n: hashlib.sha256(d).hexdigest() for n, d in files.items()}


def test_without_converters_there_is_no_deployed_model(run_dir, tmp_path):
    bundle = make_bundle(read_run(run_dir), load_profile("ideal"), tmp_path)
    assert not bundle.has_quantized
    assert bundle.reference.codes is None
    assert not [n for n in bundle.files if "codes" in n or "tables" in n or "qcdq" in n]


def test_the_shipped_schema_is_that_of_the_model():
    assert shipped_json_schema() == json_schema()


def test_a_lab_needs_none_of_our_code(make_run, tiled_program, tmp_path):
    """The deployed model from CSV and JSON with a dozen lines of NumPy, codes as stored."""
    run = read_run(make_run(tmp_path / "run", tiled_program()))
    write_bundle(run, load_profile("generic_8bit"), tmp_path / "b")
    bundle = tmp_path / "b"
    index = json.loads((bundle / "layers" / "index.json").read_text())
    steps = json.loads((bundle / "program.json").read_text())["steps"]
    layers = {layer["name"]: layer for layer in index["layers"]}
    reference = np.load(bundle / "reference.npz")
    values = {n: np.rint(reference[n] * 128).clip(-128, 127) for n in ("beat", "rhythm")}

    def csv(name: str) -> np.ndarray:
        return np.loadtxt(bundle / "layers" / f"{name}.csv", delimiter=",", ndmin=2)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        layer = layers[name]
        padded = np.pad(x, [(0, 0), (0, 0), (0, 4 * layer["tiles_across"] - x.shape[-1])])
        rows = []
        for r in range(layer["tiles_down"]):
            tiles = [csv(f"{name}.{r}.{c}_codes") for c in range(layer["tiles_across"])]
            products = [padded[..., 4 * c : 4 * c + 4] @ t.T for c, t in enumerate(tiles)]
            rows.append(sum(np.rint(p * layer["scale"]).clip(-128, 127) for p in products))
        return np.concatenate(rows, -1)[..., : layer["out"]] + csv(f"{name}_bias_codes")[0]

    for step in steps:
        out = step["out"]
        if step["op"] == "patch":
            x = values[step["source"]]
            values[out] = x.reshape(len(x), -1, step["size"] * x.shape[-1])
        elif step["op"] == "concat":
            values[out] = np.concatenate([values[s] for s in step["sources"]], axis=1)
        elif step["op"] == "linear":
            values[out] = linear(values[step["source"]], step["layer"])
        else:
            table = np.loadtxt(bundle / "tables" / f"{out}.csv", delimiter=",", skiprows=1)
            lookup = dict(table.astype(int).tolist())
            values[out] = np.vectorize(lookup.get)(values[step["source"]].astype(int))
    assert np.array_equal(values["logits"][:, 0], reference["codes"])


def test_golden_vectors_are_what_a_lab_would_compute(lab_bundle):
    codes = np.loadtxt(lab_bundle / "layers" / "mlp0.0.0_codes.csv", delimiter=",")
    index = json.loads((lab_bundle / "layers" / "index.json").read_text())
    scale = next(b["scale"] for b in index["blocks"] if b["name"] == "mlp0.0.0")
    given = np.loadtxt(lab_bundle / "vectors" / "mlp0.0.0_in.csv", delimiter=",", skiprows=1)
    out = np.loadtxt(lab_bundle / "vectors" / "mlp0.0.0_out.csv", delimiter=",", skiprows=1)
    assert len(given) >= 8  # ± each unit vector at least
    expected = np.rint(given[:, 4:] @ codes.T * scale).clip(-128, 127)
    assert np.array_equal(out[:, 4:], expected)
    assert np.array_equal(given[:, :4] * 16, given[:, 4:])


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_a_crash_leaves_the_old_bundle(run_dir, tmp_path, monkeypatch, name):
    target = tmp_path / name
    write_bundle(read_run(run_dir), load_profile("lab_ecg_5bit"), target)
    before = read_bundle(target).files

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(read_run(run_dir), load_profile("generic_4bit"), target)
    assert read_bundle(target).files == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_old_bundle_is_replaced_and_other_things_are_not(run_dir, tmp_path):
    run = read_run(run_dir)
    write_bundle(run, load_profile("lab_ecg_5bit"), tmp_path / "b")
    write_bundle(run, load_profile("ideal"), tmp_path / "b")
    assert read_bundle(tmp_path / "b").manifest.profile.name == "ideal"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds something that is no bundle"):
        write_bundle(run, load_profile("ideal"), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_zipped_by_hand_one_level_deeper(lab_bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents(lab_bundle).items():
            archive.writestr(f"bundle/{name}", data)
    assert read_bundle(tmp_path / "b.zip").files == read_bundle(lab_bundle).files


@pytest.fixture
def copy(lab_bundle, tmp_path) -> Path:
    shutil.copytree(lab_bundle, tmp_path / "copy")
    return tmp_path / "copy"


def test_changed_missing_and_added_files_are_refused(copy):
    weight = copy / "layers" / "mlp0.0.0.npy"
    data = weight.read_bytes()
    weight.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"layers/mlp0\.0\.0\.npy: changed: its SHA-256"):
        read_bundle(copy)
    weight.unlink()
    with pytest.raises(BundleError, match=r"layers/mlp0\.0\.0\.npy: missing from the bundle"):
        read_bundle(copy)
    weight.write_bytes(data)
    (copy / "notes.txt").write_text("x")
    with pytest.raises(BundleError, match=r"notes\.txt: not listed"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(schema_version=2), "another schema version.*this release reads 1"),
        (lambda m: m.pop("classes"), "classes: Field required"),
        (lambda m: m.update(colour="red"), "colour: Extra inputs are not permitted"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(copy, edit, message):
    manifest = json.loads((copy / "manifest.json").read_text())
    edit(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=message):
        open_bundle(copy)


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="no such file or folder"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"no manifest\.json there"):
        open_bundle(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BundleError, match="neither a bundle folder nor a zip"):
        open_bundle(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BundleError, match=r"no manifest\.json in it"):
        open_bundle(tmp_path / "b.zip")
