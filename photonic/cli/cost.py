"""``photonic cost``: what a beat costs on the chip, beside a digital core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from photonic.cli.options import ABOVE_ZERO, config_option, json_option
from photonic.cli.output import format_cell, print_json, print_table

if TYPE_CHECKING:
    from photonic.cost import Cost

ITEMS = ("dac", "modulator", "laser", "tuning", "heater", "receiver", "adc")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--profile",
    "profile_names",
    multiple=True,
    help="Profile name or file, or all; may be given several times; default: the bundle's own.",
)
@click.option(
    "--beats-per-load",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Beats that each matrix is applied to before the next one is written.",
)
@click.option(
    "--digital-pj-per-mac",
    type=ABOVE_ZERO,
    help="Energy of the digital core, pJ per MAC; default: 0.23, arithmetic of 8 bits in 45 nm.",
)
@config_option
@json_option
def cost(
    bundle: Path,
    profile_names: tuple[str, ...],
    beats_per_load: int,
    digital_pj_per_mac: float | None,
    as_json: bool,
) -> None:
    """Passes, reprogramming, latency and energy of one beat of the model in BUNDLE.

    Everything is modelled from the profile; what a profile does not state is left out and named,
    and the total is then a lower bound.
    """
    from export.bundle import read_bundle
    from photonic.cost import DIGITAL_PJ_PER_MAC
    from photonic.cost import cost as cost_of
    from photonic.profile import load_profile, shipped_profiles

    opened = read_bundle(bundle)
    names = [n for name in profile_names for n in (shipped_profiles() if name == "all" else [name])]
    profiles = [load_profile(name) for name in dict.fromkeys(names)] or [opened.profile]
    digital = digital_pj_per_mac or DIGITAL_PJ_PER_MAC
    costs = [
        cost_of(opened.program, p, beats_per_load=beats_per_load, digital_pj_per_mac=digital)
        for p in profiles
    ]
    if as_json:
        print_json({"costs": [as_object(c) for c in costs], "beats_per_load": beats_per_load})
        return
    show(costs, str(bundle))


def as_object(one: Cost) -> dict[str, Any]:
    """JSON form, totals included."""
    from dataclasses import fields

    return {field.name: getattr(one, field.name) for field in fields(one)} | {
        "latency_us": one.latency_us,
        "total_energy_pj": one.total_energy_pj,
        "total_is_lower_bound": bool(one.missing),
        "pj_per_mac": one.pj_per_mac,
        "times_digital": one.times_digital,
    }


def show(costs: list[Cost], bundle: str) -> None:
    """Two tables for people: where time goes, and where energy goes."""
    print_table(
        (
            "profile", "cores", "matrices", "passes", "writes", "compute, µs", "writing, µs",
            "a beat, µs",
        ),
        [
            (
                c.profile, c.cores, c.matrices, c.passes, c.reprogrammings, c.compute_us,
                c.reprogramming_us, c.latency_us,
            )
            for c in costs
        ],
        title=f"{bundle}: modelled time of one beat, {costs[0].macs} MACs",
    )  # fmt: skip
    print_table(
        ("profile", *ITEMS, "total, nJ", "pJ/MAC", "makers' figure, nJ", "× digital"),
        [
            (
                c.profile,
                *(_nj(c.energy_pj.get(item)) for item in ITEMS),
                _bound(c, _nj(c.total_energy_pj)),
                _bound(c, c.pj_per_mac),
                _nj(c.reported_energy_pj),
                _bound(c, c.times_digital),
            )
            for c in costs
        ],
        title="modelled energy of one beat, nJ; ≥: a lower bound, since the profile lacks keys; "
        f"digital: {_text(_nj(costs[0].digital_energy_pj))} nJ at "
        f"{costs[0].digital_pj_per_mac:g} pJ/MAC",
    )
    for c in costs:
        if c.missing:
            click.echo(f"{c.profile} does not state {', '.join(c.missing)}")


def _nj(value_pj: float | None) -> float | None:
    return None if value_pj is None else value_pj * 1e-3


def _bound(one: Cost, value: float | None) -> str:
    sign = "≥ " if one.missing and value is not None else ""
    return sign + _text(value)


def _text(value: float | None) -> str:
    return format_cell(value)
