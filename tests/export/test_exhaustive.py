"""Every input of every block: all agree, one wrong weight is found, too many bits are refused."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.bundle import Bundle
from export.exhaustive import all_codes, ideal_optics, verify_exhaustively
from export.run_directory import read_run
from export.write import make_bundle, write_bundle
from photonic.cli.main import run as run_command
from photonic.errors import BundleError, ConfigError
from photonic.profile import load_profile, parse_profile
from photonic.quantize import Quantizer


@pytest.fixture(scope="module")
def bundle(make_run, tiled_program, bits_profile, tmp_path_factory) -> Bundle:
    folder = tmp_path_factory.mktemp("exhaustive")
    return make_bundle(read_run(make_run(folder / "run", tiled_program())), bits_profile(3), folder)


def test_every_vector_once():
    parts = list(all_codes(Quantizer(bits=3, symmetric=True), 2))
    assert sorted(map(tuple, np.concatenate(parts))) == [
        (a, b) for a in range(-3, 4) for b in range(-3, 4)
    ]


def test_graph_codes_and_simulator_agree_on_everything(bundle):
    done: list[int] = []
    result = verify_exhaustively(bundle, advance=done.append)
    assert result.same
    assert result.first_departing_layer is None
    assert result.activation_mismatches == 0
    assert sum(done) == result.num_blocks == 12
    # Columns of 4, 2 | 4, 1 | 4, 4, 4, 3 inputs.
    assert result.num_inputs == 8**4 + 8**2 + 8**4 + 8 + 3 * 8**4 + 8**3


@pytest.mark.parametrize(("row", "column"), [(13, 9), (0, 9)])
def test_a_wrong_weight_is_found_in_its_tile_and_outside_of_it(bundle, row, column):
    """Row 13 belongs to the last tile, whose outputs are columns 9 to 11; row 0 does not."""
    model = onnx.load_from_string(bundle.files["model_qcdq.onnx"])
    tensor = next(t for t in model.graph.initializer if t.name == "head/weight")
    weight = numpy_helper.to_array(tensor).copy()
    weight[row, column] += 2.0
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    files = dict(bundle.files) | {"model_qcdq.onnx": model.SerializeToString()}
    result = verify_exhaustively(Bundle(bundle.path, bundle.manifest, files))
    assert result.graph_mismatches > 0
    assert result.first_departing_layer == "head"
    assert result.simulator_mismatches == 0


@pytest.mark.parametrize(("bits", "op"), [(3, "Tanh"), (3, "Gather")])
def test_a_wrong_activation_is_found(
    make_run, patch_program, bits_profile, tmp_path, monkeypatch, bits, op
):
    """Of two layers side by side, and as a table or as a function."""
    if op == "Gather":
        monkeypatch.setattr("export.integer_graph.needs_no_table", lambda *_: False)
    run = read_run(make_run(tmp_path / "run", patch_program()))
    made = make_bundle(run, bits_profile(bits), tmp_path)
    assert verify_exhaustively(made).same
    model = onnx.load_from_string(made.files["model_qcdq.onnx"])
    if op == "Gather":
        name = "rhythm0_features+rhythm1_features/table"
        tensor = next(t for t in model.graph.initializer if t.name == name)
        codes = numpy_helper.to_array(tensor).copy()
        codes[-1] += 1
        tensor.CopyFrom(numpy_helper.from_array(codes, name))
    else:
        nodes = [n for n in model.graph.node if n.op_type == op and "rhythm0" in n.name]
        nodes[0].op_type = "Softsign"
    files = dict(made.files) | {"model_qcdq.onnx": model.SerializeToString()}
    result = verify_exhaustively(Bundle(made.path, made.manifest, files))
    assert not result.same
    assert result.activation_mismatches > 0 == result.graph_mismatches
    assert result.first_departing_layer == "rhythm0_features"


def test_simulator_that_departs_is_found(bundle, monkeypatch):
    monkeypatch.setattr("photonic.simulate.simulate", lambda p, h, x, chips: -np.ones((1, 1, 1)))
    result = verify_exhaustively(bundle)
    assert result.simulator_mismatches > 0
    assert result.graph_mismatches == 0
    assert not result.same


def test_more_inputs_than_can_be_gone_through(make_run, tiled_program, bits_profile, tmp_path):
    run = read_run(make_run(tmp_path / "run", tiled_program()))
    with pytest.raises(ConfigError, match=r"2\^24 inputs per block .*6 bits"):
        verify_exhaustively(make_bundle(run, bits_profile(6), tmp_path))
    with pytest.raises(BundleError, match="'ideal' has no converters"):
        verify_exhaustively(make_bundle(run, load_profile("ideal"), tmp_path))


def test_ideal_optics_keeps_the_converters_and_drops_the_rest():
    mesh = parse_profile(
        {
            "name": "mesh",
            "kind": "mzi",
            "description": "",
            "weight": {"bits": 4, "programming_sigma": 0.1},
            "input": {"bits": 4},
            "output": {"bits": 6, "full_scale": 3.0, "gain_bits": 5},
            "optics": {"phase_bits": 6, "element_loss_db": 0.3},
        },
        where="mesh",
    )
    ideal = ideal_optics(mesh)
    assert ideal.converters() == mesh.converters()
    assert (ideal.kind, ideal.weight.programming_sigma) == ("generic", 0.0)


def test_on_the_command_line(bundle, make_run, tiled_program, bits_profile, tmp_path, capsys):
    run = read_run(make_run(tmp_path / "run", tiled_program()))
    write_bundle(run, bits_profile(2), tmp_path / "b")
    assert run_command(["verify", str(tmp_path / "b"), "--exhaustive", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "pass"
    assert answer["exhaustive"]["num_blocks"] == 12
    assert answer["exhaustive"]["graph_mismatches"] == 0
    assert run_command(["verify", str(tmp_path / "b"), "--exhaustive"]) == 0
    assert "graph 0, simulator 0 codes differ" in capsys.readouterr().out
