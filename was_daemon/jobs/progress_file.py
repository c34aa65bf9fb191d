"""Files in which commands tell the console of a daemon how far they have come. Everything here blocks, shortly."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from was_daemon.stores.local.locking import FileLock, try_lock

_PREFIX = "command-"
_EVERY_SECONDS = 1.0
_MOST_BYTES = 4096


@attrs.frozen
class CommandProgress:
    """Progress of a command since `began`, in Unix seconds; `total` is None as long as nobody has counted."""

    command: str
    title: str
    began: float
    done: int = 0
    total: int | None = None


class ProgressFile:
    """The file of this process in `directory`, locked as long as the process lives; nothing without that directory.

    Errors are ignored: a command does its work, whether anybody looks or not.
    """

    def __init__(self, directory: Path, command: str, title: str) -> None:
        self._progress = CommandProgress(command, title, time.time())
        self._next = 0.0
        self._path = directory / f"{_PREFIX}{os.getpid()}"
        self._fd: int | None = None
        with suppress(OSError):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try_lock(self._fd)
            self._write()

    def advance(self) -> None:
        """Count one more file as done."""
        self._progress = attrs.evolve(self._progress, done=self._progress.done + 1)
        if time.monotonic() >= self._next:
            self._write()

    def set_total(self, total: int) -> None:
        """Set the number of files."""
        self._progress = attrs.evolve(self._progress, total=total)
        self._write()

    def close(self) -> None:
        """Remove the file."""
        if self._fd is not None:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
            self._fd = None

    def _write(self) -> None:
        self._next = time.monotonic() + _EVERY_SECONDS
        if self._fd is not None:
            text = json.dumps(attrs.asdict(self._progress)).encode()
            with suppress(OSError):
                os.pwrite(self._fd, text, 0)
                os.ftruncate(self._fd, len(text))


def read_progress(directory: Path) -> list[CommandProgress]:
    """Return the progress of the commands that run; files of those that were killed are removed."""
    try:
        paths = sorted(path for path in directory.iterdir() if path.name.startswith(_PREFIX))
    except OSError:
        return []
    return [progress for path in paths for progress in _read(path)]


def _read(path: Path) -> Iterator[CommandProgress]:
    # One that is gone, or half written, is none at the moment.
    with suppress(OSError, ValueError, TypeError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if try_lock(fd) is FileLock.OURS:
                path.unlink()
                return
            yield CommandProgress(**json.loads(os.read(fd, _MOST_BYTES)))
        finally:
            os.close(fd)
