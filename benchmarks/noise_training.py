"""The same student trained plain and on noisy chips, then swept over 200 unseen chips of each kind.

Run from the repository root: ``python benchmarks/noise_training.py --data ../shared/data/mitdb``.
It writes ``docs/noise_training.md`` and ``docs/noise_training.png``. Errors are those of the
shipped profiles times ``--severity``: as published they cost either student next to nothing.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from torch.nn import functional

from photonic.devices.core import DeviceCore
from photonic.execute import run_float
from photonic.files import atomic_write, atomic_write_text
from photonic.layers import ExactCore
from photonic.profile import HardwareProfile, load_profile
from photonic.program import Program
from photonic.simulate import simulate
from photonic.students import SegmentConfig, segment_student
from training.data.ecg import EcgDataOptions, load_ecg

# The errors of each kind that grow with the severity.
ERRORS = {
    "shen_2017_mzi": ("optics.phase_sigma_rad", "optics.splitter_sigma_rad", "output.noise_sigma"),
    "zhang_2022_mrr": ("weight.programming_sigma", "output.noise_sigma"),
    "feldmann_2021_pcm": ("pcm.cell_sigma", "output.noise_sigma"),
}
KINDS = {"shen_2017_mzi": "MZI", "zhang_2022_mrr": "MRR", "feldmann_2021_pcm": "PCM"}
# The ring profile states no noise of its own receiver; this is a fraction of an ADC step.
ASSUMED_NOISE = {"zhang_2022_mrr": {"output.noise_sigma": 0.004}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beats:
    """Beats ``(n, 360, 1)`` and labels ``(n,)``."""

    x: np.ndarray
    label: np.ndarray


def beats_of(folder: Path, test_beats: int) -> tuple[Beats, Beats]:
    """Training beats of DS1, and every so many-th test beat of DS2."""
    data = load_ecg(folder, EcgDataOptions(labels="aami-binary", split="ds1-ds2"), seed=0)
    x, label, split = data.beats.beats[:, :, None], data.beats.label, data.split
    test = np.sort(split.test)[:: max(1, len(split.test) // test_beats)]
    return Beats(x=x[split.train], label=label[split.train]), Beats(x=x[test], label=label[test])


def harsher(name: str, severity: float) -> HardwareProfile:
    """The profile with its errors times ``severity``."""
    profile = load_profile(name)
    for key, value in ASSUMED_NOISE.get(name, {}).items():
        profile = profile.with_value(key, value)
    for key in ERRORS[name]:
        section, _, field = key.partition(".")
        profile = profile.with_value(key, severity * getattr(getattr(profile, section), field))
    return profile


def trained(beats: Beats, profile: HardwareProfile | None, steps: int, seed: int) -> Program:
    """A student after ``steps`` balanced batches, on chips of ``profile`` or in plain float."""
    student = segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(seed))
    core = ExactCore()
    if profile is not None:
        core = DeviceCore(profile, seed=seed, warmup_steps=steps // 4, num_chips=4)
    student.core = core
    student.train()
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    classes = [torch.from_numpy(np.flatnonzero(beats.label == c)) for c in range(2)]
    x, label = torch.from_numpy(beats.x), torch.from_numpy(beats.label)
    batches = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.cat([c[torch.randint(len(c), (96,), generator=batches)] for c in classes])
        chosen = chosen[torch.randperm(len(chosen), generator=batches)]
        optimizer.zero_grad()
        functional.cross_entropy(student({"beat": x[chosen]})[0], label[chosen]).backward()
        optimizer.step()
        schedule.step()
        if isinstance(core, DeviceCore):
            core.advance()
    return student.program()


def scores(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Balanced accuracy of the decisions of ``(chips, beats, classes)``, per chip."""
    return np.array([balanced_accuracy_score(label, d) for d in logits.argmax(-1)])


def chip_scores(
    program: Program, profile: HardwareProfile, beats: Beats, num_chips: int
) -> np.ndarray:
    """Balanced accuracy on each chip."""
    logits = simulate(program, profile, {"beat": beats.x}, chips=range(num_chips), seed=1)
    return scores(logits, beats.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One student on one kind of chip."""

    kind: str
    training: str
    reference: float
    chips: np.ndarray

    @property
    def lost(self) -> float:
        """What the mean chip loses of the float score."""
        return self.reference - float(self.chips.mean())

    @property
    def row(self) -> str:
        low, middle, high = np.quantile(self.chips, [0.05, 0.5, 0.95])
        kept = (self.chips >= 0.98 * self.reference).mean()
        return (
            f"| {self.kind} | {self.training} | {self.reference:.4f} | {self.chips.mean():.4f} "
            f"| {self.lost:+.4f} | {low:.4f} / {middle:.4f} / {high:.4f} | {kept:.0%} |"
        )


def figure(results: list[Result], path: Path) -> None:
    """Scores of all chips, plain beside noise-aware, one pair per kind."""
    kinds = list(dict.fromkeys(r.kind for r in results))
    fig, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    colours = {"plain": "#c0504d", "noise-aware": "#1f6f8b"}
    for result in results:
        offset = -0.18 if result.training == "plain" else 0.18
        place = kinds.index(result.kind) + offset
        colour = colours[result.training]
        spread = np.random.default_rng(0).uniform(-0.09, 0.09, len(result.chips))
        axes.plot(place + spread, result.chips, ".", ms=3, alpha=0.4, color=colour)
        axes.hlines(result.chips.mean(), place - 0.14, place + 0.14, color=colour, lw=2)
        axes.hlines(result.reference, place - 0.14, place + 0.14, color="black", lw=1, ls="dotted")
    for name, colour in colours.items():
        axes.plot([], [], "o", color=colour, label=f"trained {name}")
    axes.plot([], [], color="black", lw=1, ls="dotted", label="float model")
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_ylabel("balanced accuracy, unseen patients")
    axes.set_title(f"{len(results[0].chips)} chips each; bar: mean of the chips")
    axes.legend(loc="lower center", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    with atomic_write(path) as temporary:
        fig.savefig(temporary, dpi=150)


PAGE = """# Noise-aware training

The same segment-aware student, from the same start and on the same {steps} balanced batches of
MIT-BIH DS1 (normal against abnormal), trained plain in float and on fresh chips of a profile every
step (`photonic.devices.core.DeviceCore`: warm-up over the first quarter, four chips per step). Both
are then swept over {chips} chips that neither has seen, on {beats} beats of the patients of DS2.
The score is the mean of both classes' sensitivities; what counts is that of the chips. The profiles
are `shen_2017_mzi`, `zhang_2022_mrr` (with an assumed receiver noise of 0.004) and
`feldmann_2021_pcm`, their errors times {severity:g}.

| kind | training | float score | mean of chips | lost | 5 / 50 / 95 % of chips | keep ≥ 98 % |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

![Scores of all chips](noise_training.png)

One seed of training; the spread over the chips is measured, that over seeds is not. Measured on
{date} ({machine}, {minutes:.0f} min) by

    {command}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--chips", type=int, default=200)
    parser.add_argument("--test_beats", type=int, default=2000)
    parser.add_argument("--severity", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)  # noqa: TID251 - a benchmark is its own command line
    start = time.perf_counter()
    train, test = beats_of(given.data, given.test_beats)
    plain = trained(train, None, given.steps, given.seed)
    results = []
    for name, kind in KINDS.items():
        profile = harsher(name, given.severity)
        aware = trained(train, profile, given.steps, given.seed)
        for training, program in (("plain", plain), ("noise-aware", aware)):
            logits = run_float(program, {"beat": test.x}, np.float32)
            reference = scores(logits[None], test.label)[0]
            chips = chip_scores(program, profile, test, given.chips)
            results.append(
                Result(kind=kind, training=training, reference=float(reference), chips=chips)
            )
            print(results[-1].row, flush=True)
    figure(results, given.out / "noise_training.png")
    page = PAGE.format(
        steps=given.steps,
        chips=given.chips,
        beats=len(test.label),
        severity=given.severity,
        rows="\n".join(r.row for r in results),
        date=datetime.date.today().isoformat(),
        machine=f"{platform.machine()}, one thread",
        minutes=(time.perf_counter() - start) / 60,
        command="python benchmarks/noise_training.py --data ../shared/data/mitdb"
        f" --severity {given.severity:g} --steps {given.steps}",
    )
    atomic_write_text(given.out / "noise_training.md", page)
    pairs = zip(results[0::2], results[1::2], strict=True)
    return 0 if all(aware.lost < plain.lost for plain, aware in pairs) else 1


if __name__ == "__main__":
    sys.exit(main())
