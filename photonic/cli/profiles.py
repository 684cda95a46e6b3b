"""``photonic profiles``: the hardware the toolkit knows, and checks of a user's own file."""

from __future__ import annotations

from pathlib import Path

import click

from photonic.cli.options import json_option
from photonic.cli.output import print_json, print_table
from photonic.profile import HardwareProfile, load_profile, shipped_profiles


@click.group()
def profiles() -> None:
    """List, show and validate hardware profiles."""


@profiles.command("list")
@json_option
def list_profiles(as_json: bool) -> None:
    """One line per shipped profile."""
    loaded = [load_profile(name) for name in shipped_profiles()]
    if as_json:
        print_json([p.model_dump(include={"name", "kind", "description"}) for p in loaded])
        return
    print_table(
        ("profile", "kind", "core", "weight / DAC / ADC bits", "description"),
        [(p.name, p.kind, _core(p), _bits(p), p.description) for p in loaded],
    )


@profiles.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Every value of the profile NAME (or of a TOML file) and where it comes from."""
    profile = load_profile(name)
    if as_json:
        print_json({**profile.model_dump(), "sha256": profile.hash()})
        return
    rows = [(key, _value(profile, key), profile.source.get(key)) for key in profile.keys()]  # noqa: SIM118
    print_table(
        ("value", "", "source"),
        rows,
        title=f"{profile.name} ({profile.kind}): {profile.description}",
    )
    for citation in profile.citations:
        click.echo(f"  {citation}")


@profiles.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def validate(file: Path, as_json: bool) -> None:
    """Check the profile in FILE; every fault gets its own line."""
    profile = load_profile(file)
    if as_json:
        print_json({"valid": True, "name": profile.name, "sha256": profile.hash()})
    else:
        click.echo(f"{file}: valid profile {profile.name!r} of kind {profile.kind!r}")


def _value(profile: HardwareProfile, key: str) -> object:
    section, _, name = key.partition(".")
    return getattr(getattr(profile, section), name)


def _core(profile: HardwareProfile) -> str:
    return f"{profile.core.rows}×{profile.core.cols}"


def _bits(profile: HardwareProfile) -> str:
    bits = (profile.weight.bits, profile.input.bits, profile.output.bits)
    return " / ".join("–" if b is None else str(b) for b in bits)
