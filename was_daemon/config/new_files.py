"""New files beside or below the configuration, which the daemon can use if root makes them: no file is overwritten."""

import os
import secrets
from pathlib import Path
from typing import TextIO

_KEY_BYTES = 24


def write_key(path: Path, key: str | None = None) -> None:
    """Write `key`, or a new one without it, to a new file that only its owner can read; raise OSError."""
    with create(path, 0o600) as file:
        file.write((key or secrets.token_urlsafe(_KEY_BYTES)) + "\n")


def create(path: Path, mode: int) -> TextIO:
    """Open a new file for writing. What root makes, missing directories too, belongs to the owner of the directory."""
    _make_directory(path.parent)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    _give_to_owner_of(path.parent, fd)
    return os.fdopen(fd, "w", encoding="utf-8")


def _make_directory(path: Path) -> None:
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(exist_ok=True)
        _give_to_owner_of(path.parent, path)


def _give_to_owner_of(directory: Path, made: Path | int) -> None:
    if os.geteuid() == 0:
        status = directory.stat()
        os.chown(made, status.st_uid, status.st_gid)
