"""Private directory of the sockets by which a parent and its daemons communicate."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from was_daemon.stores.local.directories import Entry, entries_of
from was_daemon.stores.local.locking import FileLock, try_lock

_PREFIX = "was-"

_LONGEST_PATH = 96
"""Bytes of the directory's path: with the names in it, no Unix socket may have a path of more than 107 bytes."""

_SOCKET = re.compile(r"[0-9]+\.(admin|admin\.lock|notify)")
"""Names of the sockets, and of the links with which Twisted locks those that it listens on."""

_NAME = re.compile(f"{_PREFIX}[0-9a-z_]{{8}}")


class RuntimeDirectory:
    """New directory below systemd's `RUNTIME_DIRECTORY`, or else where temporary files are, locked until `remove`.

    Directories that killed parents left there are removed. They belong to this user, are not locked, and hold sockets
    only.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        parent = Path(environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or tempfile.gettempdir())
        for path in parent.glob(f"{_PREFIX}*"):
            if _NAME.fullmatch(path.name):
                with suppress(OSError):
                    _remove_left(path)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            self.path.rmdir()
            raise SystemExit(f"{parent} is too long a path for the sockets of several processes: set TMPDIR to another")
        self._fd = _open(self.path)
        try_lock(self._fd)

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._fd)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _remove_left(path: Path) -> None:
    fd = _open(path)
    try:
        if os.fstat(fd).st_uid != os.geteuid() or try_lock(fd) is not FileLock.OURS:
            return
        # An empty one has just been made, and will be locked.
        names = [entry.name for entry in entries_of(fd)]
        if names and all(map(_SOCKET.fullmatch, names)):
            for name in names:
                Entry(fd, name).unlink()
            path.rmdir()
    finally:
        os.close(fd)
