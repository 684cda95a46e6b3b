"""Measuring the matrix that a core applies, with probes that any encoding can send."""

from __future__ import annotations

import numpy as np
import torch

from photonic.backends.core import PhotonicCore, checked_mvm
from photonic.devices.encoding import InputOptics
from photonic.quantize import Quantizer

# Repeated readings of one level round alike; levels this far apart spread over the ADC's codes.
LOWEST_LEVEL = 0.75
# Share of the ADC's range that a full-scale weight fills.
HEADROOM = 0.9
# Readings of one lane at once. What a lane reads must not depend on the lanes beside it.
VALUES_OF_A_LANE = 2**16


def probe_gain(core: PhotonicCore) -> float:
    """Gain that brings a full-scale weight near the end of the ADC's range."""
    profile = core.profile
    return HEADROOM * profile.output.full_scale / profile.weight.full_scale


def measured_matrices(
    core: PhotonicCore, *, gain: float, averages: int, cols: int | None = None
) -> np.ndarray:
    """The matrix that each lane applies, ``(lanes, rows, cols)``: :func:`measured_responses`."""
    return measured_responses(core, gain=gain, averages=averages, cols=cols)[..., :-1]


def measured_responses(
    core: PhotonicCore, *, gain: float, averages: int, cols: int | None = None
) -> np.ndarray:
    """The matrix that each lane applies and what it adds to it, ``(lanes, rows, cols + 1)``.

    Every column is read with light of both signs. Half the difference is the matrix; it has no
    receiver offset and no part that is even in x. Half the sum, over all columns, is the last
    column: what is there without a signal, such as the light that a modulator of finite extinction
    lets through in the other quadrature.

    Args:
        core: what is measured; its slot stays as programmed.
        gain: with which it was programmed.
        averages: readings of each column and sign; with an ADC of few bits at different levels.
        cols: how many columns, from the first on; all if left out.

    Raises:
        RunError: readings that are no numbers.
    """
    shape = core.profile.core
    cols = shape.cols if cols is None else cols
    levels = probe_levels(core, averages)
    at_once = max(1, VALUES_OF_A_LANE // (2 * cols * shape.rows))
    total = np.zeros((core.lanes, shape.rows, cols + 1))
    for first in range(0, averages, at_once):
        light = levels[first : first + at_once, None, None] * np.eye(cols, shape.cols)
        light = np.stack([light, -light], axis=1)
        if core.profile.input.bits is not None:
            light = _input_grid(core)(light)
        # A modulator compresses strong light as designed; that is no error of the matrix.
        up, down = _arriving(core, light[:, :, np.arange(cols), np.arange(cols)]).swapaxes(0, 1)
        y = checked_mvm(core, light.reshape(-1, shape.cols))
        y = y.reshape(core.lanes, *light.shape[:3], shape.rows)
        plus, minus = y[:, :, 0], y[:, :, 1]
        total[..., :cols] += np.einsum("lacr,ac->lrc", plus - minus, 1.0 / (gain * (up - down)))
        total[..., cols] += (plus + minus).sum(axis=(1, 2)) / (2.0 * gain * cols)
    return total / averages


def probe_levels(core: PhotonicCore, averages: int) -> np.ndarray:
    """Levels of the light, ``(averages,)``: all at the top where the ADC has no codes."""
    profile = core.profile
    top = profile.input.full_scale
    if profile.input.bits is not None:
        top = _input_grid(core).max_code * _input_grid(core).step
    if profile.output.bits is None or averages == 1:
        return np.full(averages, top)
    return np.linspace(LOWEST_LEVEL * top, top, averages)


def _arriving(core: PhotonicCore, light: np.ndarray) -> np.ndarray:
    """What the modulators of the design make of values."""
    full_scale = core.profile.input.full_scale
    emitted = InputOptics.of(core.profile).emit(torch.from_numpy(light / full_scale))
    return emitted.numpy() * full_scale


def _input_grid(core: PhotonicCore) -> Quantizer:
    stage = core.profile.input
    assert stage.bits is not None
    return Quantizer(bits=stage.bits, full_scale=stage.full_scale, symmetric=True)
