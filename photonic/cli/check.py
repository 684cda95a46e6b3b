"""``photonic check``: can the chip hold what is in the bundle?"""

from __future__ import annotations

from pathlib import Path

import click

from photonic.cli.bundle_data import bundle_data, data_options
from photonic.cli.options import config_option, json_option, score_options
from photonic.cli.output import print_json, print_table


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", help="Profile name or file; default: the bundle's own.")
@data_options
@score_options("Share of the float model's metric to keep; default: less limits.max_score_drop.")
@config_option
@json_option
@click.pass_context
def check(
    context: click.Context,
    bundle: Path,
    profile_name: str | None,
    data: Path | None,
    subset: str | None,
    metric: str | None,
    keep: float | None,
    as_json: bool,
) -> None:
    """Check BUNDLE against a hardware profile; exit status 1 when there is an error.

    What the codes mean and what to do about them stands in docs/findings.md.
    """
    from export.bundle import open_bundle
    from export.checks import check_bundle
    from export.findings import verdict
    from photonic.profile import load_profile

    opened = open_bundle(bundle)
    profile = load_profile(profile_name) if profile_name else None
    inputs = bundle_data(opened, data, subset)
    if metric or keep is not None:
        inputs.labelled(opened)
    findings = check_bundle(opened, profile, inputs.inputs, inputs.label, metric=metric, keep=keep)
    answer = verdict(findings)
    if as_json:
        against = profile.name if profile else opened.manifest.profile.name
        print_json(
            {"verdict": answer, "findings": findings, "profile": against, "data": inputs.source}
        )
    else:
        print_table(
            ("severity", "code", "layer", "value", "limit", "what, and what to do"),
            [(f.severity, f.code, f.layer, f.value, f.limit, f.message) for f in findings],
            title=f"{bundle}: {answer} (signals: {inputs.source})",
        )
    if answer == "fail":
        context.exit(1)
