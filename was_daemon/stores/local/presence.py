"""Presence of daemons in one directory, which each tells the others by a locked file."""

import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from was_daemon.stores.local.directories import Entry, entries_of, opened_below
from was_daemon.stores.local.locking import create_locked
from was_daemon.stores.local.staging import remove_stale

DIRECTORY = ".daemons"

_PROCESS = uuid4().hex
"""Random id that tells this process from others with its number, in another container for instance."""

_NAME = re.compile(r"(?P<number>[0-9]+)@(?P<host>.+)-(?P<process>[0-9a-f]{32})-[0-9a-f]{32}")


class PresenceFile:
    """Locked file that announces until `remove` that this process uses the directory `root`. Everything here blocks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with opened_below(root, [DIRECTORY], create=True) as directory:
            self._name, self._fd = create_locked(directory, self._new_name)

    def _new_name(self) -> str:
        return f"{os.getpid()}@{socket.gethostname()}-{_PROCESS}-{uuid4().hex}"

    def others(self) -> list[str]:
        """Return the other processes that use the directory, such as "process 12 on assets.example.org".

        Files of killed processes are removed. On a file system without locks they are kept, and returned, for a day.
        """
        remove_stale(self._root, DIRECTORY, _NAME)
        with opened_below(self._root, [DIRECTORY]) as directory:
            names = list(filter(None, (_NAME.fullmatch(entry.name) for entry in entries_of(directory))))
        others = [name for name in names if name["process"] != _PROCESS]
        return sorted({f"process {name['number']} on {name['host']}" for name in others})

    def exists(self) -> bool:
        """Return whether the file is in the directory that has the path of `root` now."""
        try:
            with opened_below(self._root, [DIRECTORY]) as directory:
                Entry(directory, self._name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def remove(self) -> None:
        """Remove and unlock the file."""
        try:
            with (
                suppress(FileNotFoundError),
                opened_below(self._root, [DIRECTORY]) as directory,
            ):
                Entry(directory, self._name).unlink()
        finally:
            os.close(self._fd)
