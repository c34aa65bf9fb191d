"""The right of one process of the machine to have the copies of a mirror follow."""

import os
from pathlib import Path
from threading import Lock

from was_daemon.stores.local.locking import FileLock, try_lock


class Lead:
    """The locked file `path`: a process has the lead until `release`, or its end. All methods block, raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        # An attempt, which nobody waits for any more, must not come after the end.
        self._turn = Lock()
        self._is_released = False

    @property
    def is_held(self) -> bool:
        """Whether this process has the lead."""
        return self._fd is not None

    def try_take(self) -> bool:
        """Take the lead unless another process has it; return whether this one has it."""
        with self._turn:
            if self._is_released or self._fd is not None:
                return not self._is_released
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if try_lock(fd) is FileLock.THEIRS:
                os.close(fd)
                return False
            self._fd = fd
            return True

    def release(self) -> None:
        """Give up the lead for good."""
        with self._turn:
            self._is_released = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
