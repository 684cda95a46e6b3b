"""Chains in codes are the interpreter's on the same core: logits to the bit, gradients alike."""

from __future__ import annotations

import pytest
import torch

from photonic.devices.core import DeviceCore
from photonic.layers import mean_overflow
from photonic.profile import HardwareProfile, load_profile
from photonic.quantize import Quantizer
from photonic.students import PatchConfig, SegmentConfig, patch_student, segment_student
from training.quantized import BrevitasCore

LAB, MZI = load_profile("lab_ecg_5bit"), load_profile("shen_2017_mzi")
CHIPS = {
    "lab": LAB,
    "wide ADC": LAB.with_value("output.bits", 11).with_value("input.bits", 8),
    "no noise": LAB.with_value("output.noise_sigma", 0.0),
    "receiver gain": LAB.with_value("output.gain_sigma", 0.05),
    "differential": LAB.with_value("input.encoding", "intensity-differential"),
}
OTHERWISE = {
    "offset": LAB.with_value("output.offset_sigma", 0.05),
    "input noise": LAB.with_value("input.noise_sigma", 0.05),
    "quadrature": MZI.with_value("input.extinction_ratio_db", 25.0),
}


def student_on(core, *, seed: int = 0, **options):
    generator = torch.Generator().manual_seed(seed)
    student = segment_student(SegmentConfig(num_classes=3, **options), generator)
    with torch.no_grad():
        for parameter in student.parameters():  # far enough for clipping ADCs
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    student.core = core
    return student


def beats(num: int) -> torch.Tensor:
    steps = torch.randn(num, 360, 1, generator=torch.Generator().manual_seed(1))
    walks = steps.cumsum(1)
    return walks / walks.abs().amax(1, keepdim=True)


def outcome(student, x):
    logits, pooled = student({"beat": x})
    (logits.square().sum() + pooled.sum()).backward()
    return logits, pooled, [p.grad for p in student.parameters()]


def device(profile: HardwareProfile, **options):
    return DeviceCore(profile, seed=3, num_chips=4, **options)


def agree(monkeypatch, make, *, train: bool = True, num: int = 9) -> bool:
    """Whether the student's pass and the interpreter's are one; both are run."""
    used = []
    ours = student_on(make()).train(train)
    coded = ours.core.coded
    ours.core.coded = lambda *values: used.append(coded(*values)) or used[-1]
    logits, pooled, grads = outcome(ours, beats(num))
    monkeypatch.setattr("photonic.students.base.can_be_coded", lambda *_: False)
    expected_logits, expected_pooled, expected_grads = outcome(
        student_on(make()).train(train), beats(num)
    )
    assert torch.equal(logits, expected_logits)
    assert torch.equal(pooled, expected_pooled)
    for grad, expected in zip(grads, expected_grads, strict=True):
        assert torch.allclose(grad, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    return any(layer is not None for layer in used)


@pytest.mark.parametrize("kind", [*CHIPS, "mzi"])
@pytest.mark.parametrize("num", [9, 2])  # on four chips: an unequal last run, and idle chips
def test_training_on_chips_is_the_interpreters(monkeypatch, kind, num):
    assert agree(monkeypatch, lambda: device(CHIPS.get(kind, MZI)), num=num)


@pytest.mark.parametrize("kind", CHIPS)
@pytest.mark.parametrize("train", [True, False])
def test_training_and_answering_on_bits_are_the_interpreters(monkeypatch, kind, train):
    assert agree(monkeypatch, lambda: BrevitasCore(CHIPS[kind]), train=train)


@pytest.mark.parametrize("kind", OTHERWISE)
def test_what_is_more_than_a_product_is_left_to_the_interpreter(monkeypatch, kind):
    assert not agree(monkeypatch, lambda: device(OTHERWISE[kind]))


def test_a_grid_that_is_no_power_of_two_is_left_to_the_interpreter(monkeypatch):
    odd = LAB.with_value("output.full_scale", 3.0)
    assert not agree(monkeypatch, lambda: BrevitasCore(odd), train=False)


def test_chips_answer_with_the_bits_in_evaluation(monkeypatch):
    core = device(LAB, answers=BrevitasCore(LAB))
    student = student_on(core).eval()
    exact = student_on(BrevitasCore(LAB)).eval()
    with torch.no_grad():
        assert torch.equal(student({"beat": beats(5)})[0], exact({"beat": beats(5)})[0])
    assert core._blocks_used == 0


def test_another_weight_is_another_answer():
    """The comparison above can fail."""
    one, two = student_on(BrevitasCore(LAB)).eval(), student_on(BrevitasCore(LAB)).eval()
    with torch.no_grad():
        two.layers["global_encoder"].raw_weight.neg_()
        assert not torch.equal(one({"beat": beats(5)})[1], two({"beat": beats(5)})[1])


def test_weights_that_are_no_numbers_give_gradients_that_are_none():
    student = student_on(device(LAB)).train()
    with torch.no_grad():
        student.layers["global_encoder"].raw_weight[0, 0] = torch.nan
    _, _, grads = outcome(student, beats(4))
    assert len(grads) == len(list(student.parameters()))


def test_overflow_is_what_lies_beyond_the_range_of_each_conversion():
    adc = Quantizer(bits=4, full_scale=2.0)  # up to 1.75
    weight = torch.tensor([[1.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    x = torch.tensor([[2.0, 0.25, 1.0], [-2.0, -0.25, 1.0]])
    # Tiles of two inputs: ±2.25 and 0.5; each row of x has four conversions.
    expected = 2 * ((2.25 - 1.75) / 2.0) ** 2 / 8
    padded = torch.nn.functional.pad
    got = mean_overflow(padded(x, (0, 1)), padded(weight, (0, 1)), torch.tensor(1.0), adc, cols=2)
    assert float(got) == pytest.approx(expected)
    assert float(mean_overflow(x[:, :2], weight[:, :2], torch.tensor(0.7), adc, 2)) == 0.0


TIGHT = LAB.with_value("output.full_scale", 0.25)


@pytest.mark.parametrize("make", [lambda: BrevitasCore(TIGHT), lambda: device(TIGHT)])
def test_only_what_no_tanh_bounds_overflows(make):
    student = student_on(make()).train()
    assert student.unsquashed == {"logits"}
    with torch.no_grad():
        student.layers["head"].raw_gain.fill_(-9.0)
    student({"beat": beats(9)})
    assert float(student.overflow.detach()) == 0.0  # the encoders clip all the same
    with torch.no_grad():
        student.layers["head"].raw_gain.fill_(9.0)
    student({"beat": beats(9)})
    assert float(student.overflow.detach()) > 0.0
    student.overflow.backward()
    assert student.layers["head"].raw_gain.grad > 0  # downhill is a smaller gain
    student.eval()({"beat": beats(9)})
    assert student.overflow is None


def test_relu_layers_overflow_too_and_floats_never_do():
    student = student_on(BrevitasCore(LAB), activation="relu").train()
    assert {"qrs_sums", "mlp0_sums", "logits"} <= student.unsquashed
    patch = patch_student(PatchConfig(num_classes=2), torch.Generator().manual_seed(0))
    assert "logits" in patch.unsquashed
    student = segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(0))
    student.train()({"beat": beats(3)})
    assert student.overflow is None
