"""Shapes of single heart beats from ECGSYN, for the synthetic records.

ECGSYN (McSharry, Clifford, Tarassenko, Smith, IEEE Trans Biomed Eng 50(3):289-294, 2003) moves a
point round a limit cycle; five Gaussian events at angles ``ti`` with strengths ``ai`` and widths
``bi`` push it up and down and make the waves P, Q, R, S, T. One cycle at 60 beats per minute is
simulated per patient, kind and lead; records are composed from these cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from neurokit2 import ecg_simulate
from numpy.typing import NDArray

from photonic.beats import FS_HZ

PRE, POST = 130, 220
"""Samples of a shape before its R peak, and from it on."""

NUM_LEADS = 2

Waves = NDArray[np.float64]  # five values, in the order P, Q, R, S, T
Shape = NDArray[np.float64]  # (leads, PRE + POST) in mV, R peak of the first lead at PRE

# Table I of McSharry et al.
_ANGLES_DEG = np.array([-70.0, -15.0, 0.0, 15.0, 100.0])
_STRENGTHS = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
_WIDTHS_RAD = np.array([0.25, 0.1, 0.1, 0.1, 0.4])

_LAST_CYCLE = 2 * FS_HZ  # the third R peak of 3 s at 60 beats per minute
_QRS_REACH = 30  # samples either side in which the R peak is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Morphology:
    """Parameters of one shape.

    Attributes:
        angles_deg: (5,) where on the cycle each wave stands; R at 0.
        strengths: (leads, 5) how strongly it pushes, per lead.
        widths_rad: (5,) how wide it is.
        heights_mv: (leads,) height of the QRS complex.
    """

    angles_deg: Waves
    strengths: NDArray[np.float64]
    widths_rad: Waves
    heights_mv: NDArray[np.float64]


def normal(rng: np.random.Generator) -> Morphology:
    """A conducted sinus beat: ECGSYN's defaults, varied as patients vary."""
    low, high = np.array([[0.3, 0.4, 1.0, 0.4, 0.4], [1.0, 1.8, 1.0, 1.8, 1.5]])
    strengths = _STRENGTHS * rng.uniform(low, high, size=(NUM_LEADS, 5))
    strengths[:, 4] *= rng.choice([1.0, -0.6], p=[0.85, 0.15])  # some hearts invert it
    return Morphology(
        angles_deg=_ANGLES_DEG + rng.normal(0.0, [6.0, 1.5, 0.0, 1.5, 8.0]),
        strengths=strengths,
        widths_rad=_WIDTHS_RAD * rng.uniform(0.85, 1.2, size=5),
        heights_mv=rng.uniform(0.6, 1.7, size=NUM_LEADS),
    )


def bundle_branch_block(base: Morphology, rng: np.random.Generator) -> Morphology:
    """A wide, conducted beat: late S, T against the QRS complex, P as before."""
    widths = base.widths_rad * np.array([1.0, 1.3, 1.8, 1.9, 1.0])
    angles = base.angles_deg + np.array([0.0, -4.0, 0.0, rng.uniform(6.0, 14.0), 8.0])
    strengths = base.strengths * np.array([1.0, 0.3, 1.0, 0.6, 1.0])
    strengths[:, 4] = -np.abs(strengths[:, 4])
    return _changed(base, angles_deg=angles, strengths=strengths, widths_rad=widths)


def without_p(base: Morphology) -> Morphology:
    """The same beat without a P wave, as in atrial fibrillation."""
    return _changed(base, strengths=base.strengths * np.array([0.0, 1.0, 1.0, 1.0, 1.0]))


def supraventricular(base: Morphology, rng: np.random.Generator) -> Morphology:
    """The patient's own QRS complex after a P wave from elsewhere: nearer, flatter or inverted."""
    angles = base.angles_deg.copy()
    angles[0] += rng.uniform(8.0, 22.0)
    strengths = base.strengths.copy()
    strengths[:, 0] *= rng.uniform(-1.2, 0.6)
    return _changed(base, angles_deg=angles, strengths=strengths)


def ventricular(base: Morphology, rng: np.random.Generator) -> Morphology:
    """A wide beat from the ventricle: no P, QRS up or down, T against it."""
    polarity = rng.choice([1.0, -1.0], size=NUM_LEADS, p=[0.65, 0.35])
    strengths = np.zeros((NUM_LEADS, 5))
    strengths[:, 1] = rng.uniform(-6.0, 3.0, size=NUM_LEADS)
    strengths[:, 2] = 30.0 * polarity
    strengths[:, 3] = rng.uniform(-14.0, 2.0, size=NUM_LEADS) * polarity
    strengths[:, 4] = -rng.uniform(1.0, 3.5, size=NUM_LEADS) * polarity
    return Morphology(
        angles_deg=np.array([-70.0, -rng.uniform(22, 32), 0.0, rng.uniform(25, 40), 115.0]),
        strengths=strengths,
        widths_rad=np.array([0.25, 0.2, rng.uniform(0.18, 0.34), 0.22, 0.5]),
        heights_mv=base.heights_mv * rng.uniform(0.9, 1.7, size=NUM_LEADS),
    )


def shape(morphology: Morphology) -> Shape:
    """Simulate a cycle per lead: isoelectric ends at zero, R peak of the first lead at ``PRE``."""
    cycles = np.stack([_cycle(morphology, lead) for lead in range(NUM_LEADS)])
    near = np.abs(cycles[0, _LAST_CYCLE - _QRS_REACH : _LAST_CYCLE + _QRS_REACH])
    peak = _LAST_CYCLE - _QRS_REACH + int(near.argmax())
    cut = cycles[:, peak - PRE : peak + POST]
    ends = np.linspace(cut[:, 0], cut[:, -1], cut.shape[1], axis=1)
    return cut - ends


def paced(conducted: Shape, rng: np.random.Generator) -> Shape:
    """A shape with a pacemaker's spike 40 to 80 ms before its R peak."""
    with_spike = conducted.copy()
    at = PRE - int(rng.integers(14, 29))
    with_spike[:, at : at + 2] += rng.uniform(0.4, 1.0, size=(NUM_LEADS, 1))
    return with_spike


def _cycle(morphology: Morphology, lead: int) -> NDArray[np.float64]:
    simulated = ecg_simulate(
        duration=3,
        sampling_rate=FS_HZ,
        noise=0.0,
        heart_rate=60,
        heart_rate_std=0,
        method="ecgsyn",
        random_state=0,  # without noise and with a steady heart nothing is drawn
        ti=morphology.angles_deg,
        ai=morphology.strengths[lead],
        bi=morphology.widths_rad,
    )
    # ECGSYN scales what it returns to a fixed range; the isoelectric line lies after the T wave.
    signal = np.asarray(simulated, dtype=np.float64)
    signal -= np.median(signal)
    qrs = signal[_LAST_CYCLE - _QRS_REACH : _LAST_CYCLE + _QRS_REACH]
    return signal * (morphology.heights_mv[lead] / np.abs(qrs).max())


def _changed(
    base: Morphology,
    *,
    strengths: NDArray[np.float64],
    angles_deg: Waves | None = None,
    widths_rad: Waves | None = None,
) -> Morphology:
    return Morphology(
        angles_deg=base.angles_deg if angles_deg is None else angles_deg,
        strengths=strengths,
        widths_rad=base.widths_rad if widths_rad is None else widths_rad,
        heights_mv=base.heights_mv,
    )
