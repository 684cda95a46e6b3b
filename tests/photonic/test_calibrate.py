"""Calibration: exact where it can be, far better where codes limit it, and blind to the truth."""

from __future__ import annotations

import numpy as np
import pytest

from photonic.backends.core import PhotonicCore
from photonic.backends.settings_grid import knob_of
from photonic.backends.simulator import SimulatedCore
from photonic.calibrate import Calibration, CalibrationOptions, calibrate
from photonic.calibrate.codes import neighbouring_codes
from photonic.calibrate.groups import Groups
from photonic.calibrate.measure import measured_matrices, measured_responses
from photonic.calibrate.moments import factor, input_moments
from photonic.calibrate.program import calibrate_program
from photonic.devices import device_for
from photonic.errors import ConfigError, RunError
from photonic.execute import run_float
from photonic.profile import HardwareProfile, load_profile, parse_profile
from photonic.program import Linear

TARGET = np.random.default_rng(1).uniform(-1, 1, (4, 4))
CHIPS = range(3)


def profile(kind: str = "mzi", **values) -> HardwareProfile:
    plain = {"name": "test", "kind": kind, "description": "of a test"}
    if kind != "mzi":
        plain["input"] = {"encoding": "intensity-differential"}
    made = parse_profile(plain, where="test")
    for key, value in values.items():
        made = made.with_value(key.replace("__", "."), value)
    return made


def rough_mesh(**values) -> HardwareProfile:
    return profile(optics__phase_sigma_rad=0.05, optics__splitter_sigma_rad=0.05, **values)


class OnlyTheInterface:
    """A core of which nothing can be seen but what a bench shows."""

    def __init__(self, core: SimulatedCore) -> None:
        self.profile, self.lanes = core.profile, core.lanes
        self.program, self.mvm = core.program, core.mvm


def true_errors(hardware: HardwareProfile, settings, target=TARGET) -> np.ndarray:
    core = SimulatedCore(hardware, CHIPS)
    core.program(settings)
    return np.linalg.norm(core.realised() - target, axis=(1, 2))


def run(hardware: HardwareProfile, target=TARGET, **options) -> tuple[Calibration, np.ndarray]:
    """The calibration, and true errors before and after, ``(2, lanes)``."""
    core: PhotonicCore = OnlyTheInterface(SimulatedCore(hardware, CHIPS))
    found = calibrate(core, target, options=CalibrationOptions(**options))
    compiled = {
        name: np.repeat(np.asarray(array), len(CHIPS), 0)
        for name, array in device_for(hardware).compile(target[None]).items()
    }
    errors = [true_errors(hardware, s, target) for s in (compiled, found.settings)]
    return found, np.stack(errors)


def test_a_mesh_without_codes_or_noise_becomes_exact():
    found, (before, after) = run(rough_mesh())
    assert (after / np.linalg.norm(TARGET)).max() <= 1e-6
    assert (before / np.linalg.norm(TARGET)).min() > 0.02
    assert np.allclose(found.error_before, before)
    assert np.allclose(found.relative_after, found.error_after / np.linalg.norm(TARGET))


@pytest.mark.slow
def test_a_mesh_with_unknown_phase_offsets_becomes_exact_from_a_cold_start():
    _, (before, after) = run(rough_mesh(optics__cold_start=True), iterations=25)
    assert (before / np.linalg.norm(TARGET)).mean() > 0.5
    assert (after / np.linalg.norm(TARGET)).max() <= 1e-6


@pytest.mark.parametrize(("bits", "ratio"), [(8, 10), pytest.param(10, 25, marks=pytest.mark.slow)])
def test_codes_limit_a_mesh_less_than_its_errors_did(bits, ratio):
    hardware = rough_mesh(optics__phase_bits=bits)
    found, (before, after) = run(hardware)
    assert before.mean() / after.mean() >= ratio
    phases = found.settings["phases_rad"]
    assert np.allclose(knob_of(hardware).allowed(phases), phases)


@pytest.mark.slow
def test_read_noise_is_averaged():
    hardware = rough_mesh(optics__phase_bits=10, output__noise_sigma=1e-3)
    _, (before, after) = run(hardware, averages=16, searches=12)
    assert before.mean() / after.mean() >= 15


@pytest.mark.slow
def test_heater_crosstalk_is_handled():
    _, (before, after) = run(rough_mesh(optics__phase_bits=10, heater__crosstalk=0.01))
    assert before.mean() / after.mean() >= 25


def test_rings_and_their_crosstalk_become_exact():
    hardware = profile(
        "mrr", ring__tuning_sigma=0.1, ring__spacing=20.0, ring__max_detuning=8.0,
        heater__crosstalk=0.01,
    )  # fmt: skip
    # Not to the ends of the range, which a ring with another detuning may not reach.
    _, (before, after) = run(hardware, 0.7 * TARGET)
    assert before.mean() > 0.1
    assert after.max() < 1e-6


def test_cells_without_levels_take_up_their_errors():
    _, (before, after) = run(profile("pcm", pcm__cell_sigma=0.02), 0.9 * TARGET)
    assert before.mean() > 0.03
    # A dark cell answers to more light only, which costs steps.
    assert after.max() < 1e-3


def test_a_generic_core_takes_up_its_own_errors():
    hardware = parse_profile(
        {"name": "test", "description": "of a test", "weight": {"programming_sigma": 0.02}},
        where="test",
    )
    _, (_, after) = run(hardware, 0.9 * TARGET)
    assert after.max() < 1e-6


@pytest.mark.slow
def test_calibration_never_makes_it_worse_as_measured():
    found, _ = run(load_profile("component_mzi"), iterations=2, searches=4, averages=2)
    assert (found.error_after <= found.error_before).all()


@pytest.mark.slow
def test_a_zero_matrix_has_an_absolute_error():
    found, _ = run(rough_mesh(), np.zeros((4, 4)), iterations=4)
    assert np.isfinite(found.relative_after).all()
    assert found.norm == 0.0


def test_measuring_takes_out_offsets_and_reads_through_a_coarse_adc():
    hardware = parse_profile(
        {
            "name": "test", "description": "of a test",
            "input": {"bits": 8}, "output": {"bits": 8, "offset_sigma": 0.1},
        },
        where="test",
    )  # fmt: skip
    core = SimulatedCore(hardware, CHIPS)
    weight = np.repeat(0.8 * TARGET[None], len(CHIPS), 0)
    core.program({"weight": weight}, gain=3.0)
    lsb = 4.0 / 128 / 3.0
    one = np.abs(measured_matrices(core, gain=3.0, averages=1) - weight)
    many = np.abs(measured_matrices(core, gain=3.0, averages=32) - weight)
    assert one.max() < lsb
    assert many.mean() < 0.6 * one.mean()


def test_a_core_that_compresses_strong_light_is_not_calibrated_against_its_design():
    hardware = parse_profile(
        {
            "name": "test", "description": "of a test",
            "weight": {"programming_sigma": 0.02}, "input": {"peak_attenuation": 0.7},
        },
        where="test",
    )  # fmt: skip
    _, (before, after) = run(hardware, 0.6 * TARGET)
    assert before.min() > 0.04
    assert after.max() < 1e-6


@pytest.mark.parametrize("reach", ["element", "row", "core"])
def test_groups_part_the_knobs_and_the_used_matrix(reach):
    shape, used = (2, 3, 4), (2, 3)
    groups = Groups.of(reach, shape, used)
    array = np.random.default_rng(0).random((5, *shape))
    matrices = np.random.default_rng(1).random((5, *used))
    assert sorted(groups.elements.ravel()) == list(range(6))
    assert len(set(groups.knobs.ravel())) == groups.knobs.size
    assert np.array_equal(groups.settings_of(groups.knobs_of(array), array), array)
    parts = groups.elements_of(matrices).reshape(5, len(groups.elements), -1)
    assert np.array_equal(parts[:, 0, 0], matrices[:, 0, 0])
    assert np.allclose((parts**2).sum((1, 2)), (matrices**2).sum((1, 2)))
    moved = groups.settings_of(groups.knobs_of(array) + 1.0, array)
    assert ((moved - array).round(12) == 1.0).sum() == 5 * groups.knobs.size
    rows = groups.by_rows(used[1])
    assert np.array_equal(rows.elements.ravel(), groups.elements.ravel())
    assert np.array_equal(rows.knobs.ravel(), groups.knobs.ravel())
    for colour in rows.colours:
        assert (rows.moves[:, rows.colours == colour].sum(axis=1) == 1).all() or reach != "element"


def knobs_that_move(hardware: HardwareProfile, moved: tuple[int, ...]) -> set[tuple[int, int]]:
    """Elements that answer to one place of the kind's array."""
    core, name = SimulatedCore(hardware, [0]), knob_of(hardware).name
    settings = device_for(hardware).compile(0.3 * TARGET[None])
    core.program(settings)
    before = core.realised()[0].copy()
    settings[name][0][moved] += 0.2
    core.program(settings)
    return {(int(r), int(c)) for r, c in np.argwhere(np.abs(core.realised()[0] - before) > 1e-12)}


@pytest.mark.parametrize(
    ("hardware", "place", "reach"),
    [
        (profile("generic", input__encoding="field"), (1, 2), "element"),
        (profile("pcm"), (0, 1, 2), "element"),
        (profile("mrr"), (1, 2), "element"),
        (profile("mrr", ring__spacing=20.0), (1, 2), "row"),
        (profile("mrr", heater__crosstalk=0.01), (1, 2), "core"),
    ],
)
def test_what_a_knob_is_said_to_move_is_what_it_moves(hardware, place, reach):
    assert knob_of(hardware).reach == reach
    moved = knobs_that_move(hardware, place)
    all_ = {(r, c) for r in range(4) for c in range(4)}
    own = {"element": {(1, 2)}, "row": {(1, c) for c in range(4)}, "core": all_}[reach]
    assert (1, 2) in moved
    assert moved <= own
    assert reach == "element" or len(moved) > 1


def wide(bits: int, **core) -> HardwareProfile:
    return parse_profile(
        {
            "name": "wide", "description": "of a test", "core": {"rows": 48, "cols": 48, **core},
            "weight": {"bits": bits, "programming_sigma": 0.02},
        },
        where="test",
    )  # fmt: skip


def test_a_large_crossbar_costs_no_more_programmings_than_a_small_one():
    hardware, step = wide(7), 2.0**-6
    target = np.random.default_rng(0).uniform(-0.8, 0.8, (48, 48))
    core = SimulatedCore(hardware, CHIPS)
    found = calibrate(core, target)
    assert found.num_programmed < 30
    core.program(found.settings)
    # As near as codes reach: no element is further away than half of one.
    assert np.abs(core.realised() - target).max() <= step / 2 + 1e-9


def test_the_padding_of_a_tile_is_left_alone():
    core = SimulatedCore(wide(7), CHIPS)
    target = np.zeros((48, 48))
    target[:3, :5] = np.random.default_rng(0).uniform(-0.8, 0.8, (3, 5))
    found = calibrate(core, target, used=(3, 5))
    outside = found.settings["weight"].copy()
    outside[:, :3, :5] = 0.0
    assert not outside.any()
    core.program(found.settings)
    assert np.abs(core.realised() - target)[:, :3, :5].max() <= 2.0**-7 + 1e-9


def test_what_is_there_without_a_signal_is_measured_beside_the_matrix():
    core = SimulatedCore(rough_mesh(input__extinction_ratio_db=15.0), CHIPS)
    compiled = device_for(core.profile).compile(TARGET[None])
    core.program({n: np.repeat(a, len(CHIPS), 0) for n, a in compiled.items()})
    responses = measured_responses(core, gain=1.0, averages=1)
    dark = core.mvm(np.zeros((1, 4)))[:, 0]
    assert np.allclose(responses[..., :-1], core.realised())
    # A channel at full scale has no light in the other quadrature: three of four have.
    assert np.allclose(responses[..., -1], 0.75 * dark)
    assert np.abs(dark).max() > 0.01


@pytest.mark.slow
def test_light_of_finite_extinction_is_cancelled_together_with_the_errors():
    hardware = rough_mesh(input__extinction_ratio_db=15.0)
    core = SimulatedCore(hardware, CHIPS)

    def without_a_signal(settings) -> np.ndarray:
        core.program(settings)
        return np.linalg.norm(core.mvm(np.zeros((1, 4))), axis=(1, 2))

    found, (before, after) = run(hardware)
    compiled = device_for(hardware).compile(TARGET[None])
    constant = without_a_signal({n: np.repeat(a, len(CHIPS), 0) for n, a in compiled.items()})
    assert after.max() < 1e-4 < before.min()
    assert without_a_signal(found.settings).max() < 0.1 * constant.min()
    assert (found.product_after < 0.1 * found.product_before).all()


def correlated(cols: int, rng: np.random.Generator) -> np.ndarray:
    """Second moment of inputs that go together, as neighbouring samples of a beat do, and of 1."""
    x = rng.standard_normal((200, 2)) @ rng.standard_normal((2, cols)) + 0.5
    x = np.concatenate([x, np.ones((200, 1))], axis=1)
    return x.T @ x / len(x)


@pytest.mark.parametrize("kind", ["generic", "pcm", "mrr"])
def test_weighing_makes_the_error_of_products_smaller_where_codes_limit_it(kind):
    bits: dict[str, dict[str, object]] = {
        "generic": {"weight__bits": 5, "weight__programming_sigma": 0.02},
        "pcm": {"pcm__level_bits": 4, "pcm__cell_sigma": 0.02},
        "mrr": {"ring__tuning_bits": 6, "ring__tuning_sigma": 0.1, "ring__spacing": 20.0},
    }
    weigh = factor(correlated(4, np.random.default_rng(3)))

    def products(**how) -> float:
        core = SimulatedCore(profile(kind, **bits[kind]), range(8))
        found = calibrate(core, 0.6 * TARGET, **how)
        core.program(found.settings)
        inner = weigh[:4, :4]
        errors = np.linalg.norm((core.realised() - 0.6 * TARGET) @ inner, axis=(1, 2))
        if how:  # nothing disturbs these readings
            assert np.allclose(found.product_after * np.linalg.norm(0.6 * TARGET @ inner), errors)
        return float(errors.mean())

    assert products(weigh=weigh) < 0.7 * products()


def test_an_exact_core_stays_exact_however_it_is_weighed():
    hardware = profile("generic", weight__programming_sigma=0.02)
    core = SimulatedCore(hardware, CHIPS)
    calibrate(core, 0.6 * TARGET, weigh=factor(correlated(4, np.random.default_rng(3))))
    assert np.abs(core.realised() - 0.6 * TARGET).max() < 1e-6


def test_moments_are_those_of_what_the_layers_read(sweep_model):
    program, data = sweep_model
    moments = input_moments(program, data.inputs)
    last = next(step for step in program.steps if step.out == program.output)
    assert isinstance(last, Linear)
    layer, moment = program.layers[last.layer], moments[last.layer]
    sums = run_float(program, data.inputs, np.float64) / layer.gain
    affine = np.concatenate([layer.matrix, layer.bias[:, None]], axis=1)
    square = np.trace(affine @ moment @ affine.T)
    assert square == pytest.approx((sums**2).sum(axis=-1).mean())
    assert set(moments) == {layer.name for layer in program.layers_in_order()}
    root = factor(moment)
    assert np.trace((root @ root.T)[:-1, :-1]) / (len(root) - 1) == pytest.approx(1.001)
    assert np.array_equal(factor(np.zeros((3, 3))), np.eye(3))


def test_the_same_calibration_twice_is_the_same_bit_for_bit():
    hardware = load_profile("generic_5bit")
    first, second = (run(hardware, 0.6 * TARGET, averages=3)[0] for _ in range(2))
    assert np.array_equal(first.settings["weight"], second.settings["weight"])
    assert np.array_equal(first.error_after, second.error_after)


def test_what_a_lane_reads_does_not_depend_on_the_lanes_beside_it():
    hardware = wide(7).with_value("output.bits", 8).with_value("output.noise_sigma", 0.01)
    weight = np.random.default_rng(0).uniform(-0.8, 0.8, (48, 48))

    def read(chips, averages: int) -> np.ndarray:
        core = SimulatedCore(hardware, chips)
        core.program({"weight": np.repeat(weight[None], len(chips), 0)})
        return measured_matrices(core, gain=1.0, averages=averages)

    # More readings than one call holds.
    assert np.array_equal(read([0, 1, 2], 20)[1], read([1], 20)[0])


def test_errors_afterwards_are_not_the_lucky_readings():
    hardware = wide(7).with_value("output.bits", 8).with_value("output.noise_sigma", 0.01)
    core = SimulatedCore(hardware, CHIPS)
    target = np.random.default_rng(0).uniform(-0.8, 0.8, (48, 48))
    found = calibrate(core, target, options=CalibrationOptions(averages=4))
    core.program(found.settings)
    true = np.linalg.norm(core.realised() - target, axis=(1, 2))
    # What nine readings add; the lucky ones would stay below what is true.
    assert (found.error_after > true).all()
    assert np.allclose(found.error_after, true, rtol=0.15)


def test_codes_that_cancel_are_found_and_the_comparison_can_fail():
    rng = np.random.default_rng(0)
    effect, wanted = rng.standard_normal((3, 4, 30)), rng.integers(-1, 2, (3, 30))
    residual = -(effect @ wanted[..., None])[..., 0]
    change = neighbouring_codes(effect, residual, rng)
    left = residual + (effect @ change[..., None])[..., 0]
    assert np.array_equal(change, np.rint(change))
    assert (np.linalg.norm(left, axis=1) < 0.5 * np.linalg.norm(residual, axis=1)).all()


class Blind(OnlyTheInterface):
    """A core whose detectors are off."""

    def __init__(self, core: SimulatedCore) -> None:
        super().__init__(core)
        self.mvm = lambda x: np.full((self.lanes, len(x), 4), np.nan)


def test_readings_that_are_no_numbers_end_it():
    with pytest.raises(RunError, match="no finite numbers"):
        calibrate(Blind(SimulatedCore(rough_mesh(), [0])), TARGET)


class Dead(OnlyTheInterface):
    """A core on which no knob does anything."""

    def __init__(self, core: SimulatedCore) -> None:
        super().__init__(core)
        self.mvm = lambda x: np.zeros((self.lanes, len(x), 4))


def test_a_core_that_does_not_respond_keeps_finite_settings():
    options = CalibrationOptions(iterations=1, restarts=0)
    found = calibrate(Dead(SimulatedCore(rough_mesh(), [0])), TARGET, options=options)
    assert np.isfinite(found.settings["phases_rad"]).all()
    assert found.relative_after == pytest.approx(1.0)


def test_options_are_checked():
    with pytest.raises(ConfigError, match="averages 0: at least 1"):
        CalibrationOptions(averages=0)


@pytest.mark.slow
def test_a_calibrated_program_scores_better(sweep_model):
    program, data = sweep_model
    few = type(data)(
        inputs={n: x[:60] for n, x in data.inputs.items()},
        labels=data.labels[:60],
        decision=data.decision,
        metric="accuracy",
    )
    core = SimulatedCore(rough_mesh(), range(2))
    done = []
    result = calibrate_program(
        program, core, few, options=CalibrationOptions(),
        rng=np.random.default_rng(0), on_block=done.append,
    )  # fmt: skip
    assert len(done) == 8 + 2
    assert result.scores_after.min() >= 0.98
    assert result.scores_before.mean() < result.scores_after.mean()
    assert result.relative_after.max() < 1e-3 < result.relative_before.min()
