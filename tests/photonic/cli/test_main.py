from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

from photonic.cli.main import COMMANDS, Entry
from photonic.errors import DataError


@pytest.fixture
def failing(install):
    """Install a command ``fail`` that raises what the test gives it."""

    def prepare(error: BaseException) -> None:
        @click.command("fail")
        def fail() -> None:
            raise error

        install(fail)

    return prepare


def test_help_lists_every_command_with_its_summary(photonic):
    outcome = photonic("--help")
    assert outcome.status == 0
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_has_its_help(photonic, name):
    outcome = photonic(name, "--help")
    assert outcome.status == 0
    assert f"Usage: photonic {name}" in outcome.out


def test_version(photonic):
    assert photonic("--version") == (0, "photonic 0.1.0\n", "")


def test_without_arguments_the_help_is_shown_and_the_status_is_bad_input(photonic):
    outcome = photonic()
    assert outcome.status == 2
    assert "Commands:" in outcome.err


def test_a_returned_value_is_no_status(photonic, install):
    @click.command("value")
    def value() -> int:
        return 1

    install(value)
    assert photonic("value").status == 0


def test_a_check_that_says_no(photonic, install):
    @click.command("say-no")
    @click.pass_context
    def no(context: click.Context) -> None:
        context.exit(1)

    install(no)
    assert photonic("say-no") == (1, "", "")
    assert photonic("say_no") == (1, "", "")


def test_an_expected_error_is_one_line(photonic, failing):
    failing(DataError("folder x holds no record; name a folder with .hea files"))
    assert photonic("fail") == (
        2,
        "",
        "photonic: error: folder x holds no record; name a folder with .hea files\n",
    )


def test_debug_shows_the_traceback_before_the_line(photonic, failing):
    failing(DataError("no record"))
    outcome = photonic("--debug", "fail")
    assert outcome.status == 2
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("photonic: error: no record\n")


def test_an_unexpected_error_is_not_dressed_up(photonic, failing):
    failing(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        photonic("fail")


def test_an_error_of_the_file_system_names_the_file(photonic, failing):
    failing(PermissionError(13, "Permission denied", "/results"))
    assert photonic("fail") == (2, "", "photonic: error: /results: Permission denied\n")


def test_a_full_disk_is_one_line(photonic, failing):
    failing(OSError(28, "No space left on device"))
    assert photonic("fail") == (2, "", "photonic: error: No space left on device\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["tran"], "No such command 'tran'; there are demo, data, train.*; see `photonic --help`"),
        (["--frobnicate"], "No such option.*--frobnicate.*; see `photonic --help`"),
        (["noop", "--sede", "1"], "No such option.*--sede.*Did you mean.*--seed.*"),
        (["noop", "--seed", "x"], "Invalid value for '--seed': 'x' is not a valid integer; see.*"),
        (["noop", "extra"], r"Got unexpected extra argument \(extra\); see `photonic noop --help`"),
    ],
)
def test_a_usage_error_is_one_line(photonic, install, argv, message):
    @click.command("noop")
    @click.option("--seed", type=int)
    def noop(seed: int | None) -> None:
        pass

    install(noop)
    outcome = photonic(*argv)
    assert outcome.status == 2
    assert re.fullmatch(f"photonic: error: {message}\n", outcome.err)


def test_an_interrupt_is_one_line_and_status_130(photonic, failing):
    failing(KeyboardInterrupt())
    assert photonic("fail") == (130, "", "photonic: interrupted\n")


@pytest.mark.parametrize("module", ["torch", "torch.nn"])
def test_a_missing_extra_is_named(photonic, failing, module):
    failing(ModuleNotFoundError(f"No module named {module!r}", name=module))
    outcome = photonic("fail")
    assert outcome.status == 2
    assert "this command needs torch" in outcome.err
    assert "pip install 'photonic-deploy[train]'" in outcome.err


def test_a_missing_extra_is_named_when_the_module_of_the_command_needs_it(
    photonic, monkeypatch, tmp_path
):
    (tmp_path / "needs_onnx.py").write_text("import onnx\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    monkeypatch.setitem(COMMANDS, "needs", Entry("needs_onnx:command", "Needs onnx."))
    assert "this command needs onnx" in photonic("needs").err


def test_another_missing_module_is_a_bug(photonic, failing):
    failing(ModuleNotFoundError("No module named 'photonic.nowhere'", name="photonic.nowhere"))
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        photonic("fail")


def test_a_reader_that_leaves_is_no_error():
    code = (
        "import sys, click; from photonic.cli.main import main, cli, COMMANDS, Entry\n"
        "COMMANDS['pour'] = Entry('__main__:pour', '')\n"
        "@click.command('pour')\n"
        "def pour():\n"
        "    for _ in range(100_000): click.echo('line')\n"
        "sys.argv = ['photonic', 'pour']\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
