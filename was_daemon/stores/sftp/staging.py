"""Files on an SFTP server that are being written and are no assets yet.

They lie in `.staging` directories beside the assets. Only files with names that mark them as a daemon's are ever
removed there: no directories, no links, and nothing at all where the directory itself is a link, which may lead
anywhere.
"""

import stat
from collections.abc import Callable
from contextlib import aclosing

import attrs
from twisted.internet.defer import Deferred

from was_daemon.model.errors import AssetNotFound, StoreUnavailable
from was_daemon.stores.sftp.client import Attributes, File, SFTPClient, drop
from was_daemon.stores.sftp.reconnect import Reconnector
from was_daemon.stores.sftp.versions import file_type
from was_daemon.stores.unfinished import UnfinishedUploads

DIRECTORY = ".staging"

_PREFIX = b"was-"
"""Beginning of the names that `UnfinishedUploads` makes."""


@attrs.define
class StagedFile:
    """File being written, which is no asset yet."""

    client: SFTPClient
    path: bytes
    file: File
    _discard: Callable[[], None]
    _open: bool = True

    async def close(self) -> None:
        """Close the file, and leave it there."""
        if self._open:
            self._open = False
            await self.client.close(self.file)

    def discard(self) -> None:
        """Close and remove the file, without waiting for the server."""
        drop([Deferred.fromCoroutine(self.close())])
        self._discard()


class SFTPStaging:
    """Staging directories of one store. Paths and directories are relative to the store's root."""

    def __init__(self, store: str, connections: Reconnector[SFTPClient], path: Callable[[str], bytes]) -> None:
        """Make the staging directories of `store`; `path` returns the path at the server."""
        self._connections = connections
        self._path = path
        self.uploads = UnfinishedUploads(store, self._find, self._remove)

    async def new_path(self, directory: str) -> str:
        """Return the path of a new file in the staging directory `directory`."""
        return await self.uploads.new_path(directory)

    def staged(self, client: SFTPClient, path: str, file: File) -> StagedFile:
        """Return the file at `path`, which is open as `file`."""
        return StagedFile(client, self._path(path), file, lambda: self.uploads.discard(path))

    async def _find(self, directory: str) -> list[tuple[str, float | None]]:
        """Fire with the names and ages of the regular files in a staging directory that a daemon may have made."""
        client, place = await self._connections.get(), self._path(directory)
        try:
            itself = await client.lstat(place)
        except AssetNotFound:
            return []
        if not await _is(stat.S_IFDIR, itself, client, place):
            return []
        # The last change of the directory is not later than now, and of now if this store has just written there.
        now = itself.mtime
        found: list[tuple[str, float | None]] = []
        async with aclosing(client.entries(place)) as entries:
            async for entry in entries:
                name, modified = entry.filename, entry.attrs.mtime
                age = None if now is None or modified is None else now - modified
                if isinstance(name, bytes) and name.startswith(_PREFIX) and await _is_file(client, place + b"/" + name):
                    found.append((name.decode("ascii", "replace"), age))
        return found

    async def _remove(self, path: str) -> bool:
        """Remove a file over the connection that is open; fire with whether the file was there."""
        client = self._connections.connection
        if client is None:
            raise StoreUnavailable("the connection to the store was lost")
        try:
            await client.remove(self._path(path))
        except AssetNotFound:
            return False
        return True


async def _is_file(client: SFTPClient, path: bytes) -> bool:
    """Fire with whether there is a regular file: listings of some servers give links the type of their targets."""
    try:
        return await _is(stat.S_IFREG, await client.lstat(path), client, path)
    except AssetNotFound:
        return False


async def _is(type_: int, attributes: Attributes, client: SFTPClient, path: bytes) -> bool:
    """Fire with whether a file is of a type, or may be, when the server does not tell types and it is no link."""
    told = file_type(attributes)
    return told == type_ if told is not None else not await client.is_link(path)
