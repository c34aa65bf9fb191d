"""The sign of life of a process: a locked file, whose lock the kernel releases when the process ends."""

import fcntl
import os
from pathlib import Path
from uuid import uuid4


class ProcessLock:
    """The locked file `IDENTIFIER.lock` in `directory`, by which others see that the process of `identifier` lives.

    All methods block, and raise OSError.
    """

    def __init__(self, directory: Path) -> None:
        self.identifier = uuid4().hex
        self._directory = directory
        self._fd: int | None = None

    def acquire(self) -> None:
        """Lock the file, unless that was done before."""
        if self._fd is None:
            fd = os.open(self._path(self.identifier), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._fd = fd

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
