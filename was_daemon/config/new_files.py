"""New files beside or below the configuration, which the daemon can use if root makes them: no file is overwritten."""

import os
import secrets
import stat
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


def replace_shared(path: Path, text: str, group: int | None) -> None:
    """Replace a file, or make it, which its owner writes and its group reads; raise OSError.

    A file that is there keeps its owner, group and permissions. What root makes anew belongs to the owner of the
    directory; if that is root, the group is `group`, if it is given.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    before = path.stat() if path.exists() else None
    try:
        with create(draft, 0o600) as file:
            if before:
                _take_after(before, file.fileno())
            elif os.geteuid() == 0 and path.parent.stat().st_uid == 0 and group is not None:
                os.chown(file.fileno(), 0, group)
                os.fchmod(file.fileno(), 0o640)
            file.write(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _take_after(before: os.stat_result, fd: int) -> None:
    status = os.fstat(fd)
    if (status.st_uid, status.st_gid) != (before.st_uid, before.st_gid):
        os.chown(fd, before.st_uid, before.st_gid)
    os.fchmod(fd, stat.S_IMODE(before.st_mode))
