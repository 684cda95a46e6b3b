"""What every kind promises: compile and its inverse, ideal light, chips, gradients, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from photonic.devices import Device, GenericDevice, Transfer, device_for, register_device
from photonic.devices.base import Errors
from photonic.devices.read_noise import ChipStreams
from photonic.devices.readout import forward
from photonic.errors import ProfileError
from photonic.execute import run_float, run_integer
from photonic.profile import HardwareProfile, parse_profile
from photonic.program import Activation, Input, Layer, Linear, Program
from photonic.simulate import simulate

POWERS = {"input": {"encoding": "intensity-differential"}}
IDEAL = {
    "generic": {},
    "mzi": {},
    "mzi-reck": {"optics": {"layout": "reck"}},
    "mrr": {**POWERS, "ring": {"spacing": 20.0, "max_detuning": 8.0}},
    "pcm": {**POWERS, "weight": {"symmetric": True}},
}
# Every error a kind knows, small.
ERRORS = {
    "generic": {"weight": {"programming_sigma": 0.02}},
    "mzi": {
        "optics": {"phase_sigma_rad": 0.01, "splitter_sigma_rad": 0.01, "element_loss_db": 0.1},
        "heater": {"crosstalk": 0.001},
        "drift": {
            "temperature_k_per_rts": 0.01, "recalibration_interval_s": 2.0,
            "phase_rad_per_k": 0.1,
        },
    },
    "mrr": {
        **POWERS,
        "ring": {
            "spacing": 20.0, "max_detuning": 8.0, "tuning_sigma": 0.02, "half_linewidth_pm": 77.5,
        },
        "heater": {"crosstalk": 0.001},
        "drift": {"temperature_k_per_rts": 0.01, "recalibration_interval_s": 2.0},
    },
    "pcm": {**POWERS, "weight": {"symmetric": True}, "pcm": {"cell_sigma": 0.01}},
}  # fmt: skip
KINDS = tuple(ERRORS)


def profile_of(name: str, values: dict, **sections) -> HardwareProfile:
    data = {"name": "test", "description": "x", "kind": name.split("-")[0], **values}
    for section, more in sections.items():
        data[section] = {**data.get(section, {}), **more}
    return parse_profile(data, where="test")


def matrices(num: int = 6, rows: int = 4, cols: int = 4, seed: int = 0) -> np.ndarray:
    w = np.random.default_rng(seed).uniform(-1, 1, (num, rows, cols))
    w[0] = 0.0
    w[1] = np.eye(rows, cols)
    w[2] = 1.0
    w[3, 1:] = w[3, :1]  # rank one
    return w


@pytest.mark.parametrize("name", IDEAL)
@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (3, 5), (5, 2), (1, 1), (8, 8)])
def test_an_ideal_core_realises_any_matrix_and_the_settings_give_it_back(name, rows, cols):
    device = device_for(profile_of(name, IDEAL[name], core={"rows": rows, "cols": cols}))
    wanted = matrices(rows=rows, cols=cols)
    compiled = device.compile(wanted)
    assert np.abs(device.decompile(compiled) - wanted).max() <= 1e-9
    assert np.abs(device.realise(compiled)[0].numpy() - wanted).max() <= 1e-9


@pytest.mark.parametrize("name", KINDS)
def test_errors_disturb_every_chip_in_its_own_way(name):
    device = device_for(profile_of(name, ERRORS[name]))
    wanted = matrices()
    errors = device.static_errors(0, range(20), len(wanted))
    realised = device.realise(device.compile(wanted), errors).numpy()
    assert realised.shape == (20, *wanted.shape)
    assert np.isfinite(realised).all()
    off = np.linalg.norm(realised - wanted, axis=(2, 3))[:, 2:]
    assert (off > 1e-4).all()
    assert (off < 0.5).all()
    assert len(np.unique(off[:, 1])) == 20


@pytest.mark.parametrize("name", KINDS)
def test_a_chip_has_the_same_errors_in_any_batch(name):
    device = device_for(profile_of(name, ERRORS[name]))
    together = device.static_errors(3, range(40), 5)
    alone = device.static_errors(3, [17], 5)
    for key, values in together.items():
        assert torch.equal(values[17:18], alone[key]), key


def test_fabrication_belongs_to_a_core_and_programming_to_a_block():
    values = {**ERRORS["mzi"], "core": {"count": 2}, "weight": {"programming_sigma": 0.01}}
    errors = device_for(profile_of("mzi", values)).static_errors(0, range(3), 5)
    phase, element = errors["phase"], errors["element"]
    assert torch.equal(phase[:, 0], phase[:, 2])
    assert torch.equal(phase[:, 1], phase[:, 3])
    assert not torch.equal(phase[:, 0], phase[:, 1])
    assert not torch.equal(element[:, 0], element[:, 2])


def one_layer(seed: int = 0, out: int = 4, fan_in: int = 4, kind: str | None = "tanh") -> Program:
    rng = np.random.default_rng(seed)
    layer = Layer(
        name="one", matrix=rng.uniform(-1, 1, (out, fan_in)).astype(np.float32),
        bias=rng.uniform(-1, 1, out).astype(np.float32), gain=float(rng.uniform(0.5, 4)),
    )  # fmt: skip
    steps = [Linear(out="y", source="x", layer="one")]
    if kind:
        steps.append(Activation(out="z", source="y", kind=kind))
    return Program(
        inputs=(Input(name="x", tokens=1, channels=fan_in),), steps=tuple(steps),
        output=steps[-1].out, layers={"one": layer},
    )  # fmt: skip


@pytest.mark.parametrize("name", IDEAL)
def test_without_bits_an_ideal_core_is_the_float_model(name):
    profile = profile_of(name, IDEAL[name])
    program = one_layer(fan_in=6, out=5)
    x = {"x": np.random.default_rng(1).uniform(-1, 1, (200, 1, 6))}
    exact = run_float(program, x)
    assert np.abs(simulate(program, profile, x, chips=None)[0] - exact).max() <= 1e-6
    assert np.abs(simulate(program, profile, x, chips=range(2))[1] - exact).max() <= 1e-5


@given(
    st.sampled_from([n for n in IDEAL if n != "generic"]), st.integers(2, 12), st.integers(2, 12),
    st.integers(2, 12), st.integers(0, 10_000),
)  # fmt: skip
@settings(max_examples=60)
def test_with_ideal_optics_every_kind_gives_the_codes_of_the_integer_reference(
    name, weight_bits, dac_bits, adc_bits, seed
):
    profile = profile_of(
        name, IDEAL[name], weight={"bits": weight_bits, "symmetric": name == "pcm"},
        input={**IDEAL[name].get("input", {}), "bits": dac_bits}, output={"bits": adc_bits},
    )  # fmt: skip
    program = one_layer(seed, fan_in=6, out=5, kind=None)
    x = {"x": np.random.default_rng(seed).uniform(-1, 1, (50, 1, 6))}
    converters = profile.converters()
    codes = run_integer(program, x, converters)
    logits = simulate(program, profile, x, chips=None)[0]
    assert np.array_equal(logits, (codes * converters.adc.step).astype(np.float32))


@pytest.mark.parametrize("name", KINDS)
def test_realised_matrices_are_differentiable_in_settings_and_errors(name):
    values = {**ERRORS[name]}
    if name == "generic":
        values = {**values, "output": {"gain_sigma": 0.01, "offset_sigma": 0.01}}
    device = device_for(profile_of(name, values))
    compiled = device.compile(np.random.default_rng(5).uniform(0.1, 0.9, (2, 4, 4)))
    names = list(compiled)
    errors = device.static_errors(0, range(2), 2)
    error_names = list(errors)

    def realised(*tensors: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, tensors, strict=False))
        drawn: Errors = dict(zip(error_names, tensors[len(names) :], strict=True))
        return device.realise(given, drawn)

    tensors = [torch.as_tensor(compiled[n]).double() for n in names]
    if name == "pcm":
        tensors = [t + 0.05 for t in tensors]  # dark cells are clamped at zero
    tensors += [errors[n].double() for n in error_names]
    tensors = [t.clone().requires_grad_() for t in tensors]
    assert torch.autograd.gradcheck(realised, tensors, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("name", KINDS)
def test_forward_is_the_realised_matrix_with_converters_around_it(name):
    profile = profile_of(
        name, ERRORS[name], input={**ERRORS[name].get("input", {}), "bits": 6},
        output={"bits": 8},
    )  # fmt: skip
    device = device_for(profile)
    settings_of = device.compile(matrices()[4:5])
    errors = device.static_errors(0, range(3), 1)
    transfer = device.transfer(settings_of, errors)
    x = torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (1, 50, 4)))
    codes = torch.from_numpy(np.rint(x.numpy() * 32).clip(-31, 31))
    by_hand = (2.0 * (codes / 32) @ transfer.matrix[:, 0].transpose(1, 2) / (4 / 128)).round()
    got = forward(device, x.clamp(-31 / 32, 31 / 32), transfer, gain=2.0)
    assert got.shape == (3, 50, 4)
    assert torch.equal(got, by_hand.clamp(-128, 127) * (4 / 128))


def test_noise_comes_between_the_product_and_the_gain_and_before_the_adc():
    profile = profile_of(
        "generic", {}, output={"noise_sigma": 0.01, "bits": 12}, weight={"bits": 4}
    )
    device = device_for(profile)
    transfer = device.transfer(device.compile(np.full((1, 4, 4), 0.3)))
    x = torch.zeros(1, 20_000, 4)
    for gain in (1.0, 4.0):
        noise = ChipStreams.of_chips(0, range(1))
        y = forward(device, x, transfer, gain=gain, noise=noise)
        assert y.std() == pytest.approx(0.01 * gain, rel=0.03)
        codes = y / (4 / 2048)
        assert torch.equal(codes, codes.round())  # noise is quantised, not added to codes
    stored = device.realise(device.compile(np.full((1, 4, 4), 0.3)))
    assert (stored == 0.25).all()
    errors = device_for(profile.with_value("weight.programming_sigma", 0.01)).static_errors(
        0, range(1), 1
    )
    disturbed = device_for(profile.with_value("weight.programming_sigma", 0.01)).realise(
        device.compile(np.full((1, 4, 4), 0.3)), errors
    )
    expected = 0.25 + 0.01 * errors["element"].double()
    assert torch.allclose(disturbed, expected, atol=1e-12)  # quantised first, then disturbed


def test_a_converter_of_fewer_effective_bits_errs_like_an_ideal_one_of_that_many():
    data = {"output": {"bits": 10, "effective_bits": 6.5}}
    device = device_for(profile_of("generic", data))
    transfer = device.transfer(device.compile(np.eye(4)[None]))
    x = torch.rand(1, 20_000, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = forward(device, x, transfer, noise=ChipStreams.of_chips(0, range(1)))
    ideal = 4.0 / 2**5.5 / np.sqrt(12)
    assert (y - x).std() == pytest.approx(ideal, rel=0.03)


def test_gain_and_offset_errors_belong_to_an_output():
    device = device_for(profile_of("generic", {}, output={"gain_sigma": 0.1, "offset_sigma": 0.1}))
    errors = device.static_errors(0, range(2), 1)
    transfer = device.transfer(device.compile(np.eye(4)[None]), errors)
    gain, offset = (errors["receiver"][:, 0, i].double() for i in range(2))
    x = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    expected = x * (1 + 0.1 * gain[:, None]) + 0.1 * offset[:, None]
    assert torch.allclose(forward(device, x, transfer), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        ("generic", {"optics": {"phase_bits": 8}}, "optics.phase_bits = 8"),
        ("generic", {"noise": {"bandwidth_ghz": 5.0}}, "noise.bandwidth_ghz"),
        ("mzi", {"pcm": {"cell_sigma": 0.1}}, "pcm.cell_sigma"),
        ("mrr", {**POWERS, "optics": {"splitter_sigma_rad": 0.1}}, "optics.splitter_sigma_rad"),
        ("pcm", {**POWERS, "heater": {"crosstalk": 0.1}}, "heater.crosstalk"),
    ],
)
def test_a_value_that_a_kind_cannot_honour_is_refused(kind, values, named):
    with pytest.raises(ProfileError, match=f"{named}.* means nothing to kind '{kind}'"):
        device_for(profile_of(kind, values))


def test_a_kind_of_the_users_own_enters_by_registration(monkeypatch):
    class Halved(GenericDevice):
        def optics(self, settings, errors) -> Transfer:
            transfer = super().optics(settings, errors)
            return Transfer(matrix=transfer.matrix / 2, scale=transfer.scale)

    profile = profile_of("halved", {})
    with pytest.raises(ProfileError, match="kind 'halved' is not known; known are generic, mrr"):
        device_for(profile)
    monkeypatch.setattr("photonic.devices.base._KINDS", {})
    register_device("halved", Halved)
    device = device_for(profile)
    assert isinstance(device, Device)
    wanted = matrices()
    assert np.allclose(device.realise(device.compile(wanted))[0], wanted / 2)
