"""Every finding is provoked once, and a sound model gives none of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.bundle import Bundle, open_bundle
from export.checks import check_bundle, check_program
from export.findings import CODES, Finding, finding, verdict
from export.matrix_checks import check_matrices
from export.run_directory import Run, read_run
from export.score_checks import bundle_scores, check_score
from export.signal_checks import output_statistics
from export.write import make_bundle
from photonic.decision import Decision
from photonic.errors import ConfigError
from photonic.execute import run_float
from photonic.profile import HardwareProfile, load_profile, parse_profile
from photonic.program import Activation, Input, Layer, Linear, Mean, Program, Unit

GOOD = np.array(
    [[0.9, -0.5, 0.3, 0.1], [-0.4, 0.8, 0.2, -0.6], [0.5, 0.5, -0.7, 0.2], [0.1, -0.9, 0.4, 0.6]],
    dtype=np.float32,
)


def one_layer(
    matrix: np.ndarray = GOOD, *, gain: float = 2.0, unit: bool = False, kind: str = "tanh"
) -> Program:
    """Two products with a tanh between; every number of the first one can be chosen."""
    bias = np.zeros(len(matrix), dtype=np.float32)
    normalise = [Unit(out="unit", source="features")] if unit else []
    last = "unit" if unit else "features"
    return Program(
        inputs=(Input(name="x", tokens=3, channels=matrix.shape[1]),),
        steps=(
            Linear(out="sums", source="x", layer="first"),
            Activation(out="features", source="sums", kind=kind),
            *normalise,
            Mean(out="pooled", source=last, ranges=((0, 3),)),
            Linear(out="logits", source="pooled", layer="head"),
        ),
        output="logits",
        layers={
            "first": Layer(name="first", matrix=matrix, bias=bias, gain=gain),
            "head": Layer(name="head", matrix=GOOD, bias=np.zeros(4, np.float32), gain=2.0),
        },
    )


def data(program: Program, size: float = 1.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    spec = program.inputs[0]
    shape = (200, spec.tokens, spec.channels)
    return {"x": size * generator.uniform(-1, 1, shape).astype(np.float32)}


def profile(name: str = "generic_8bit", **values: object) -> HardwareProfile:
    made = load_profile(name)
    for key, value in values.items():
        made = made.with_value(key.replace("__", "."), value)
    return made


def link(name: str = "generic_8bit", **values: object) -> HardwareProfile:
    """1 mW and 1 dB of loss between laser and detector, if nothing else is said."""
    return profile(name, **{"optics__laser_power_mw": 1.0, "optics__element_loss_db": 1.0} | values)


def of_kind(kind: str) -> HardwareProfile:
    return load_profile("generic_8bit").model_copy(update={"kind": kind})


def codes(findings: list[Finding]) -> dict[str, Finding]:
    return {found.code: found for found in findings}


def check(program: Program, hardware: HardwareProfile, size: float = 1.0) -> dict[str, Finding]:
    return codes(check_program(program, hardware, data(program, size)))


def test_a_sound_model_on_enough_cores_has_no_findings():
    program = one_layer()
    findings = check_program(program, profile(core__count=2), data(program))
    assert findings == []
    assert verdict(findings) == "pass"


CASES = {
    "weight beyond the range": (
        "VAL002",
        "error",
        lambda: check(one_layer(GOOD * 1.5), profile()),
        pytest.approx(1.35),
    ),
    "row of zeros": (
        "VAL003",
        "warning",
        lambda: check(one_layer(GOOD * np.array([[1], [0], [1], [1]])), profile()),
        1,
    ),
    "not finite": (
        "VAL001",
        "error",
        lambda: check(one_layer(GOOD * np.nan), profile()),
        None,
    ),
    "gain beyond the amplifier": (
        "GAN001",
        "error",
        lambda: check(one_layer(gain=17.0), profile()),
        17.0,
    ),
    "too coarse": (
        "QNT001",
        "error",
        lambda: check(one_layer(GOOD * 0.1), profile(weight__bits=3)),
        None,
    ),
    "clips at the highest code": (
        "QNT002",
        "info",
        lambda: check(one_layer(np.where(GOOD > 0.8, 1.0, GOOD)), profile(weight__bits=4)),
        1 / 16,
    ),
    "few activation bits": (
        "QNT003",
        "error",
        lambda: check(one_layer(), profile(input__bits=3)),
        3,
    ),
    "float32 does not hold it": (
        "QNT004",
        "info",
        lambda: check(one_layer(), profile(weight__bits=12, input__bits=12)),
        32,
    ),
    "no bits": ("QNT005", "info", lambda: check(one_layer(), profile("ideal")), None),
    "larger than the core": (
        "BLK001",
        "info",
        lambda: check(one_layer(np.tile(GOOD, (1, 3))), profile()),
        3,
    ),
    "smaller than the core": (
        "BLK002",
        "info",
        lambda: check(one_layer(GOOD[:, :2]), profile()),
        0.5,
    ),
    "small core": (
        "BLK003",
        "warning",
        lambda: check(one_layer(), profile(core__rows=2, core__cols=2)),
        "2x2",
    ),
    "digital division": (
        "OPS001",
        "warning",
        lambda: check(one_layer(unit=True), profile()),
        None,
    ),
    "clipping that changes values": (
        "ADC001",
        "error",
        lambda: check(one_layer(gain=8.0, kind="identity"), profile(output__full_scale=0.5)),
        None,
    ),
    "clipping that does not": (
        "ADC004",
        "info",
        lambda: check(one_layer(gain=8.0), profile(output__full_scale=3.5, input__bits=5)),
        None,
    ),
    "little of the range": ("ADC002", "warning", lambda: check(one_layer(), profile(), 0.01), None),
    "dead output": (
        "ADC003",
        "warning",
        lambda: check(one_layer(GOOD * np.array([[1], [0], [1], [1]])), profile()),
        1,
    ),
    "settings too coarse": (
        "SET001",
        "error",
        lambda: check(one_layer(GOOD * 0.1), profile(weight__bits=3)),
        None,
    ),
    "unknown device": ("SET002", "error", lambda: check(one_layer(), of_kind("dice")), "dice"),
    "few cores": ("COR001", "info", lambda: check(one_layer(), profile()), 2),
    "too slow": (
        "LAT001",
        "error",
        lambda: check(one_layer(), profile(limits__latency_us=5.0)),
        pytest.approx(20.0, abs=0.1),
    ),
    "too much energy": (
        "ENE001",
        "error",
        lambda: check(one_layer(), profile("component_mzi", limits__energy_uj=1e-9)),
        None,
    ),
    "energy known in part": (
        "ENE002",
        "warning",
        lambda: check(one_layer(), profile("ideal", limits__energy_uj=1.0)),
        0.0,
    ),
    "lossy path": (
        "LNK001",
        "error",
        lambda: check(one_layer(), link(limits__max_insertion_loss_db=0.5)),
        pytest.approx(1.0),
    ),
    "too dark": (
        "LNK002",
        "error",
        lambda: check(one_layer(), link(optics__sensitivity_dbm=3.0)),
        pytest.approx(-1.0),
    ),
    "too bright": (
        "LNK003",
        "error",
        lambda: check(one_layer(), link(optics__saturation_dbm=2.0)),
        None,
    ),
    "noisy receiver": (
        "LNK004",
        "warning",
        lambda: check(
            one_layer(), link("component_mzi", optics__laser_power_mw=1e-6, output__bits=8)
        ),
        None,
    ),
    "no times": (
        "LAT002",
        "warning",
        lambda: check(one_layer(), profile("ideal", limits__latency_us=5.0)),
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_finding(case):
    code, severity, make, value = CASES[case]
    found = make()
    assert code in found, sorted(found)
    assert found[code].severity == severity
    assert found[code].message.endswith(CODES[code].advice)
    if value is not None:
        assert found[code].value == value


def test_gain_of_a_passive_mesh_counts_the_spectral_norm():
    program = one_layer(np.full((4, 4), 0.9, np.float32), gain=5.0)  # σ_max = 3.6
    assert "GAN002" not in codes(check_matrices(program, profile()))
    found = codes(check_matrices(program, of_kind("mzi")))["GAN002"]
    assert found.value == pytest.approx(5.0 * 3.6)
    assert found.limit == 16.0


def test_statistics_count_every_sample():
    program = one_layer(np.eye(4, dtype=np.float32) * 0.5, gain=1.0, kind="identity")
    converters = profile(output__full_scale=0.25).converters()
    seen = output_statistics(program, converters, data(program))["first"]
    inputs = np.round(data(program)["x"] * 128).clip(-128, 127) / 128
    beyond = np.rint(inputs * 0.5 / 0.25 * 128)
    assert seen.samples == inputs.size
    assert seen.clipped == ((beyond > 127) | (beyond < -128)).sum() > 0


@pytest.fixture
def bundle(lab_bundle: Path) -> Bundle:
    return open_bundle(lab_bundle)


def with_files(bundle: Bundle, **changes: bytes | None) -> Bundle:
    files = {n: d for n, d in bundle.files.items() if changes.get(n, b"") is not None}
    files |= {n: d for n, d in changes.items() if d is not None}
    return Bundle(path=bundle.path, manifest=bundle.manifest, files=files)


def test_a_sound_bundle_has_no_errors(bundle):
    assert verdict(check_bundle(bundle)) in ("pass", "warn")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tables/mlp0_features.csv": None}, "BND001"),
        ({"README.txt": b"x"}, "BND002"),
        ({"notes.txt": b"x"}, "BND003"),
        ({"program.json": b"x"}, "BND004"),
        ({"layers/index.json": b"{}"}, "BND004"),
    ],
)
def test_findings_about_files(bundle, changes, expected):
    found = codes(check_bundle(with_files(bundle, **changes)))
    assert expected in found
    assert next(iter(changes)) in found[expected].message


def test_a_step_that_is_no_block_is_named(bundle):
    program = bundle.files["program.json"].replace(b'"op": "mean"', b'"op": "attention"', 1)
    found = codes(check_bundle(with_files(bundle, **{"program.json": program})))
    assert "unknown op 'attention'" in found["OPS002"].message


def test_another_profile_and_a_changed_one(bundle):
    assert "PRF001" not in codes(check_bundle(bundle, load_profile("lab_ecg_5bit")))
    found = codes(check_bundle(bundle, load_profile("generic_8bit")))
    assert "another one" in found["PRF001"].message
    later = load_profile("lab_ecg_5bit").with_value("weight.bits", 4)
    assert "changed since the export" in codes(check_bundle(bundle, later))["PRF001"].message
    profile_json = bundle.files["profile.json"].replace(b'"count": 1', b'"count": 2')
    assert "PRF002" in codes(check_bundle(with_files(bundle, **{"profile.json": profile_json})))


def test_signals_of_given_data_are_used(bundle):
    silent = {"beat": np.zeros((5, 360, 1), dtype=np.float32)}
    assert "ADC003" in codes(check_bundle(bundle, inputs=silent))
    assert "ADC003" not in codes(check_bundle(bundle))


@pytest.fixture(scope="module")
def right_run(tmp_path_factory, make_run, segment_program) -> Run:
    """A run whose labels are the float model's own decisions: that one is always right."""
    program = segment_program()
    run = read_run(make_run(tmp_path_factory.mktemp("right") / "run", program, num_samples=120))
    margins = np.diff(run_float(program, run.sample.inputs))[:, 0]
    middle = float(1 / (1 + np.exp(-np.median(margins))))
    rule = Decision(kind="threshold", classes=run.decision.classes, threshold=middle)
    about = {**run.sample.about, "label": rule(run_float(program, run.sample.inputs))}
    return replace(run, decision=rule, sample=replace(run.sample, about=about))


def test_bits_that_cost_the_score_are_refused(tmp_path, right_run, bits_profile):
    coarse = make_bundle(right_run, bits_profile(2), tmp_path / "coarse")
    found = codes(check_bundle(coarse))
    assert found["QNT006"].severity == "error"
    assert "falls from 1.000 in float" in found["QNT006"].message
    fine = make_bundle(right_run, bits_profile(12), tmp_path / "fine")
    assert "QNT006" not in codes(check_bundle(fine))
    about = {key: value for key, value in right_run.sample.about.items() if key != "label"}
    unlabelled = replace(right_run, sample=replace(right_run.sample, about=about))
    bare = make_bundle(unlabelled, bits_profile(2), tmp_path / "bare")
    assert "QNT006" not in codes(check_bundle(bare))
    # Labels of one's own data count, and the share to keep replaces the profile's limit.
    given = (bare, bare.profile, bare.reference.inputs)
    label = right_run.sample.about["label"]
    assert "QNT006" in codes(check_score(*given, label, metric="accuracy"))
    assert not check_score(*given, label, keep=0.0)
    assert not check_score(*given, np.zeros_like(label))
    with pytest.raises(ConfigError, match="'f1': a class it needs has no sample"):
        check_score(*given, np.zeros_like(label), keep=0.9)


@pytest.mark.slow
def test_settings_that_cost_the_score_are_refused(tmp_path, right_run, bits_profile):
    common = bits_profile(12).model_dump() | {"kind": "mzi", "name": "mesh"}
    for bits, refused in ((3, True), (14, False)):
        profile = parse_profile(common | {"optics": {"phase_bits": bits}}, where="mesh")
        bundle = make_bundle(right_run, profile, tmp_path / f"mesh{bits}")
        given = bundle.reference.inputs, right_run.sample.about["label"]
        assert set(codes(check_score(bundle, profile, *given))) == (
            {"SET003"} if refused else set()
        )
        scores = bundle_scores(bundle, *given)
        assert scores.reference == 1.0
        assert scores.keeps(0.98) != refused


def test_verdict_is_that_of_the_worst():
    info, warning = (finding("COR001", s, "x") for s in ("info", "warning"))
    assert [verdict([]), verdict([info]), verdict([warning, info])] == ["pass", "pass", "warn"]
    assert verdict([finding("LAT001", "error", "x"), info]) == "fail"


def test_the_page_says_what_the_codes_say(repository):
    page = (repository / "docs" / "findings.md").read_text(encoding="utf-8")
    for code, about in CODES.items():
        limit = f"`{about.limit}`" if about.limit else "–"
        assert f"| `{code}` | {about.meaning} | {limit} | {about.advice} |" in page
    assert len(re.findall(r"^\| `[A-Z]{3}\d{3}`", page, re.MULTILINE)) == len(CODES)


def test_every_code_is_tested():
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [code for code in CODES if f'"{code}"' not in tests] == []
