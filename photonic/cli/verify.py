"""``photonic verify``: are the files in the bundle the model?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from photonic.cli.bundle_data import bundle_data, data_options
from photonic.cli.options import config_option, json_option
from photonic.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from export.parity import Parity


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@data_options
@config_option
@json_option
@click.pass_context
def verify(
    context: click.Context, bundle: Path, data: Path | None, subset: str | None, as_json: bool
) -> None:
    """Compare graphs, matrices, tables and reference of BUNDLE; exit status 1 on a difference.

    The float graph may differ by 1e-5; codes and decisions must be equal, one beat at a time and
    in a batch.
    """
    from export.bundle import open_bundle
    from export.parity import verify as compare

    opened = open_bundle(bundle)
    inputs = bundle_data(opened, data, subset)
    num = None if inputs.inputs is None else len(next(iter(inputs.inputs.values())))
    with progress("verifying", num) as advance:
        parity = compare(opened, inputs.inputs, advance=advance)
    if as_json:
        print_json({"verdict": parity.verdict, **parity.to_dict(), "data": inputs.source})
    else:
        _print(bundle, parity, inputs.source)
    if parity.verdict == "fail":
        context.exit(1)


def _print(bundle: Path, parity: Parity, source: str) -> None:
    settings = "see check" if parity.settings_lsb_mismatches else 0
    print_table(
        ("comparison", "difference", "allowed"),
        [
            ("float graph, largest of a logit", parity.float_max_abs_diff, 1e-5),
            ("matrices re-executed, largest", parity.matrix_reexecution_max_abs_diff, 1e-5),
            ("quantised graph, logit codes", parity.quantized_lsb_mismatches, 0),
            ("codes and tables re-executed", parity.matrix_reexecution_lsb_mismatches, 0),
            ("decisions", parity.decision_mismatches, 0),
            ("settings realised, logit codes", parity.settings_lsb_mismatches, settings),
            ("settings realised, decisions", parity.settings_decision_changes, settings),
            ("files that contradict", len(parity.faults), 0),
        ],
        title=f"{bundle}: {parity.verdict} on {parity.num_samples} samples ({source})",
    )
    if parity.first_departing_layer is not None:
        click.echo(f"first departing layer: {parity.first_departing_layer}")
    for fault in parity.faults:
        click.echo(f"{fault.file}: {fault.message.removeprefix(f'{fault.file}: ')}")
