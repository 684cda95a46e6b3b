from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import wfdb

from photonic.errors import ConfigError, DataError
from training.data.fetch import fetch_database


@pytest.fixture
def server(monkeypatch):
    """``server(fill)``: what PhysioNet would put into the folder."""

    def set_up(fill) -> None:
        def download(name: str, folder: str, **_: object) -> None:
            print("Generating record list for: 100")
            fill(Path(folder))

        monkeypatch.setattr(wfdb, "dl_database", download)

    return set_up


def test_the_folder_appears_when_every_record_is_whole(server, synthetic_dir, tmp_path, capsys):
    server(lambda folder: shutil.copytree(synthetic_dir, folder, dirs_exist_ok=True))
    assert fetch_database("mitdb", tmp_path / "new")[0] == "syn01"
    assert len(list((tmp_path / "new").iterdir())) == 18
    assert capsys.readouterr().out == ""


def test_a_download_that_is_not_whole_leaves_no_folder(server, synthetic_dir, tmp_path):
    def fill(folder: Path) -> None:
        shutil.copytree(synthetic_dir, folder, dirs_exist_ok=True)
        (folder / "syn04.atr").unlink()

    server(fill)
    with pytest.raises(DataError, match=r"syn04\.atr does not exist"):
        fetch_database("mitdb", tmp_path / "new")
    assert not list(tmp_path.glob("*new*"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("unreachable"), r"could not be downloaded .*ConnectionError.*data synth"),
        (FileNotFoundError("404"), "has no open database 'mitdb'"),
    ],
)
def test_what_the_network_says_is_one_line(server, tmp_path, error, message):
    def fill(folder: Path) -> None:
        (folder / "100.hea").write_text("half")
        raise error

    server(fill)
    with pytest.raises(DataError, match=message) as raised:
        fetch_database("mitdb", tmp_path / "new")
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("*new*"))


def test_a_folder_that_holds_something_is_left_alone(server, tmp_path):
    (tmp_path / "mine").write_text("keep")
    server(lambda folder: pytest.fail("downloaded"))
    with pytest.raises(ConfigError, match="is not empty"):
        fetch_database("mitdb", tmp_path)


@pytest.mark.parametrize("name", ["", "../mitdb", "mit db", "s3://x"])
def test_a_name_that_is_no_database_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="is not a PhysioNet database"):
        fetch_database(name, tmp_path / "new")
