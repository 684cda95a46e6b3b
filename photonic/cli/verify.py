"""``photonic verify``: are the files in the bundle the model?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photonic.cli.bundle_data import bundle_data, data_options
from photonic.cli.options import config_option, json_option, score_options
from photonic.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    import numpy as np

    from export.bundle import Bundle
    from export.exhaustive import Exhaustive
    from export.parity import Parity
    from export.score_checks import Scores
    from photonic.backends.compare import CoreParity


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@data_options
@score_options("Share of the float model's metric that bits and settings must keep.")
@click.option(
    "--exhaustive",
    is_flag=True,
    help="Also compare graph, codes and simulator on every input of every block (DAC ≤ 5 bits).",
)
@click.option(
    "--backend",
    help="Also run the samples on a core, NAME:ADDRESS: simulator:17, scpi:RESOURCE, …; see "
    "docs/backends.md.",
)
@click.option(
    "--agreement",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="Share of decisions on which the backend must agree with the deployed model.",
)
@config_option
@json_option
@click.pass_context
def verify(
    context: click.Context,
    bundle: Path,
    data: Path | None,
    subset: str | None,
    metric: str | None,
    keep: float | None,
    exhaustive: bool,
    backend: str | None,
    agreement: float,
    as_json: bool,
) -> None:
    """Compare graphs, matrices, tables and reference of BUNDLE; exit status 1 on a difference.

    The float graph may differ by 1e-5; codes and decisions must be equal, one beat at a time and
    in a batch. With --keep the bits and the settings of the core must keep a share of the score.
    """
    from export.bundle import open_bundle
    from export.parity import verify as compare
    from export.score_checks import bundle_scores

    opened = open_bundle(bundle)
    inputs = bundle_data(opened, data, subset)
    num = None if inputs.inputs is None else len(next(iter(inputs.inputs.values())))
    with progress("verifying", num) as advance:
        parity = compare(opened, inputs.inputs, advance=advance)
    scores = None
    if metric or keep is not None:
        scores = bundle_scores(opened, *inputs.labelled(opened), metric=metric)
    proof = _every_input(opened) if exhaustive else None
    verdict = "fail" if proof is not None and not proof.same else parity.verdict
    on_core = _on_backend(opened, backend, inputs.inputs, agreement) if backend else None
    verdict = "fail" if on_core is not None and not on_core.passed else verdict
    verdict = "fail" if scores and not scores.keeps((keep or 0.0) * scores.reference) else verdict
    if as_json:
        answer = {"verdict": verdict, **parity.to_dict(), "data": inputs.source}
        extra = {"scores": scores, "exhaustive": proof, "backend": on_core}
        print_json(answer | {key: value for key, value in extra.items() if value is not None})
    else:
        _print(bundle, verdict, parity, inputs.source)
        if scores is not None:
            _print_scores(scores, keep)
        if proof is not None:
            click.echo(
                f"every input of {proof.num_blocks} blocks, {proof.num_inputs} in all: graph "
                f"{proof.graph_mismatches}, simulator {proof.simulator_mismatches} codes differ; "
                f"activations of the graph on every code: {proof.activation_mismatches} differ"
            )
        if on_core is not None:
            click.echo(
                f"backend {backend}: {on_core.decision_mismatches} of {on_core.num_samples} "
                f"decisions differ from the deployed model's ({100 * agreement:g} % must agree); "
                f"logits by {on_core.mean_abs_diff:.3g} on average, {on_core.max_abs_diff:.3g} at "
                "most"
            )
    if verdict == "fail":
        context.exit(1)


def _every_input(bundle: Bundle) -> Exhaustive:
    from export.exhaustive import verify_exhaustively
    from photonic.threads import torch_threads

    blocks = sum(layer.blocks for layer in bundle.manifest.layers)
    with torch_threads(1), progress("every input of every block", blocks) as advance:
        return verify_exhaustively(bundle, advance=advance)


def _on_backend(
    bundle: Bundle, backend: str, inputs: Mapping[str, np.ndarray] | None, agreement: float
) -> CoreParity:
    from photonic.backends.compare import compare_core
    from photonic.backends.registry import open_backend

    given = bundle.reference.inputs if inputs is None else inputs
    core = open_backend(backend, bundle.profile)
    with progress(f"running on {backend}", len(next(iter(given.values())))) as advance:
        return compare_core(
            bundle.program, core, given, bundle.decision, agreement=agreement, advance=advance
        )


def _print_scores(scores: Scores, keep: float | None) -> None:
    forms = {"deployed": scores.deployed, "settings realised": scores.settings}
    told = "".join(f", {form} {value:.4f}" for form, value in forms.items() if value is not None)
    allowed = "" if keep is None else f"; {keep * scores.reference:.4f} must be kept"
    samples = f"{scores.metric} of {scores.num_samples} samples"
    click.echo(f"{samples}: float {scores.reference:.4f}{told}{allowed}")


def _print(bundle: Path, verdict: str, parity: Parity, source: str) -> None:
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
        title=f"{bundle}: {verdict} on {parity.num_samples} samples ({source})",
    )
    if parity.first_departing_layer is not None:
        click.echo(f"first departing layer: {parity.first_departing_layer}")
    for fault in parity.faults:
        click.echo(f"{fault.file}: {fault.message.removeprefix(f'{fault.file}: ')}")
