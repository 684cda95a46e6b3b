"""Options that commands share, and options made from a pydantic model.

A pydantic model is the single description of a command's settings; its leaves become options and
the parsed options become the model again. pydantic itself is imported by the command that defines
a model, so that this module stays light.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar, Union
from typing import get_args as type_args
from typing import get_origin as type_origin

import click

from photonic.cli.config_file import config_option, given_options
from photonic.cli.param_types import CommaSeparated, OrNone
from photonic.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

__all__ = [
    "ABOVE_ZERO",
    "annotator_option",
    "config_option",
    "given_options",
    "json_option",
    "model_from_options",
    "options_from_model",
    "score_options",
    "seed_option",
    "yield_options",
]

ModelT = TypeVar("ModelT", bound="BaseModel")
CommandT = TypeVar("CommandT", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout instead of text."
)
"""``--json``, passed to the command as ``as_json``."""

annotator_option = click.option(
    "--annotator", default="atr", show_default=True, help="Suffix of the annotation files."
)
"""``--annotator NAME`` of WFDB records."""

ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def seed_option(default: int = 0) -> Callable[[CommandT], CommandT]:
    """``--seed N``, a whole number from 0 on."""
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=default,
        show_default=True,
        help="Seed of every random draw of this command.",
    )


def score_options(keep: str, default: float | None = None) -> Callable[[CommandT], CommandT]:
    """``--metric NAME`` and ``--keep SHARE``.

    Args:
        keep: help of ``--keep``.
        default: of ``--keep``.
    """
    metric_option = click.option(
        "--metric", help="Default: f1 for two classes, else macro_f1; also auroc, f1:NAME, …"
    )
    keep_option = click.option(
        "--keep", type=click.FloatRange(0, 1), default=default, show_default=True, help=keep
    )
    return lambda command: metric_option(keep_option(command))


yield_options = score_options(
    "A chip counts for yield when it keeps this share of the float model's metric.", 0.98
)
"""``--metric`` and ``--keep`` of commands that count chips."""


class _Leaf(NamedTuple):
    name: str
    field: FieldInfo
    default: Any
    required: bool


def options_from_model(model: type[BaseModel]) -> Callable[[CommandT], CommandT]:
    """Decorator that adds one option per leaf field of a (nested) pydantic model.

    ``learning_rate: float`` becomes ``--learning-rate``, ``bool`` becomes ``--x/--no-x``,
    ``Literal`` a choice, ``tuple`` and ``list`` comma-separated values, ``X | None`` also takes
    ``none``. Help is the field's description; defaults and ranges are shown.

    Raises:
        TypeError: two leaves share a name, or a field has a type no option can stand for.
    """
    leaves = list(_model_leaves(model))
    names = [leaf.name for leaf in leaves]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise TypeError(f"{model.__name__}: leaves share the names {', '.join(doubled)}")

    def decorate(command: CommandT) -> CommandT:
        for leaf in reversed(leaves):  # click shows the option of the first decorator first
            command = _option_of_leaf(leaf)(command)
        return command

    return decorate


def model_from_options(
    model: type[ModelT], options: Mapping[str, Any], base: ModelT | None = None
) -> ModelT:
    """Build a model back from parsed options, by the names of its leaves.

    Args:
        model: the model that `options_from_model` was given.
        options: values by leaf name; other names are left to the command.
        base: where the leaves that ``options`` lacks come from; else the defaults of the model.

    Raises:
        ConfigError: a value the model refuses, one line per fault.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(_nested(model, options, base))
    except ValidationError as error:
        raise ConfigError(_faults(error)) from error


def _model_leaves(model: type[BaseModel], instance: BaseModel | None = None) -> Iterator[_Leaf]:
    for name, field in model.model_fields.items():
        required = instance is None and field.is_required()
        default = None if required else _default(name, field, instance)
        inner = _submodel(field.annotation)
        if inner is None:
            yield _Leaf(name, field, default, required)
        else:
            yield from _model_leaves(inner, default)


def _default(name: str, field: FieldInfo, instance: BaseModel | None) -> Any:
    if instance is not None:
        return getattr(instance, name)
    return field.get_default(call_default_factory=True, validated_data={})


def _nested(
    model: type[BaseModel], options: Mapping[str, Any], base: BaseModel | None
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        inner = _submodel(field.annotation)
        if inner is not None:
            start = None if base is None and field.is_required() else _default(name, field, base)
            values[name] = _nested(inner, options, start)
        elif name in options:
            values[name] = options[name]
        elif base is not None:
            values[name] = getattr(base, name)
    return values


def _submodel(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _option_of_leaf(leaf: _Leaf) -> Callable[[CommandT], CommandT]:
    flag = leaf.name.replace("_", "-")
    annotation, metadata, optional = _unwrap(leaf.field.annotation, list(leaf.field.metadata))
    settings: dict[str, Any] = {"help": leaf.field.description, "required": leaf.required}
    if not leaf.required:
        shown = "none" if optional and leaf.default is None else True
        settings.update(default=_as_typed(leaf.default), show_default=shown)
    if annotation is bool:
        return click.option(f"--{flag}/--no-{flag}", leaf.name, **settings)
    kind = _click_type(leaf.name, annotation, metadata)
    return click.option(f"--{flag}", leaf.name, type=OrNone(kind) if optional else kind, **settings)


def _as_typed(default: Any) -> Any:
    """A tuple as the text a user would type, an enum as its value; anything else as it is."""
    if isinstance(default, Enum):
        return default.value
    return ",".join(map(str, default)) if isinstance(default, (tuple, list)) else default


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any], bool]:
    """Of ``Annotated[T, …]`` and ``T | None``: plain type, constraints, whether None is allowed."""
    if type_origin(annotation) is Annotated:
        inner, *more = type_args(annotation)
        more = [item for extra in more for item in getattr(extra, "metadata", [extra])]
        return _unwrap(inner, metadata + more)
    if type_origin(annotation) in (Union, types.UnionType):
        members = [member for member in type_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return (*_unwrap(members[0], metadata)[:2], True)
    return annotation, metadata, False


def _click_type(name: str, annotation: Any, metadata: list[Any]) -> click.ParamType:
    origin, arguments = type_origin(annotation), type_args(annotation)
    if origin is Literal:
        return click.Choice(arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return click.Choice([member.value for member in annotation])
    if origin in (tuple, list):
        variadic = origin is list or arguments[-1] is Ellipsis
        element, inner_metadata, _ = _unwrap(arguments[0], [])
        nested = type_origin(element) in (tuple, list)
        if not nested and (variadic or len(set(arguments)) == 1):
            kind = _click_type(name, element, inner_metadata)
            return CommaSeparated(kind, None if variadic else len(arguments))
    if annotation in (int, float):
        bounds = _bounds(metadata)
        if annotation is int:
            return click.IntRange(**bounds) if bounds else click.INT
        return click.FloatRange(**bounds) if bounds else click.FLOAT
    if annotation is str:
        return click.STRING
    if annotation is Path:
        return click.Path(path_type=Path)
    raise TypeError(f"field {name!r}: no option can stand for {annotation!r}")


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for item in metadata:
        for attribute, side, is_open in (
            ("ge", "min", False),
            ("gt", "min", True),
            ("le", "max", False),
            ("lt", "max", True),
        ):
            if getattr(item, attribute, None) is not None:
                bounds |= {side: getattr(item, attribute), f"{side}_open": is_open}
    return bounds


def _faults(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False):
        path = [str(part) for part in fault["loc"]]
        names = [part for part in path if not part.isdigit()]
        where = f"--{names[-1].replace('_', '-')}: " if names else ""
        lines.append(f"{where}{fault['msg']}, got {fault['input']!r}" if names else fault["msg"])
    return "\n".join(lines)
