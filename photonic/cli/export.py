"""``photonic export``: from a run directory to the files that leave our hands."""

from __future__ import annotations

import time
from pathlib import Path

import click

from photonic.cli.options import config_option, json_option
from photonic.cli.output import print_json, print_table


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--profile", "profile_name", required=True, help="Profile name or file that it is made for."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the bundle, or a .zip file; a bundle that is there is replaced.",
)
@config_option
@json_option
def export(run: Path, profile_name: str, out: Path, as_json: bool) -> None:
    """Write the deployment bundle of RUN: graphs, matrices, codes, settings, test vectors."""
    from export.run_directory import read_run
    from export.write import write_bundle
    from photonic.profile import load_profile

    profile, started = load_profile(profile_name), time.perf_counter()
    finished = read_run(run)
    manifest = write_bundle(finished, profile, out).manifest
    summary = {
        "bundle": str(out),
        "name": manifest.name,
        "profile": profile.name,
        "profile_hash": manifest.profile.hash,
        "quantized": manifest.quantized,
        "num_layers": len(manifest.layers),
        "num_matrices": sum(layer.blocks for layer in manifest.layers),
        "num_files": len(manifest.files) + 1,
        "num_reference_samples": len(finished.sample),
        "seconds": round(time.perf_counter() - started, 3),
    }
    if as_json:
        print_json(summary)
        return
    print_table(
        ("layer", "shape", "matrices", "products per beat"),
        [
            (layer.name, f"{layer.out}×{layer.fan_in}", layer.blocks, layer.applied_per_beat)
            for layer in manifest.layers
        ],
        title=f"{out}: {manifest.name} for {profile.name}, {summary['num_files']} files",
    )
    if not manifest.quantized:
        click.echo(f"{profile.name} has no bit widths: there is no quantised model in the bundle")
    click.echo(f"next: photonic check {out}; photonic verify {out}")
