"""Lock file that shows whether a process runs: the kernel releases the lock when the process ends."""

import fcntl
import os
import re
from pathlib import Path
from uuid import uuid4

from was_daemon.stores.local.directories import opened_directory
from was_daemon.stores.local.locking import create_locked
from was_daemon.stores.local.staging import remove_stale

_NAME = re.compile(r"[0-9a-f]{32}\.lock")


class ProcessLock:
    """The locked file `IDENTIFIER.lock` in `directory`, by which others see that the process of `identifier` lives.

    All methods block, and raise OSError.
    """

    def __init__(self, directory: Path) -> None:
        self.identifier = uuid4().hex
        self._directory = directory
        self._fd: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether the file is locked."""
        return self._fd is not None

    def acquire(self) -> None:
        """Lock the file, unless that was done before, and remove the files of processes that have been killed."""
        if self._fd is None:
            remove_stale(self._directory.parent, self._directory.name, _NAME)
            with opened_directory(self._directory) as directory:
                _, self._fd = create_locked(directory, lambda: self._path(self.identifier).name)

    def release(self) -> None:
        """Remove the file."""
        if self._fd is not None:
            self._path(self.identifier).unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def is_alive(self, identifier: str) -> bool:
        """Return whether the process of `identifier` lives, and remove its file if it does not."""
        path = self._path(identifier)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two processes that look at the same moment do not take each other for the owner.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        path.unlink(missing_ok=True)
        return False

    def _path(self, identifier: str) -> Path:
        return self._directory / f"{identifier}.lock"
