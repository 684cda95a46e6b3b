from __future__ import annotations

from pathlib import Path

import click
import pytest

from photonic.cli.options import config_option, given_options
from photonic.cli.output import print_json
from photonic.cli.param_types import CommaSeparated


@pytest.fixture
def show(photonic, install, tmp_path):
    """Run a command that prints its options, with a configuration file of the given text."""

    @click.command("show")
    @config_option
    @click.argument("folder", default=".")
    @click.option("--batch", type=int, default=128)
    @click.option("--learning-rate", type=float, default=1e-3)
    @click.option("--kd/--no-kd", default=False)
    @click.option("--mix", type=CommaSeparated(click.FLOAT), default="1")
    @click.option("--vary", multiple=True)
    @click.option("--json", "as_json", is_flag=True)
    @click.pass_context
    def command(context: click.Context, **options) -> None:
        print_json({"options": options, "given": given_options(context)})

    install(command)

    def run(text: str, *argv: str):
        (tmp_path / "c.toml").write_text(text, encoding="utf-8")
        return photonic("show", "--config", tmp_path / "c.toml", *argv)

    return run


def test_values_come_from_the_file_and_the_rest_from_the_defaults(show):
    text = """
    learning_rate = 1e-2
    folder = "runs"
    json = true
    vary = ["a=1", "b=1,2"]
    [loop]
    batch = 7
    [loop.distillation]
    kd = true
    mix = [0.7, 0.3]
    """
    outcome = show(text).json()
    assert outcome["options"] == {
        "folder": "runs",
        "batch": 7,
        "learning_rate": 0.01,
        "kd": True,
        "mix": [0.7, 0.3],
        "vary": ["a=1", "b=1,2"],
        "as_json": True,
    }
    assert outcome["given"] == outcome["options"]


def test_the_command_line_wins_wherever_config_stands(show, photonic, tmp_path):
    outcome = show("batch = 7\nkd = true", "--batch", "9", "--no-kd").json()
    assert outcome["given"] == {"batch": 9, "kd": False}
    before = photonic("show", "--batch", "9", "--config", tmp_path / "c.toml").json()
    assert before["given"] == {"batch": 9, "kd": True}


def test_dashes_and_underscores_are_interchangeable_in_keys(show):
    assert show("learning-rate = 0.5").json() == show("learning_rate = 0.5").json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bach = 1", "'bach' is no option of `photonic show`; did you mean batch?"),
        ("[a]\nzzz = 1", "'zzz' is no option of `photonic show`; allowed are folder, batch,"),
        ("config = 'd.toml'", "'config' is no option"),
        ("batch = 1\n[loop]\nbatch = 2", "'batch' stands there twice; keep one"),
        ("batch = [1, 2]", "'batch' takes one value, not an array of 2"),
        ("mix = ['1,2']", "'mix' has an element with a comma"),
        ("batch = 2.5", "Invalid value for '--batch': '2.5' is not a valid integer."),
        ("batch = true", "Invalid value for '--batch': 'True' is not a valid integer."),
        ("batch = ", "not valid TOML: "),
    ],
)
def test_what_cannot_be_honoured_is_one_line_that_names_the_file(show, text, message):
    outcome = show(text)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    path, _, told = outcome.err.removeprefix("photonic: error: ").partition(": ")
    assert Path(path).name == "c.toml"
    assert told.startswith(message)


def test_a_bad_value_on_the_command_line_does_not_blame_the_file(show):
    assert "c.toml" not in show("batch = 1", "--batch", "x").err


def test_a_missing_file_is_a_usage_error(photonic, show):
    outcome = photonic("show", "--config", "nowhere.toml")
    assert outcome.status == 2
    assert "File 'nowhere.toml' does not exist" in outcome.err
