from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from photonic.cli.main import normalize_name
from photonic.cli.options import (
    json_option,
    model_from_options,
    options_from_model,
    seed_option,
)
from photonic.errors import ConfigError


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Loop(Frozen):
    learning_rate: float = Field(1e-3, gt=0, description="step of the optimiser")
    batch: int = Field(128, ge=1)
    betas: tuple[float, float] = (0.9, 0.999)


class Task(StrEnum):
    BINARY = "binary"
    FOUR_CLASS = "four-class"


class Settings(Frozen):
    task: Task = Task.BINARY
    student: Literal["segment", "patch"] = "segment"
    records: tuple[str, ...] = ()
    use_kd: bool = False
    limit: Annotated[int, Field(ge=2)] | None = None
    cache: Path | None = None
    loop: Loop = Loop(batch=64)

    @model_validator(mode="after")
    def _patch_students_have_no_teacher(self) -> Settings:
        if self.student == "patch" and self.use_kd:
            raise ValueError("use_kd is for student segment")
        return self


@click.command(context_settings={"token_normalize_func": normalize_name})
@options_from_model(Settings)
@json_option
@seed_option(7)
@click.pass_obj
def command(seen: list, **options) -> None:
    seen.append(options)
    seen.append(model_from_options(Settings, options))


def parse(*argv: str) -> tuple[dict, Settings]:
    seen: list = []
    result = CliRunner().invoke(command, argv, obj=seen, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    options, settings = seen
    return options, settings


def test_without_arguments_the_model_has_its_defaults():
    options, settings = parse()
    assert settings == Settings()
    assert settings.loop.batch == 64  # the default of the field, not of the nested class
    assert options["seed"] == 7
    assert options["as_json"] is False


def test_every_kind_of_field_is_parsed():
    _, settings = parse(
        "--task", "four_class",
        "--student", "patch", "--records", "100, 101", "--no-use-kd", "--limit", "5",
        "--cache", "x/y", "--learning-rate", "0.5", "--batch", "2", "--betas", "0.1,0.2",
    )  # fmt: skip
    assert settings == Settings(
        task=Task.FOUR_CLASS,
        student="patch",
        records=("100", "101"),
        limit=5,
        cache=Path("x/y"),
        loop=Loop(learning_rate=0.5, batch=2, betas=(0.1, 0.2)),
    )


def test_underscores_and_dashes_are_interchangeable():
    assert parse("--learning_rate", "0.5", "--use_kd") == parse(
        "--learning-rate", "0.5", "--use-kd"
    )


def test_none_can_be_said_where_none_is_allowed():
    assert parse("--limit", "none", "--records", "")[1] == Settings()
    with pytest.raises(click.BadParameter, match="'none' is not a valid integer"):
        parse("--batch", "none")


def test_help_shows_description_range_choices_and_default():
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "step of the optimiser [default: 0.001; x>0]" in text
    assert "--student [segment|patch] [default: segment]" in text
    assert "--use-kd / --no-use-kd [default: no-use-kd]" in text
    assert "--betas FLOAT,FLOAT [default: 0.9,0.999]" in text
    assert "--limit INTEGER RANGE|none [default: (none)]" in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--batch", "0"], "0 is not in the range x>=1"),
        (["--learning-rate", "0"], "0.0 is not in the range x>0"),
        (["--betas", "0.5"], "'0.5' has 1 elements; 2 are needed"),
        (["--betas", "0.5,x"], "'x' is not a valid float"),
        (["--student", "other"], "'other' is not one of 'segment', 'patch'"),
        (["--limit", "1"], "1 is not in the range x>=2"),
    ],
)
def test_a_bad_value_is_refused_while_parsing(argv, message):
    with pytest.raises(click.BadParameter) as caught:
        parse(*argv)
    assert message in caught.value.format_message()


def test_a_fault_of_the_whole_model_is_a_config_error():
    with pytest.raises(ConfigError, match=r"^Value error, use_kd is for student segment$"):
        parse("--student", "patch", "--use-kd")


def test_every_fault_has_its_own_line():
    options = {"batch": -1, "learning_rate": float("nan"), "student": "segment"}
    with pytest.raises(ConfigError) as caught:
        model_from_options(Settings, options)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("--learning-rate: Input should be greater than 0")
    assert lines[1] == "--batch: Input should be greater than or equal to 1, got -1"


def test_options_change_a_base_and_leave_the_rest():
    base = Settings(student="patch", loop=Loop(batch=5, betas=(0.0, 0.5)))
    changed = model_from_options(Settings, {"batch": 9, "out": "elsewhere"}, base)
    assert changed == Settings(student="patch", loop=Loop(batch=9, betas=(0.0, 0.5)))


leaf_values = st.fixed_dictionaries(
    {
        "student": st.sampled_from(["segment", "patch"]),
        "limit": st.none() | st.integers(2, 10**6),
        "learning_rate": st.floats(1e-12, 1e12),
        "betas": st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
        "records": st.lists(st.from_regex(r"[a-z0-9]{1,4}", fullmatch=True)).map(tuple),
    }
)


@settings(max_examples=25)
@given(leaf_values)
def test_typing_a_value_gives_it_back(values):
    argv = []
    for name, value in values.items():
        typed = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        argv.append(f"--{name}={typed}")
    assert parse(*argv)[1] == model_from_options(Settings, values)


def test_a_required_field_is_a_required_option():
    class Needs(Frozen):
        size: int

    @click.command()
    @options_from_model(Needs)
    def needs(size: int) -> None:
        pytest.fail("size was not given")

    with pytest.raises(click.MissingParameter, match="size"):
        needs.main([], standalone_mode=False)


def test_leaves_that_share_a_name_are_a_mistake_of_the_author():
    class Doubled(Frozen):
        batch: int = 1
        loop: Loop = Loop()

    with pytest.raises(TypeError, match="Doubled: leaves share the names batch"):
        options_from_model(Doubled)


@pytest.mark.parametrize("kind", [dict[str, int], tuple[tuple[int, ...], ...], int | str])
def test_a_type_no_option_can_stand_for_is_a_mistake_of_the_author(kind):
    model = type("Odd", (Frozen,), {"__annotations__": {"odd": kind}})
    with pytest.raises(TypeError, match="field 'odd': no option can stand for"):
        options_from_model(model)(lambda: None)
