"""``train … --eval-only --checkpoint RUN``: the founding spelling of ``photonic eval RUN``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from photonic.cli.main import normalize_name
from photonic.cli.options import json_option

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
FLAG, CHECKPOINT = "--eval-only", "--checkpoint"


@click.command()
@click.option(
    CHECKPOINT, "run", type=click.Path(path_type=Path), required=True, help="Run directory."
)
@click.option(
    "--data", type=click.Path(path_type=Path), default=None, help="Folder of the data, if it moved."
)
@click.option(
    "--subset",
    type=click.Choice(["train", "val", "test", "all"]),
    default=None,
    help="Samples to score; test, or val where the split has no test samples.",
)
@json_option
@click.pass_context
def eval_only(
    context: click.Context, run: Path, data: Path | None, subset: str | None, as_json: bool
) -> None:
    """Support, precision, recall and F1 of every class of a trained run."""
    from photonic.cli.eval import evaluate

    context.invoke(evaluate, run=run, data=data, subset=subset, as_json=as_json)


class TrainCommand(click.Command):
    """A command of training that becomes :data:`eval_only` where its flag is typed."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        rest = [part for part in args if normalize_name(part) != FLAG]
        if len(rest) < len(args):
            return eval_only.make_context(f"{info_name} {FLAG}", rest, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def eval_only_options(command: CommandT) -> CommandT:
    """The two options as the help of a :class:`TrainCommand` shows them."""
    checkpoint = click.option(
        CHECKPOINT,
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_refused,
        help=f"The run of {FLAG}.",
    )
    flag = click.option(
        FLAG,
        is_flag=True,
        expose_value=False,
        callback=_refused,
        help=f"Train nothing; print the figures of {CHECKPOINT} RUN again ([--data DIR] [--subset "
        "train|val|test|all] [--json]).",
    )
    return flag(checkpoint(command))


def _refused(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        raise click.UsageError(
            f"{FLAG} and {CHECKPOINT} RUN are typed together; a file cannot hold them", context
        )
