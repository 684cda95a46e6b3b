"""Measuring the matrix that a core applies, with probes that any encoding can send."""

from __future__ import annotations

import numpy as np

from photonic.backends.core import PhotonicCore, checked_mvm
from photonic.quantize import Quantizer

# Repeated readings of one level round alike; levels this far apart spread over the ADC's codes.
LOWEST_LEVEL = 0.75
# Share of the ADC's range that a full-scale weight fills.
HEADROOM = 0.9


def probe_gain(core: PhotonicCore) -> float:
    """Gain that brings a full-scale weight near the end of the ADC's range."""
    profile = core.profile
    return HEADROOM * profile.output.full_scale / profile.weight.full_scale


def measured_matrices(core: PhotonicCore, *, gain: float, averages: int) -> np.ndarray:
    """The matrix that each lane applies, ``(lanes, rows, cols)``.

    Every column is read with light of both signs, whose difference has no receiver offset and no
    part that is even in x, such as the quadrature of a modulator with finite extinction.

    Args:
        core: what is measured; its slot stays as programmed.
        gain: with which it was programmed.
        averages: readings of each column and sign; with an ADC of few bits at different levels.

    Raises:
        RunError: readings that are no numbers.
    """
    stage, cols = core.profile.input, core.profile.core.cols
    total = np.zeros((core.lanes, core.profile.core.rows, cols))
    for level in probe_levels(core, averages):
        light = level * np.concatenate([np.eye(cols), -np.eye(cols)])
        if stage.bits is not None:
            light = _input_grid(core)(light)
        sent = light[np.arange(cols), np.arange(cols)]
        y = checked_mvm(core, light)
        total += (y[:, :cols] - y[:, cols:]).swapaxes(1, 2) / (2.0 * gain * sent)
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


def _input_grid(core: PhotonicCore) -> Quantizer:
    stage = core.profile.input
    assert stage.bits is not None
    return Quantizer(bits=stage.bits, full_scale=stage.full_scale, symmetric=True)
