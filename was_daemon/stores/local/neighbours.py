"""The daemons that use one directory, each known to the others by a locked file in it."""

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
"""Tells this process from others that have its number, in another container for instance."""

_NAME = re.compile(r"(?P<number>[0-9]+)@(?P<host>.+)-(?P<process>[0-9a-f]{32})-[0-9a-f]{32}")


class Presence:
    """Says that this process uses the directory `root`, until `end`. Everything here blocks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with opened_below(root, [DIRECTORY], create=True) as directory:
            self._name, self._fd = create_locked(directory, self._new_name)

    def _new_name(self) -> str:
        return f"{os.getpid()}@{socket.gethostname()}-{_PROCESS}-{uuid4().hex}"

    def others(self) -> list[str]:
        """The other processes that use the directory, such as "process 12 on assets.example.org".

        What killed ones left is removed. A file system without locks keeps that for a day, and others are told of it.
        """
        remove_stale(self._root, DIRECTORY, _NAME)
        with opened_below(self._root, [DIRECTORY]) as directory:
            names = list(filter(None, (_NAME.fullmatch(entry.name) for entry in entries_of(directory))))
        others = [name for name in names if name["process"] != _PROCESS]
        return sorted({f"process {name['number']} on {name['host']}" for name in others})

    def is_there(self) -> bool:
        """Whether the directory is the one in which this process says so."""
        try:
            with opened_below(self._root, [DIRECTORY]) as directory:
                Entry(directory, self._name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def end(self) -> None:
        """Stop saying so."""
        try:
            with (
                suppress(FileNotFoundError),
                opened_below(self._root, [DIRECTORY]) as directory,
            ):
                Entry(directory, self._name).unlink()
        finally:
            os.close(self._fd)
