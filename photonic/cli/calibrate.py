"""``photonic calibrate``: what calibration buys on simulated chips, or on a real one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from photonic.cli.bundle_data import bundle_data, data_options
from photonic.cli.options import config_option, json_option, seed_option, yield_options
from photonic.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    import numpy as np

    from export.bundle import Bundle
    from photonic.calibrate.program import CalibratedProgram

MOST_INPUTS = 4096


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", help="Profile name or file; default: the bundle's own.")
@click.option(
    "--chips", type=click.IntRange(min=1), default=20, show_default=True, help="Simulated chips."
)
@click.option(
    "--backend", help="A real core instead of simulated chips, NAME:ADDRESS; see docs/backends.md."
)
@click.option(
    "--averages",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Readings of each matrix.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Measured Jacobians per matrix, at most.",
)
@yield_options
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    help="Folder of the data whose training samples say which inputs the layers see: the error of "
    "the products on those is made small instead of that of the matrices.",
)
@data_options
@seed_option()
@config_option
@json_option
def calibrate(
    bundle: Path,
    profile_name: str | None,
    chips: int,
    backend: str | None,
    averages: int,
    iterations: int,
    keep: float,
    inputs: Path | None,
    metric: str | None,
    data: Path | None,
    subset: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Calibrate every matrix of BUNDLE by measurement; errors, scores, yield before and after.

    Chips are programmed and read as on a bench; their errors stay hidden. With simulated chips
    everything is modelled.
    """
    import numpy as np

    from export.bundle import read_bundle
    from photonic.backends.registry import open_backend
    from photonic.backends.simulator import SimulatedCore
    from photonic.calibrate import CalibrationOptions
    from photonic.calibrate.program import calibrate_program
    from photonic.cli.sweep import sweep_data
    from photonic.profile import load_profile
    from photonic.sweep import reference_score
    from photonic.threads import torch_threads

    started = time.perf_counter()
    opened = read_bundle(bundle)
    profile = load_profile(profile_name) if profile_name else opened.profile
    scored, source = sweep_data(opened, data, subset, metric)
    seen = None if inputs is None else training_inputs(opened, inputs)
    reference = reference_score(opened.program, scored)
    if backend:
        core = open_backend(backend, profile)
    else:
        core = SimulatedCore(profile, range(chips), seed=seed)
    num_blocks = len(opened.program.blocks(profile.core.rows, profile.core.cols))
    with torch_threads(1), progress("calibrating", num_blocks + 2) as advance:
        result = calibrate_program(
            opened.program,
            core,
            scored,
            options=CalibrationOptions(averages=averages, iterations=iterations),
            rng=np.random.default_rng(seed),
            inputs=seen,
            on_block=advance,
        )
    answer = {
        "profile": profile.name,
        "backend": backend or "simulator",
        "num_chips": core.lanes,
        "num_blocks": num_blocks,
        "num_samples": len(scored.labels),
        "data": source,
        "metric": scored.metric,
        "reference_metric": reference,
        "keep": keep,
        "inputs": None if inputs is None else f"training samples of {inputs}",
        **summary(result, keep * reference),
        "seconds": round(time.perf_counter() - started, 3),
    }
    if as_json:
        print_json(answer)
    else:
        show(answer)


def training_inputs(bundle: Bundle, data: Path) -> dict[str, np.ndarray]:
    """Training samples spread evenly over those of ``data``, at most :data:`MOST_INPUTS`."""
    import numpy as np

    given = bundle_data(bundle, data, "train").inputs
    assert given is not None
    count = len(next(iter(given.values())))
    chosen = np.linspace(0, count - 1, min(count, MOST_INPUTS)).astype(np.int64)
    return {name: x[chosen] for name, x in given.items()}


def summary(result: CalibratedProgram, limit: float) -> dict[str, Any]:
    """Figures before and after; errors as the core measured them."""
    import numpy as np

    def side(
        absolute: np.ndarray, relative: np.ndarray, product: np.ndarray, scores: np.ndarray
    ) -> dict[str, float]:
        return {
            "absolute_error_mean": float(absolute.mean()),
            "relative_error_mean": float(relative.mean()),
            "relative_error_p95": float(np.quantile(relative, 0.95)),
            "product_error_mean": float(product.mean()),
            "metric_mean": float(np.nan_to_num(scores).mean()),
            "metric_p05": float(np.quantile(np.nan_to_num(scores), 0.05)),
            "yield": float((np.nan_to_num(scores) >= limit).mean()),
        }

    before = side(
        result.absolute_before, result.relative_before, result.product_before, result.scores_before
    )
    after = side(
        result.absolute_after, result.relative_after, result.product_after, result.scores_after
    )
    better = after["absolute_error_mean"]
    return {
        "before": before,
        "after": after,
        "error_ratio": before["absolute_error_mean"] / better if better else None,
        "programmed_per_block": result.calibrations[0].num_programmed,
    }


def show(answer: dict[str, Any]) -> None:
    """Print the figures for people."""
    rows = [
        ("matrix error ‖ΔW‖, mean", "absolute_error_mean"),
        ("relative error, mean", "relative_error_mean"),
        ("relative error, 95 %", "relative_error_p95"),
        ("error of products, mean", "product_error_mean"),
        (f"{answer['metric']}, mean chip", "metric_mean"),
        (f"{answer['metric']}, 5 % chip", "metric_p05"),
        ("yield", "yield"),
    ]
    print_table(
        ("", "before", "after"),
        [(text, answer["before"][key], answer["after"][key]) for text, key in rows],
        title=f"{answer['num_chips']} chip(s) of {answer['profile']} ({answer['backend']}), "
        f"{answer['num_blocks']} matrices, {answer['num_samples']} beats: {answer['data']}; float "
        f"model {answer['reference_metric']:.3f}; yield: keeps ≥ {100 * answer['keep']:g} % of it",
    )
    if answer["error_ratio"] is not None:
        click.echo(
            f"mean error {answer['error_ratio']:.3g} times smaller, "
            f"{answer['programmed_per_block']} programmings per matrix"
        )
