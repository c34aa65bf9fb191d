"""Files on an SFTP server that are no assets yet, and what becomes of those that nobody will finish.

They lie in `.staging` directories beside the assets. Only files that a daemon's name marks are ever removed there:
no directories, no links, and nothing at all where the directory itself is a link, which may lead anywhere.
"""

import posixpath
import stat
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from was_daemon.model.errors import AssetNotFound
from was_daemon.stores.instances import Instance
from was_daemon.stores.sftp.client import SFTPClient, drop
from was_daemon.stores.sweeping import Sweeper

DIRECTORY = ".staging"


@attrs.define
class Staged:
    """A file being written, which is no asset yet."""

    client: SFTPClient
    path: bytes
    handle: bytes
    left: set[bytes]
    """Takes the path when the file cannot be removed now."""
    _open: bool = True

    async def close(self) -> None:
        """Close the file; it stays."""
        # The server may give the handle's number to the next file: it must not be closed twice.
        if self._open:
            self._open = False
            await self.client.close(self.handle)

    def discard(self) -> None:
        """Have the file removed, without waiting for the server."""
        drop([Deferred.fromCoroutine(self.close())])
        self.client.remove(self.path).addErrback(self._not_removed)

    def _not_removed(self, failure: Failure) -> None:
        if not failure.check(AssetNotFound):
            self.left.add(self.path)


class SFTPStaging:
    """The staging directories of one store. Directories are relative to the store's root."""

    def __init__(
        self, connect: Callable[[], Awaitable[SFTPClient]], path: Callable[[str], bytes], instance: Instance
    ) -> None:
        """`path` gives the path at the server."""
        self._connect = connect
        self._path = path
        self._instance = instance
        self.sweeper = Sweeper(instance, self._sweep)
        self._left: set[bytes] = set()

    async def new_path(self, directory: str) -> bytes:
        """A path for a new file in the staging directory `directory`."""
        await self._instance.begin(directory)
        return self._path(f"{directory}/{self._instance.new_name()}")

    def staged(self, client: SFTPClient, path: bytes, handle: bytes) -> Staged:
        """The file at `path`, which was opened as `handle`."""
        return Staged(client, path, handle, self._left)

    def tidy(self, client: SFTPClient, directory: str) -> None:
        """The server works: now those files go that could not be removed before, or that nobody will finish."""
        for path in list(self._left):
            self._left.discard(path)
            Staged(client, path, b"", self._left, open=False).discard()
        self.sweeper.tidy(directory)

    async def _sweep(self, directory: str) -> int:
        """Remove the files in a staging directory whose uploads are over; fires with their number."""
        client, place = await self._connect(), self._path(directory)
        try:
            itself = await client.lstat(place)
        except AssetNotFound:
            return 0
        if not stat.S_ISDIR(itself.get("permissions", 0)):
            return 0
        # The last change of the directory is not later than now, and of now if this store has just written there.
        now, found = itself.get("mtime"), []
        async with aclosing(client.entries(place)) as entries:
            async for name, attributes in entries:
                modified = attributes.get("mtime")
                age = None if now is None or modified is None else now - modified
                if self._instance.is_over(name.decode("ascii", "replace"), age):
                    found.append(posixpath.join(place, name))
        return [await self._remove(client, path) for path in found].count(True)

    async def _remove(self, client: SFTPClient, path: bytes) -> bool:
        """Remove a file; fires with whether it was one, and was there."""
        try:
            # In listings some servers tell of links what is true of their targets.
            if not stat.S_ISREG((await client.lstat(path)).get("permissions", 0)):
                return False
            await client.remove(path)
        except AssetNotFound:
            return False
        return True
