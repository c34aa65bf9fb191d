"""Names of unfinished uploads at a remote store, which tell the process that began them.

Files at a remote store cannot be locked while they are written. So each store object is an instance with a random id,
which is part of the name of each of its unfinished uploads. On this machine a file with the id as its name stays
locked until the process ends, however it ends. A later process that finds this file unlocked knows that uploads with
that id in their names, and no others, are abandoned; the file lists the directories they are in.
"""

import os
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import attrs

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import AssetError
from was_daemon.stores.local.directories import opened_directory
from was_daemon.stores.local.locking import FileLock, create_locked, try_lock
from was_daemon.stores.local.staging import STALE_SECONDS

_HEX = "[0-9a-f]{32}"
_UPLOAD = f"was-(?P<instance>{_HEX})-{_HEX}"
_INSTANCE = re.compile(_HEX)
_NEW = re.compile(rf"{_HEX}\.new")


@attrs.frozen
class _Ended:
    """Open file of an instance whose process has ended, locked so that no third process removes the uploads as well."""

    path: Path
    fd: int

    def staging_directories(self) -> list[str]:
        """Return the directories in which this instance began uploads; blocks."""
        return self.path.read_text("utf-8").splitlines()

    def forget(self) -> None:
        """Remove and unlock the file; blocks."""
        self.path.unlink(missing_ok=True)
        os.close(self.fd)


class StoreInstance:
    """Id of one store object in the names of its unfinished uploads, and the ids of earlier ones that have ended.

    A staging directory is named as the store names it. Before `register`, and where files in the
    directory given to it cannot be locked, later processes do not recognise this instance: they remove its uploads
    when these are a day old.
    """

    def __init__(self, store: str) -> None:
        """Make an instance of a store; `store` tells it apart from others that use the same directory."""
        self._id = uuid4().hex
        self._store = sha256(store.encode()).hexdigest()[:32]
        self._threads = DiskThreads("instances", subject="spool", size=1)
        self._fd: int | None = None
        self._staging_directories: set[str] = set()
        self._over: set[str] = set()
        self._waiting: list[_Ended] = []

    @property
    def has_ended_instances(self) -> bool:
        """Whether there are ended instances whose staging directories were not cleaned."""
        return bool(self._waiting)

    def new_name(self) -> str:
        """Return a new name for an unfinished upload."""
        return f"was-{self._id}-{uuid4().hex}"

    def is_abandoned(self, name: str, age: float | None, ending: str = "") -> bool:
        """Return whether `name` is that of an abandoned upload, whose `age` is in seconds, if it is known.

        Only names that `new_name` made, in any process, are considered. `ending` is a pattern of what may follow them.
        """
        match = re.fullmatch(_UPLOAD + ending, name)
        if match is None:
            return False
        return match["instance"] in self._over or (age is not None and age > STALE_SECONDS)

    async def register(self, directory: Path) -> None:
        """Lock a file in `directory`, on this machine, and find the instances there that have ended."""
        await self._threads.run(self._register, directory / self._store, frozenset(self._staging_directories))

    def _register(self, directory: Path, staging_directories: frozenset[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._waiting += _ended(directory)
        self._over |= {ended.path.name for ended in self._waiting}
        # Locked before it has its name, so that this process is never taken for one that has ended.
        with opened_directory(directory) as opened:
            name, fd = create_locked(opened, lambda: f"{uuid4().hex}.new")
        new = directory / name
        if try_lock(fd) is FileLock.UNSUPPORTED:
            new.unlink()
            os.close(fd)
            return
        os.write(fd, _lines(staging_directories))
        new.rename(directory / self._id)
        self._fd = fd

    async def begin(self, staging_directory: str) -> None:
        """Note for later processes that uploads are begun in a staging directory."""
        if staging_directory not in self._staging_directories:
            self._staging_directories.add(staging_directory)
            # Uploads in a directory that cannot be noted are found when they are a day old.
            with suppress(AssetError):
                await self._threads.run(self._note, staging_directory)

    def _note(self, staging_directory: str) -> None:
        if self._fd is not None:
            os.write(self._fd, _lines([staging_directory]))

    async def clean(self, sweep: Callable[[str], Awaitable[int]]) -> int:
        """Call `sweep` with each staging directory of ended instances; fire with the sum of its results.

        When `sweep` raises, these instances are kept for the next call.
        """
        waiting, self._waiting = self._waiting, []
        try:
            found = [await self._threads.run(ended.staging_directories) for ended in waiting]
            removed = sum([await sweep(each) for each in sorted({each for listed in found for each in listed})])
        except BaseException:
            self._waiting += waiting
            raise
        for ended in waiting:
            await self._threads.run(ended.forget)
        return removed

    async def close(self) -> None:
        """Unlock the file, but leave it: the next process looks for uploads that could not be removed."""
        await self._threads.close()
        for fd in [self._fd, *(ended.fd for ended in self._waiting)]:
            if fd is not None:
                os.close(fd)
        self._fd, self._waiting = None, []


def _lines(staging_directories: Iterable[str]) -> bytes:
    return "".join(f"{each}\n" for each in staging_directories).encode()


def _ended(directory: Path) -> Iterator[_Ended]:
    """Find and lock the files of instances whose processes have ended; blocks."""
    for path in directory.iterdir():
        if not (_INSTANCE.fullmatch(path.name) or _NEW.fullmatch(path.name)):
            continue
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            # Another process has just forgotten it.
            continue
        ended = _Ended(path, fd)
        if try_lock(fd) is not FileLock.OURS:
            os.close(fd)
        elif _NEW.fullmatch(path.name) or not os.fstat(fd).st_nlink:
            # Killed before it had its name; or forgotten a moment ago.
            ended.forget()
        else:
            yield ended
