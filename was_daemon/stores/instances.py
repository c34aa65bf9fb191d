"""Names in unfinished uploads at a remote store, which tell who began them.

At a remote store nobody can lock what is being written. So each store object has a random name, its instance, which
is in the name of everything that it writes and that is no asset yet. On this machine a file of that name stays locked
until the process ends, however it ends. A later process that finds the file without its lock knows that what carries
the name, and nothing else, is nobody's any more, and reads in the file where to look for it.
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

_STALE_SECONDS = 24 * 3600
"""After so long without a byte an upload is over, whoever began it: nobody sends a single file for a day."""

_HEX = "[0-9a-f]{32}"
_UPLOAD = f"was-(?P<instance>{_HEX})-{_HEX}"
_INSTANCE = re.compile(_HEX)
_NEW = re.compile(rf"{_HEX}\.new")


@attrs.frozen
class _Ended:
    """The file of an instance whose process has ended; open and locked, so that no third process cares for it."""

    path: Path
    fd: int

    def places(self) -> list[str]:
        """Return where uploads of this instance were begun; blocks."""
        return self.path.read_text("utf-8").splitlines()

    def forget(self) -> None:
        """Remove and unlock the file; blocks."""
        self.path.unlink(missing_ok=True)
        os.close(self.fd)


class Instance:
    """The mark of one store object on its unfinished uploads, and what it knows of other such marks.

    A place is whatever the store calls the directory of an unfinished upload. Until `settle`, and where the directory
    given to it knows no locks, no later process recognises this instance: what it leaves goes when it is a day old.
    """

    def __init__(self, store: str) -> None:
        """`store` tells the store apart from others that use the same directory."""
        self._id = uuid4().hex
        self._store = sha256(store.encode()).hexdigest()[:32]
        self._threads = DiskThreads("instances", place="spool", size=1)
        self._fd: int | None = None
        self._places: set[str] = set()
        self._over: set[str] = set()
        self._waiting: list[_Ended] = []

    @property
    def is_waited_for(self) -> bool:
        """Whether there are ended instances whose places were not cleaned."""
        return bool(self._waiting)

    def new_name(self) -> str:
        """Return a new name for an unfinished upload."""
        return f"was-{self._id}-{uuid4().hex}"

    def is_over(self, name: str, age: float | None, ending: str = "") -> bool:
        """Tell whether `name` is that of an upload which nobody will finish; `age` is in seconds, if it is known.

        It is one that `new_name` made, here or elsewhere; `ending` is a pattern of what may have been added to it.
        """
        match = re.fullmatch(_UPLOAD + ending, name)
        if match is None:
            return False
        return match["instance"] in self._over or (age is not None and age > _STALE_SECONDS)

    async def settle(self, directory: Path) -> None:
        """Lock a file in `directory`, on this machine, and find the instances there that have ended."""
        await self._threads.run(self._settle, directory / self._store, frozenset(self._places))

    def _settle(self, directory: Path, places: frozenset[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._waiting += _ended(directory)
        self._over |= {ended.path.name for ended in self._waiting}
        # Locked before it has its name: nobody can take this process for one that has ended.
        with opened_directory(directory) as opened:
            name, fd = create_locked(opened, lambda: f"{uuid4().hex}.new")
        new = directory / name
        if try_lock(fd) is FileLock.UNSUPPORTED:
            new.unlink()
            os.close(fd)
            return
        os.write(fd, _lines(places))
        new.rename(directory / self._id)
        self._fd = fd

    async def begin(self, place: str) -> None:
        """Note that uploads are begun in `place`, for whoever comes after this process."""
        if place not in self._places:
            self._places.add(place)
            # What cannot be noted is found when it is a day old.
            with suppress(AssetError):
                await self._threads.run(self._note, place)

    def _note(self, place: str) -> None:
        if self._fd is not None:
            os.write(self._fd, _lines([place]))

    async def clean(self, sweep: Callable[[str], Awaitable[int]]) -> int:
        """Have `sweep` remove what is over from each place of ended instances; fires with the sum of its results.

        When it raises, these instances wait for the next time.
        """
        waiting, self._waiting = self._waiting, []
        try:
            found = [await self._threads.run(ended.places) for ended in waiting]
            removed = sum([await sweep(place) for place in sorted({place for places in found for place in places})])
        except BaseException:
            self._waiting += waiting
            raise
        for ended in waiting:
            await self._threads.run(ended.forget)
        return removed

    async def close(self) -> None:
        """Give up the lock. The file stays: the next process sees whether anything could not be removed."""
        await self._threads.close()
        for fd in [self._fd, *(ended.fd for ended in self._waiting)]:
            if fd is not None:
                os.close(fd)
        self._fd, self._waiting = None, []


def _lines(places: Iterable[str]) -> bytes:
    return "".join(f"{place}\n" for place in places).encode()


def _ended(directory: Path) -> Iterator[_Ended]:
    """Lock the files of instances whose processes have ended; blocks."""
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
