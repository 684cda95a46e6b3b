"""``--config FILE``: the options of a command from a TOML file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from photonic.cli.main import CONFIG_FILE_KEY
from photonic.cli.param_types import CommaSeparated
from photonic.errors import ConfigError

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def config_option(command: CommandT) -> CommandT:
    """``--config FILE``: options of the command from a TOML file; the command line wins.

    Tables are flattened to the names of their leaves, ``-`` and ``_`` are interchangeable, and
    each value is taken as if it had been typed, an array as its comma-separated elements. The
    resolved configuration of a run can therefore be given back as it is.
    """
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="TOML file with options of this command; the command line wins.",
    )(command)


def given_options(context: click.Context) -> dict[str, Any]:
    """The options that the user gave, on the command line or in ``--config``, without defaults."""
    defaults = (ParameterSource.DEFAULT, None)
    return {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) not in defaults
    }


def _read_config(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    parameters = _parameters_by_name(context.command)
    values: dict[str, Any] = {}
    for key, value in _leaves(document):
        name = key.replace("-", "_")
        if name not in parameters:
            raise ConfigError(_unknown_key_message(path, key, list(parameters), context))
        parameter = parameters[name]
        assert parameter.name is not None  # click names every parameter of a command
        if parameter.name in values:
            raise ConfigError(f"{path}: {key!r} stands there twice; keep one")
        values[parameter.name] = _typed(path, key, value, parameter)
    context.default_map = values
    context.meta[CONFIG_FILE_KEY] = path


def _parameters_by_name(command: click.Command) -> dict[str, click.Parameter]:
    names: dict[str, click.Parameter] = {}
    for parameter in command.params:
        if parameter.name == "config":
            continue
        for spelling in (parameter.name or "", *parameter.opts):
            names[spelling.lstrip("-").replace("-", "_")] = parameter
    return names


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield key, value


def _unknown_key_message(path: Path, key: str, names: list[str], context: click.Context) -> str:
    close = difflib.get_close_matches(key.replace("-", "_"), names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"allowed are {', '.join(names)}"
    return f"{path}: {key!r} is no option of `{context.command_path}`; {hint}"


def _typed(path: Path, key: str, value: Any, parameter: click.Parameter) -> Any:
    """The text that stands for a TOML value on the command line."""
    if not isinstance(value, list):
        return str(value)
    texts = [str(element) for element in value]
    if parameter.multiple or parameter.nargs != 1:
        return texts
    if not isinstance(parameter.type, CommaSeparated):
        raise ConfigError(f"{path}: {key!r} takes one value, not an array of {len(texts)}")
    if any("," in text for text in texts):
        raise ConfigError(f"{path}: {key!r} has an element with a comma, which separates elements")
    return ",".join(texts)
