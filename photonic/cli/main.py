"""The command ``photonic``: finds the sub-command, runs it, turns errors into one line.

Nothing heavy is imported here: a sub-command's module is imported when it is called.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import click
from click.core import ParameterSource
from click.exceptions import Exit, NoArgsIsHelpError

from photonic.errors import PhotonicError

STATUS_BAD_INPUT = 2
STATUS_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
STATUS_PIPE_CLOSED = 141  # 128 + SIGPIPE

CONFIG_FILE_KEY = "photonic.config_file"
"""Where a context keeps the path that ``--config`` was given, for messages."""


class Entry(NamedTuple):
    """One sub-command: ``module:object`` of the click command, and its line in the help."""

    target: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "demo": Entry("photonic.cli.demo:demo", "The whole chain on synthetic records."),
    "data": Entry("photonic.cli.data:data", "Make, get and describe records."),
    "train": Entry("photonic.cli.train:train", "Train a student."),
    "tune": Entry("photonic.cli.tune:tune", "Search options by the selection score."),
    "eval": Entry("photonic.cli.eval:evaluate", "Metrics of a run, with baselines beside them."),
    "thresholds": Entry(
        "photonic.cli.thresholds:thresholds", "Scan the saved probabilities of a run densely."
    ),
    "inspect": Entry("photonic.cli.inspect:inspect", "Is a run what its plan promised?"),
    "export": Entry("photonic.cli.export:export", "Write the deployment bundle of a run."),
    "check": Entry("photonic.cli.check:check", "Can the chip hold what is in the bundle?"),
    "verify": Entry("photonic.cli.verify:verify", "Are the files in the bundle the model?"),
    "stream": Entry("photonic.cli.stream:stream", "Classify a record beat by beat, with latency."),
    "sweep": Entry("photonic.cli.sweep:sweep", "Accuracy and yield over chips and settings."),
    "calibrate": Entry("photonic.cli.calibrate:calibrate", "What calibration of chips buys."),
    "cost": Entry("photonic.cli.cost:cost", "Latency and energy of a beat on the chip."),
    "profiles": Entry("photonic.cli.profiles:profiles", "List, show and validate profiles."),
}

# Top-level modules that are not in the base install, by the extra that brings them.
EXTRA_OF_MODULE = {
    "torch": "train",
    "brevitas": "train",
    "onnx": "train",
    "safetensors": "train",
    "sklearn": "train",
    "matplotlib": "train",
    "tomli_w": "train",
    "neurokit2": "train",
    "optuna": "tune",
    "sqlalchemy": "tune",
    "tensorboard": "tensorboard",
    "distributed": "cluster",
    "pyarrow": "parquet",
    "pyvisa": "lab",
}


class LazyGroup(click.Group):
    """A group that lists its commands from `COMMANDS` and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The click command of a name, or None where there is no such name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        return getattr(importlib.import_module(module), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the names of `COMMANDS` as the possibilities of a misspelt one."""
        if normalize_name(args[0]) not in COMMANDS:
            raise click.UsageError(
                f"No such command {args[0]!r}; there are {', '.join(COMMANDS)}", ctx=ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


def normalize_name(name: str) -> str:
    """``-`` and ``_`` are interchangeable in the names of options, choices and commands."""
    return name.replace("_", "-")


@click.group(
    cls=LazyGroup,
    context_settings={
        "token_normalize_func": normalize_name,
        "help_option_names": ["-h", "--help"],
    },
)
@click.version_option(package_name="photonic-deploy", message="photonic %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """From recorded data to a classifier on a photonic chip.

    Exit status: 0 good, 1 the check said no, 2 bad input.
    """


def main() -> NoReturn:
    """Entry point of the ``photonic`` script."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit status; expected errors become one line on stderr.

    An unexpected error (a bug) passes through with its traceback.
    """
    debug = False
    try:
        with cli.make_context("photonic", list(argv)) as context:
            debug = context.params["debug"]
            cli.invoke(context)
            sys.stdout.flush()
    except Exit as stop:
        return stop.exit_code
    except NoArgsIsHelpError as error:
        error.show()
        return STATUS_BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("photonic: interrupted", err=True)
        return STATUS_INTERRUPTED
    except BrokenPipeError:
        # The reader left, e.g. `photonic ... | head`. Python flushes stdout once more on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return STATUS_PIPE_CLOSED
    except (PhotonicError, click.ClickException, ModuleNotFoundError, OSError) as error:
        message = error_message(error)
        if message is None:
            raise
        if debug:
            traceback.print_exc()
        click.echo(f"photonic: error: {message}", err=True)
        return STATUS_BAD_INPUT
    return 0


def error_message(error: Exception) -> str | None:
    """What the user reads about an error, or None for one that is a bug."""
    if isinstance(error, PhotonicError):
        return str(error)
    if isinstance(error, click.ClickException):
        return _usage_message(error)
    if isinstance(error, ModuleNotFoundError):
        return _missing_module_message(error)
    if isinstance(error, OSError) and error.strerror is not None:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror}"
    return None


def _usage_message(error: click.ClickException) -> str:
    """One line, naming the configuration file where the bad value came from one."""
    message = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return message
    parameter = error.param if isinstance(error, click.BadParameter) else None
    if parameter is not None and parameter.name is not None:
        source = context.get_parameter_source(parameter.name)
        if source is ParameterSource.DEFAULT_MAP and CONFIG_FILE_KEY in context.meta:
            return f"{context.meta[CONFIG_FILE_KEY]}: {message}"
    return f"{message.rstrip('.')}; see `{context.command_path} --help`"


def _missing_module_message(error: ModuleNotFoundError) -> str | None:
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    if extra is None:
        return None
    return (
        f"this command needs {module}, which is not in the base install; "
        f"install it with: pip install 'photonic-deploy[{extra}]'"
    )


if __name__ == "__main__":
    main()
