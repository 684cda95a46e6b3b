"""Files and folders that appear whole or not at all.

A writer works on a hidden sibling of the target, on the same file system; when it is done, the
sibling is flushed to disk and renamed into place. Whatever goes wrong before that, an interrupt
included, the sibling is removed and what stood at the target stays as it was.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from photonic.errors import ConfigError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` when the block ends well.

    The temporary name ends like the target, for writers that choose a format by the suffix.
    Missing parent folders are made.

    Args:
        path: the file to write; an existing file is replaced.

    Raises:
        ConfigError: ``path`` is a folder.
        FileNotFoundError: the block ended without writing the temporary path.
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigError(f"{target} is a folder; name a file to write")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(target, "partial")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_directory(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes ``path`` when the block ends well.

    Args:
        path: the folder to make. An empty folder there is replaced.
        replace: also replace a folder that holds something. The old one is renamed away first and
            removed last, so that no moment shows a mixture of both.

    Raises:
        ConfigError: ``path`` is a file, or a folder that is not empty and ``replace`` is off.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target} is a file; name a folder to write")
    if target.is_dir() and any(target.iterdir()) and not replace:
        raise ConfigError(f"{target} is not empty; remove it or name another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(target, "partial")
    temporary.mkdir()
    try:
        yield temporary
        for folder, _, files in os.walk(temporary):
            for name in files:
                _flush(Path(folder, name))
            _flush(Path(folder))
        _swap(temporary, target)
        _flush(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, target: Path) -> None:
    if not target.exists():
        os.replace(new, target)
        return
    old = _sibling(target, "old")
    os.replace(target, old)
    try:
        os.replace(new, target)
    except BaseException:
        os.replace(old, target)
        raise
    shutil.rmtree(old)


def _sibling(target: Path, role: str) -> Path:
    # Named here, not by tempfile, whose files only their owner can read.
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}.{role}{target.suffix}")


def _flush(path: Path) -> None:
    # Without this a power cut may leave the new name on an empty file.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
