"""The page of all shipped profiles: ``python -m photonic.profile_table docs/profiles.md``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from photonic.files import atomic_write_text
from photonic.profile import HardwareProfile, load_profile, shipped_profiles

COMMAND = "python -m photonic.profile_table docs/profiles.md"


def render_profiles(profiles: Sequence[HardwareProfile]) -> str:
    """Markdown: one table of all profiles, then each with its values, sources and citations."""
    lines = [
        "# Hardware profiles",
        "",
        f"Rendered by `{COMMAND}` from the files in `hw_profiles`. A value is *reported* by the",
        "makers or a source about them, *derived* from reported values, *estimated* from the",
        "component, or *assumed*. `–` means that nobody states it, and it is then not simulated.",
        "",
        "| profile | kind | core | weight / DAC / ADC bits | clock, GHz | what it is |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_summary(profile) for profile in profiles),
    ]
    for profile in profiles:
        lines += _details(profile)
    return "\n".join(lines) + "\n"


def _summary(profile: HardwareProfile) -> str:
    core = profile.core
    shape = f"{core.rows}×{core.cols}" + (f" × {core.count}" if core.count > 1 else "")
    bits = (profile.weight.bits, profile.input.bits, profile.output.bits)
    cells = (
        f"[{profile.name}](#{profile.name})",
        profile.kind,
        shape,
        " / ".join(_text(b) for b in bits),
        _text(profile.timing.clock_ghz),
        profile.description,
    )
    return f"| {' | '.join(cells)} |"


def _details(profile: HardwareProfile) -> list[str]:
    lines = ["", f"## {profile.name}", "", profile.description]
    if profile.citations:
        lines += ["", *(f"- {citation}" for citation in profile.citations)]
    lines += ["", "| value | | source |", "| --- | --- | --- |"]
    for key, source in profile.source.items():
        section, _, name = key.partition(".")
        value = getattr(getattr(profile, section), name)
        lines.append(f"| `{key}` | {_text(value)} | {source} |")
    return lines


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str]) -> None:
    """Write the page to the path given as the only argument."""
    (path,) = arguments
    atomic_write_text(path, render_profiles([load_profile(n) for n in shipped_profiles()]))


if __name__ == "__main__":
    main(sys.argv[1:])
