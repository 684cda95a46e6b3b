"""Tokens that go through a layer each, side by side: one product instead of many.

``rhythm → token 0 → its layer → tanh`` beside ``rhythm → token 1 → its layer → tanh``: in memory
the tokens lie after one another, so one product with both matrices in a block-diagonal one does
all of it, and the results lie after one another, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from photonic.program import Activation, Linear, Program, Step, Window, sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One token's way: nothing else reads what lies in between."""

    window: Window
    linear: Linear
    activation: Activation


Abreast = tuple[Lane, ...]


def abreast(program: Program) -> dict[str, Abreast]:
    """Groups of two and more lanes over neighbouring tokens of one value, with one activation.

    Returns:
        group -> by the value that its first window (in the order of steps) makes.
    """
    lanes = [lane for step in program.steps if (lane := _lane(program, step)) is not None]
    lanes.sort(key=lambda lane: (lane.window.source, lane.activation.kind, lane.window.start))
    # Neighbours have the same difference between their token and their place in the list.
    runs = groupby(
        enumerate(lanes),
        lambda item: (
            item[1].window.source,
            item[1].activation.kind,
            item[1].window.start - item[0],
        ),
    )
    order = {step.out: i for i, step in enumerate(program.steps)}
    groups = [tuple(lane for _, lane in run) for _, run in runs]
    return {
        min((lane.window.out for lane in group), key=order.__getitem__): group
        for group in groups
        if len(group) > 1
    }


def readers(program: Program, value: str) -> list[Step]:
    """The steps that read ``value``."""
    return [step for step in program.steps if value in sources(step)]


def _lane(program: Program, window: Step) -> Lane | None:
    if not isinstance(window, Window) or window.stop - window.start != 1:
        return None
    match readers(program, window.out):
        case [Linear() as linear]:
            match readers(program, linear.out):
                case [Activation() as activation] if linear.out != program.output:
                    return Lane(window=window, linear=linear, activation=activation)
    return None
