"""Synthetic WFDB records with normal and ectopic beats, so that everything runs without a download.

Every patient has beats of a shape of their own (:mod:`training.data.morphology`), a rhythm, ectopic
beats at a rate of their own, and noise. Annotations stand exactly on the R peaks of lead MLII.
Shapes and timing overlap between classes: neither alone separates them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from photonic.beats import FS_HZ
from photonic.errors import ConfigError
from photonic.files import atomic_directory
from training.data import morphology
from training.data.morphology import NUM_LEADS, POST, PRE, Shape

LEADS = ("MLII", "V5")

_GAIN_PER_MV, _BASELINE, _MAX_CODE = 200, 1024, 2047  # as the MIT-BIH recorders: 11 bits, ±5 mV
_SHORTEST_RR_S = 0.3
_STRETCH_FROM = 25  # the QRS complex keeps its width at any rate, what follows does not
_RHYTHM_LABEL = "(N\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What makes the records of one simulated patient differ from another's.

    Attributes:
        normal: WFDB symbol of the conducted beats, ``N`` or ``L``.
        shapes: symbol -> shapes that its beats are drawn from.
        burden: symbol -> share of beats, for the ectopic symbols.
        rr_s: mean interval between conducted beats.
        irregularity: relative standard deviation of that interval from beat to beat.
        noise_mv: standard deviation of the muscle noise.
        wander_mv: amplitude of the baseline wander.
    """

    normal: str
    shapes: Mapping[str, tuple[Shape, ...]]
    burden: Mapping[str, float]
    rr_s: float
    irregularity: float
    noise_mv: float
    wander_mv: float


def write_records(
    directory: Path,
    *,
    num_records: int = 12,
    minutes: float = 6.0,
    seed: int = 0,
    on_record: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Write records ``syn01`` … with signals (format 212) and ``atr`` annotations.

    A record depends on the seed and its number alone, not on how many are written.

    Args:
        directory: folder to make; it appears when all records are written.
        num_records: one per simulated patient.
        minutes: length of each.
        seed: of every draw.
        on_record: called with the name of each record that is done.

    Returns:
        Names of the records.

    Raises:
        ConfigError: a count or length that makes no record, or a folder that is not empty.
    """
    if num_records < 1 or not 0.25 <= minutes <= 24 * 60:
        raise ConfigError(
            f"{num_records} records of {minutes:g} minutes: at least 1 record of 0.25 to 1440 "
            "minutes is allowed"
        )
    names = tuple(f"syn{number + 1:02d}" for number in range(num_records))
    with atomic_directory(directory) as folder:
        for number, name in enumerate(names):
            rng = np.random.default_rng([seed, number])
            _write_record(folder, name, make_patient(number, rng), round(minutes * 60), rng)
            if on_record is not None:
                on_record(name)
    return names


def make_patient(number: int, rng: np.random.Generator) -> Patient:
    """Draw a patient; of every six the fourth has a bundle branch block, the fifth fibrillates."""
    blocked, fibrillating = number % 6 == 3, number % 6 == 4
    own = morphology.normal(rng)
    if blocked:
        own = morphology.bundle_branch_block(own, rng)
    if fibrillating:
        own = morphology.without_p(own)
    conducted = morphology.shape(own)
    premature = morphology.shape(morphology.supraventricular(own, rng))
    foci = [morphology.shape(morphology.ventricular(own, rng)) for _ in range(rng.integers(1, 3))]
    paced = morphology.paced(morphology.shape(morphology.ventricular(own, rng)), rng)
    shapes = {
        "L" if blocked else "N": (conducted,),
        "A": (premature,),
        "V": tuple(foci),
        "F": _fusions(conducted, foci, (0.35, 0.5, 0.65)),
        "f": _fusions(conducted, [paced], (0.5, 0.65, 0.8)),
    }
    burden = {
        "A": 0.0 if fibrillating else rng.uniform(0.03, 0.10),
        "V": rng.uniform(0.04, 0.14),
        "F": rng.uniform(0.01, 0.03),
        "f": rng.uniform(0.01, 0.03),
    }
    return Patient(
        normal="L" if blocked else "N",
        shapes=shapes,
        burden=burden,
        rr_s=rng.uniform(0.65, 1.05),
        irregularity=0.16 if fibrillating else rng.uniform(0.01, 0.05),
        noise_mv=rng.uniform(0.01, 0.035),
        wander_mv=rng.uniform(0.05, 0.25),
    )


def draw_rhythm(
    patient: Patient, duration_s: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Draw R peaks (beats,) in samples and the symbol (beats,) of each.

    The interval follows breathing (0.25 Hz) and pressure waves (0.1 Hz). Premature beats come at
    0.55 to 0.95 of it; four in five ventricular ones are followed by a full compensatory pause.
    """
    kinds = [patient.normal, *patient.burden]
    shares = [1.0 - sum(patient.burden.values()), *patient.burden.values()]
    phases = rng.uniform(0.0, 2.0 * np.pi, size=2)
    times: list[float] = []
    symbols: list[str] = []
    time_s, pause_s = float(rng.uniform(0.2, 0.8)), 0.0
    while time_s < duration_s:
        sway = np.sin(2.0 * np.pi * np.array([0.25, 0.1]) * time_s + phases).sum()
        usual = patient.rr_s * (1.0 + 0.025 * sway + patient.irregularity * rng.normal())
        kind = str(rng.choice(kinds, p=shares))
        pre_s = max(_SHORTEST_RR_S, usual * _coupling(kind, rng) + pause_s)
        pause_s = 0.0
        if kind == "V" and rng.random() < 0.8:
            pause_s = usual - pre_s
        elif kind == "A":
            pause_s = usual * rng.uniform(0.0, 0.1)
        time_s += pre_s
        times.append(time_s)
        symbols.append(kind)
    r_peaks = np.rint(np.array(times) * FS_HZ).astype(np.int64)
    inside = r_peaks < round(duration_s * FS_HZ)
    return r_peaks[inside], np.array(symbols)[inside]


def _coupling(kind: str, rng: np.random.Generator) -> float:
    """Interval before a beat of this kind over the usual one."""
    low, high = {"A": (0.62, 0.92), "V": (0.55, 0.95), "F": (0.88, 1.02), "f": (0.95, 1.2)}.get(
        kind, (1.0, 1.0)
    )
    return rng.uniform(low, high)


def _fusions(
    conducted: Shape, others: Sequence[Shape], shares: Sequence[float]
) -> tuple[Shape, ...]:
    return tuple((1.0 - share) * conducted + share * other for other in others for share in shares)


def _write_record(
    folder: Path, name: str, patient: Patient, duration_s: int, rng: np.random.Generator
) -> None:
    r_peaks, symbols = draw_rhythm(patient, duration_s, rng)
    signal = _compose(patient, r_peaks, symbols, duration_s * FS_HZ, rng)
    signal += _noise(patient, signal.shape[1], rng)
    codes = np.clip(np.rint(signal * _GAIN_PER_MV) + _BASELINE, 0, _MAX_CODE).astype(np.int64)
    wfdb.wrsamp(
        name,
        fs=FS_HZ,
        units=["mV"] * NUM_LEADS,
        sig_name=list(LEADS),
        d_signal=codes.T,
        fmt=["212"] * NUM_LEADS,
        adc_gain=[float(_GAIN_PER_MV)] * NUM_LEADS,
        baseline=[_BASELINE] * NUM_LEADS,
        comments=["synthetic: ECGSYN beats, made by photonic data synth"],
        write_dir=str(folder),
    )
    # As in MIT-BIH records, the first annotation names the rhythm and is not a beat.
    wfdb.wrann(
        name,
        "atr",
        np.concatenate([[min(18, r_peaks[0] - 1)], r_peaks]),
        symbol=["+", *symbols.tolist()],
        aux_note=[_RHYTHM_LABEL] + [""] * len(r_peaks),
        fs=FS_HZ,
        write_dir=str(folder),
    )


def _compose(
    patient: Patient,
    r_peaks: NDArray[np.int64],
    symbols: NDArray[np.str_],
    num_samples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Add up the shapes of all beats: (leads, samples) in mV."""
    signal = np.zeros((NUM_LEADS, PRE + num_samples + POST))
    offsets = np.arange(-PRE, POST, dtype=np.float64)
    intervals = np.diff(r_peaks, append=r_peaks[-1] + round(patient.rr_s * FS_HZ))
    for r_peak, symbol, interval in zip(r_peaks, symbols, intervals, strict=True):
        choices = patient.shapes[symbol]
        chosen = choices[rng.integers(len(choices))]
        # Bazett: the T wave moves with the square root of the interval.
        stretch = np.sqrt(min(interval / FS_HZ, 1.2))
        late = offsets > _STRETCH_FROM
        source = np.where(late, _STRETCH_FROM + (offsets - _STRETCH_FROM) / stretch, offsets)
        source *= 1.0 + 0.02 * rng.normal()
        height = 1.0 + 0.05 * rng.normal()
        for lead in range(NUM_LEADS):
            beat = np.interp(source, offsets, chosen[lead], left=0.0, right=0.0)
            signal[lead, r_peak : r_peak + PRE + POST] += height * beat
    return signal[:, PRE : PRE + num_samples]


def _noise(patient: Patient, num_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Muscle noise, mains hum and baseline wander: (leads, samples) in mV."""
    time_s = np.arange(num_samples) / FS_HZ
    low_pass = butter(2, 80.0, fs=FS_HZ, output="sos")
    muscle = np.asarray(sosfilt(low_pass, rng.normal(size=(NUM_LEADS, num_samples))))
    breath_hz = rng.uniform(0.18, 0.32)
    wander = np.zeros((NUM_LEADS, num_samples))
    for frequency_hz in (0.05, 0.12, breath_hz):
        phases = rng.uniform(0.0, 2.0 * np.pi, size=(NUM_LEADS, 1))
        weights = rng.uniform(0.3, 1.0, size=(NUM_LEADS, 1))
        wander += weights * np.sin(2.0 * np.pi * frequency_hz * time_s + phases)
    hum = 0.006 * np.sin(2.0 * np.pi * 60.0 * time_s)
    return patient.noise_mv * muscle + patient.wander_mv * wander + hum
