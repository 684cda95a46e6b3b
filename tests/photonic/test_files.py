from __future__ import annotations

import os

import pytest

from photonic.errors import ConfigError
from photonic.files import atomic_directory, atomic_write, atomic_write_text


def test_a_file_appears_with_its_text(tmp_path):
    target = tmp_path / "new" / "metrics.json"
    atomic_write_text(target, "é {}")
    assert target.read_text(encoding="utf-8") == "é {}"
    assert os.listdir(target.parent) == ["metrics.json"]


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_write(tmp_path / "probs.npz") as temporary:
        assert temporary.suffix == ".npz"
        assert temporary.parent == tmp_path
        temporary.touch()


@pytest.mark.parametrize("failure", [RuntimeError("disk"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file(tmp_path, failure):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(type(failure)), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise failure
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_file_cannot_replace_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="is a folder"), atomic_write(tmp_path):
        pytest.fail("the block must not run")


def test_a_written_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    atomic_write_text(tmp_path / "atomic", "")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "bundle"
    with atomic_directory(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.csv").write_text("1")
        assert not target.exists()
    assert (target / "sub" / "a.csv").read_text() == "1"
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("failure", [RuntimeError("disk"), KeyboardInterrupt()])
def test_a_failed_folder_leaves_the_old_one(tmp_path, failure):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "a").write_text("old")
    with pytest.raises(type(failure)), atomic_directory(target, replace=True) as folder:
        (folder / "a").write_text("half")
        raise failure
    assert (target / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["bundle"]


def test_replacing_a_folder_leaves_nothing_of_the_old_one(tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "stale").touch()
    with atomic_directory(target, replace=True) as folder:
        (folder / "fresh").touch()
    assert os.listdir(target) == ["fresh"]
    assert os.listdir(tmp_path) == ["bundle"]


def test_an_empty_folder_is_replaced_without_asking(tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    with atomic_directory(target) as folder:
        (folder / "fresh").touch()
    assert os.listdir(target) == ["fresh"]


def test_a_full_folder_or_a_file_is_refused_before_any_work(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(ConfigError, match="is not empty"), atomic_directory(tmp_path):
        pytest.fail("the block must not run")
    with pytest.raises(ConfigError, match="is a file"), atomic_directory(tmp_path / "a"):
        pytest.fail("the block must not run")


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "a").write_text("old")
    replace = os.replace

    def fail_on_new(source, destination):
        if ".partial" in str(source):
            raise OSError(28, "No space left on device", str(destination))
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fail_on_new)
    with (
        pytest.raises(OSError, match="No space left"),
        atomic_directory(target, replace=True) as folder,
    ):
        (folder / "a").write_text("new")
    assert (target / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["bundle"]
