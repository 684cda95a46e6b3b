"""The commands export, check and verify: JSON keys, exit status, one line for bad input."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from export.bundle import read_bundle
from photonic.cli.main import run

CHECK_KEYS = {"code", "severity", "layer", "value", "limit", "message"}
VERIFY_KEYS = {
    "verdict",
    "float_max_abs_diff",
    "quantized_lsb_mismatches",
    "decision_mismatches",
    "matrix_reexecution_max_abs_diff",
    "num_samples",
    "first_departing_layer",
}


@pytest.fixture
def copy(lab_bundle, tmp_path) -> Path:
    shutil.copytree(lab_bundle, tmp_path / "copy")
    return tmp_path / "copy"


def answer(capsys, *arguments: object) -> tuple[int, dict]:
    status = run([str(argument) for argument in arguments])
    return status, json.loads(capsys.readouterr().out)


def refusal(capsys, *arguments: object) -> str:
    assert run([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    return printed.err


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_export_then_check_then_verify(run_dir, tmp_path, capsys, name):
    out = tmp_path / name
    status, made = answer(
        capsys, "export", run_dir, "--profile", "generic_8bit", "--out", out, "--json"
    )
    assert status == 0
    assert made["num_files"] == len(read_bundle(out).files)
    assert (made["num_matrices"], made["quantized"]) == (8, True)
    status, checked = answer(capsys, "check", out, "--json")
    assert status == 0
    assert checked["verdict"] in ("pass", "warn")
    assert all(set(found) == CHECK_KEYS for found in checked["findings"])
    status, verified = answer(capsys, "verify", out, "--json")
    assert status == 0
    assert set(verified) >= VERIFY_KEYS
    assert (verified["verdict"], verified["quantized_lsb_mismatches"]) == ("pass", 0)
    assert verified["data"] == "reference sample of the bundle"


def test_tables_for_people(run_dir, tmp_path, capsys):
    out = tmp_path / "bundle"
    assert run(["export", str(run_dir), "--profile", "lab_ecg_5bit", "--out", str(out)]) == 0
    assert "p_encoder" in capsys.readouterr().out
    assert run(["check", str(out)]) == 0
    assert "COR001" in capsys.readouterr().out
    assert run(["verify", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())  # a long path breaks the title
    assert "pass on 24 samples (reference sample of the bundle)" in printed


def test_check_refuses_a_model_that_a_chip_cannot_hold(lab_bundle, tmp_path, capsys):
    strict = tmp_path / "strict.toml"
    text = Path(sys.modules["hw_profiles"].__file__).with_name("lab_ecg_5bit.toml").read_text()
    strict.write_text(text.replace("[limits]", "[limits]\nmax_gain = 1.5"))
    status, checked = answer(capsys, "check", lab_bundle, "--profile", strict, "--json")
    assert (status, checked["verdict"]) == (1, "fail")
    assert "GAN001" in {found["code"] for found in checked["findings"]}


def test_scores_are_told_when_asked_for(lab_bundle, capsys):
    asked = ("verify", lab_bundle, "--metric", "accuracy")
    status, verified = answer(capsys, *asked, "--keep", "0.0", "--json")
    scores = verified["scores"]
    assert (status, scores["metric"], scores["num_samples"]) == (0, "accuracy", 24)
    assert scores["deployed"] == scores["settings"]  # a generic core realises its codes
    assert run([*map(str, asked), "--keep", "1.0"]) == int(scores["deployed"] < scores["reference"])
    assert f"float {scores['reference']:.4f}" in capsys.readouterr().out
    assert "scores" not in answer(capsys, "verify", lab_bundle, "--json")[1]
    for command in ("check", "verify"):
        assert "known are" in refusal(capsys, command, lab_bundle, "--metric", "no")


def test_a_tampered_bundle_fails_and_is_named(copy, capsys):
    vectors = copy / "vectors" / "mlp0.0.0_out.csv"
    vectors.write_text(vectors.read_text().replace("1", "2", 1))
    status, verified = answer(capsys, "verify", copy, "--json")
    assert (status, verified["verdict"]) == (1, "fail")
    assert {f["file"] for f in verified["faults"]} == {"vectors/mlp0.0.0_out.csv"}
    status, checked = answer(capsys, "check", copy, "--json")
    assert status == 1
    assert {f["code"] for f in checked["findings"] if f["severity"] == "error"} == {"BND002"}
    assert run(["verify", str(copy)]) == 1
    assert "vectors/mlp0.0.0_out.csv: changed" in " ".join(capsys.readouterr().out.split())


def test_bad_input_is_one_line(run_dir, lab_bundle, copy, tmp_path, capsys):
    out = tmp_path / "out"
    given = ("--profile", "ideal", "--out", out)
    assert "no such folder" in refusal(capsys, "export", tmp_path / "no", *given)
    assert "neither a file nor a shipped profile" in refusal(
        capsys, "export", run_dir, "--profile", "nope", "--out", out
    )
    assert "Missing option '--profile'" in refusal(capsys, "export", run_dir, "--out", out)
    assert not out.exists()
    assert "no such file or folder" in refusal(capsys, "check", tmp_path / "no")
    assert "no manifest.json there" in refusal(capsys, "verify", run_dir)
    assert "give the folder with --data" in refusal(capsys, "verify", copy, "--subset", "test")
    manifest = json.loads((copy / "manifest.json").read_text()) | {"schema_version": 3}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    for command in ("check", "verify"):
        assert "another schema version" in refusal(capsys, command, copy)


def test_damaged_runs_leave_nothing_behind(run_dir, tmp_path, capsys):
    for name in ("checkpoint.safetensors", "program.json", "sample.npz"):
        damaged = tmp_path / name
        shutil.copytree(run_dir, damaged)
        (damaged / name).write_bytes(b"\x00" + (damaged / name).read_bytes()[1:])
        message = refusal(
            capsys, "export", damaged, "--profile", "ideal", "--out", tmp_path / "out"
        )
        assert f"{name}: damaged or changed" in message
        assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def said_in_base_install(in_base_install, lab_bundle) -> dict[str, list]:
    """Status and output of commands there, in one interpreter that imports what they need."""
    code = (
        "import numpy, onnxruntime, wfdb, pydantic, click, rich, scipy\n"
        "import contextlib, io, json\n"
        "from photonic.cli.main import run\n"
        "said = {}\n"
        "for command in ('check', 'verify', 'cost'):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        f"        status = run([command, {str(lab_bundle)!r}, '--json'])\n"
        "    said[command] = [status, out.getvalue()]\n"
        "print(json.dumps(said))"
    )
    done = in_base_install(code)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("command", "key"), [("check", "verdict"), ("verify", "verdict"), ("cost", "costs")]
)
def test_commands_run_in_the_base_install(said_in_base_install, command, key):
    status, text = said_in_base_install[command]
    assert status == 0
    assert json.loads(text)[key] not in ("fail", None)


def test_a_departing_layer_is_named_in_the_base_install(in_base_install, lab_bundle):
    """Reading values inside a graph needs no onnx package."""
    code = (
        "from export.bundle import open_bundle, Bundle\n"
        "from export.parity import verify\n"
        f"bundle = open_bundle({str(lab_bundle)!r})\n"
        "files = dict(bundle.files)\n"
        "model = files['model_qcdq.onnx']\n"
        "first = model.index(b'mlp0_sums/product') \n"
        "at = model.index(b'Round', first)\n"
        "files['model_qcdq.onnx'] = model[:at] + b'Floor' + model[at + 5:]\n"
        "print(verify(Bundle(bundle.path, bundle.manifest, files)).first_departing_layer)"
    )
    done = in_base_install(code)
    assert done.stdout.strip() == "mlp0", done.stderr


@pytest.mark.parametrize("module", ["torch", "brevitas", "onnx", "sklearn", "safetensors"])
def test_the_base_install_really_lacks_it(in_base_install, module):
    done = in_base_install(f"import {module}")
    assert done.returncode == 1
    assert f"No module named '{module}'" in done.stderr


def test_export_without_the_extra_says_what_to_install(command_in_base_install, run_dir, tmp_path):
    done = command_in_base_install("export", run_dir, "--profile", "ideal", "--out", tmp_path / "b")
    assert done.returncode == 2
    assert "pip install 'photonic-deploy[train]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_verify_on_real_beats(mitdb_dir, lab_bundle, capsys):
    """All 29 781 generalisation beats of the founding split."""
    status, verified = answer(
        capsys, "verify", lab_bundle, "--data", mitdb_dir, "--subset", "test", "--json"
    )
    assert status == 0, verified
    assert (verified["num_samples"], verified["quantized_lsb_mismatches"]) == (29781, 0)
    assert verified["decision_mismatches"] == 0
    assert verified["float_max_abs_diff"] <= 1e-5


@pytest.mark.slow
def test_calibrate_weighs_by_the_inputs_of_real_training_beats(mitdb_dir, lab_bundle, capsys):
    """With wide codes the products gain what the matrices alone cannot."""
    common = ("calibrate", lab_bundle, "--profile", "lab_ecg_5bit", "--chips", 2, "--json")
    plain, weighed = (
        answer(capsys, *common, "--averages", 4, "--iterations", 2, *more)[1]
        for more in ((), ("--inputs", mitdb_dir))
    )
    assert plain["inputs"] is None
    assert weighed["inputs"].startswith("training samples of")
    assert weighed["after"]["product_error_mean"] < 0.8 * weighed["before"]["product_error_mean"]
    assert plain["after"]["absolute_error_mean"] < weighed["after"]["absolute_error_mean"]
