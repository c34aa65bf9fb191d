"""Directory tree of a store on an SFTP server: found again when it is mounted, and replaced file by file.

SFTP tells modification times in whole seconds and no inode, so that size and time alone would not tell two quick
versions of one asset apart. Therefore a new version is always given a time later than that of the version it
replaces, or that was deleted a moment ago, if need be one of the next second; size and time then make the etag.
"""

import posixpath
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from twisted.conch.ssh.filetransfer import FXF_CREAT, FXF_EXCL, FXF_WRITE
from twisted.internet.interfaces import IReactorTime

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.reader import asset_stat
from was_daemon.stores.sftp.reconnect import Reconnector
from was_daemon.stores.sftp.rename import remove_old_version, replace, replaces_at_once, restore_old_version
from was_daemon.stores.sftp.session import drop
from was_daemon.stores.sftp.staging import SFTPStaging, StagedFile

T = TypeVar("T")

_DELETED_SECONDS = 60.0
"""Time for which the modification time of a deleted asset is remembered."""

_ROOT_SECONDS = 5.0
"""Time after which a root that was there is looked for again when an asset is not found."""

_NO_ROOT = "the store's directory does not exist"
_NEW_FILE = FXF_WRITE | FXF_CREAT | FXF_EXCL

_LITTLE_SPACE = 1 << 20
"""Free bytes below which a write that failed did so for want of space."""


class SFTPTree:
    """Files below the directory `root` of a server. Paths are relative to it."""

    def __init__(self, store: str, clock: IReactorTime, connections: Reconnector[SFTPClient], root: str) -> None:
        """Make the tree of `store`, which is at `root`; an empty root is the directory of the login."""
        self._clock = clock
        self._root = root.rstrip("/")
        self._locks = KeyLocks[str]()
        self._deleted: dict[str, tuple[int, float]] = {}
        self._staging = SFTPStaging(store, connections, self.path)
        self.uploads = self._staging.uploads
        self._root_seen = -_ROOT_SECONDS

    def path(self, relative: str) -> bytes:
        """Return the path at the server."""
        return posixpath.join(self._root, relative).encode()

    async def find(self, client: SFTPClient, relative: str, look: Callable[[SFTPClient, bytes], Awaitable[T]]) -> T:
        """Fire with the result of `look` at the file; never look between the steps of a replacement.

        Raises `AssetNotFound`, and `StoreUnavailable` when the root is missing.
        """
        path = self.path(relative)
        try:
            if replaces_at_once(client):
                return await look(client, path)
            async with self._locks.exclusive(relative):
                try:
                    return await look(client, path)
                except AssetNotFound:
                    # A daemon may have been killed between the steps.
                    with suppress(StoreFailed):
                        await restore_old_version(client, path)
                    return await look(client, path)
        except AssetNotFound:
            await self._check_root(client)
            raise

    async def _check_root(self, client: SFTPClient) -> None:
        """Raise `StoreUnavailable` when the root is missing: on an unmounted volume no asset can be called missing."""
        now = self._clock.seconds()
        if now < self._root_seen + _ROOT_SECONDS:
            return
        try:
            # The dot follows a link.
            await client.lstat(self.path("."))
        except AssetNotFound:
            raise StoreUnavailable(_NO_ROOT) from None
        self._root_seen = now

    async def stage(self, client: SFTPClient, directory: str) -> StagedFile:
        """Create a file in the staging directory `directory`, which is made when it is missing."""
        path = await self._staging.new_path(directory)
        try:
            handle = await self._with_directory(client, directory, lambda: client.open(self.path(path), _NEW_FILE))
        except BaseException:
            # A cancelled request is carried out all the same: the client closes such a file, but does not remove it.
            drop([client.remove(self.path(path))])
            raise
        self.uploads.sweep_if_due(directory)
        return self._staging.staged(client, path, handle)

    async def _with_directory(self, client: SFTPClient, directory: str, request: Callable[[], Awaitable[T]]) -> T:
        """Fire with the result of `request`; make the directory when it turns out to be missing."""
        try:
            return await request()
        except AssetNotFound:
            parts = directory.split("/")
            for count in range(1, len(parts) + 1):
                # Failure may mean that it exists. The root is not made: when it is missing, so is perhaps a volume.
                with suppress(StoreFailed, AssetNotFound):
                    await client.make_directory(self.path("/".join(parts[:count])))
        try:
            return await request()
        except AssetNotFound:
            raise StoreUnavailable(_NO_ROOT) from None

    async def publish(self, staged: StagedFile, relative: str) -> AssetStat:
        """Move a staged file to its place, when the server has it on disk; fire with its version.

        Cancelling does not stop this half-way.
        """
        if b"fsync@openssh.com" in staged.client.extensions:
            await staged.client.sync(staged.handle)
        return await self._locks.run(relative, lambda: self._publish(staged, relative))

    async def _publish(self, staged: StagedFile, relative: str) -> AssetStat:
        client, path = staged.client, self.path(relative)
        version = await self._date(staged, relative)
        await staged.close()
        await self._with_directory(client, posixpath.dirname(relative), lambda: replace(client, staged.path, path))
        return version

    async def _date(self, staged: StagedFile, relative: str) -> AssetStat:
        """Give the new version a modification time of its own; see the module's text."""
        earliest, _ = self._deleted.get(relative, (0, 0.0))
        with suppress(AssetNotFound):
            earliest = max(earliest, (await staged.client.lstat(self.path(relative))).get("mtime", 0) + 1)
        attributes = await staged.client.fstat(staged.handle)
        if attributes.get("mtime", earliest) < earliest:
            with suppress(StoreFailed):  # a server that cannot: this version's etag may not be its own
                await staged.client.set_modified(staged.path, earliest)
            attributes = await staged.client.fstat(staged.handle)
        return asset_stat(attributes)

    async def delete(self, client: SFTPClient, relative: str, version: AssetStat) -> None:
        """Remove the file, whose latest version was `version`. Raises `AssetNotFound`."""
        async with self._locks.exclusive(relative):
            await remove_old_version(client, self.path(relative))
            await client.remove(self.path(relative))
            now = self._clock.seconds()
            self._deleted = {path: entry for path, entry in self._deleted.items() if entry[1] > now - _DELETED_SECONDS}
            self._deleted[relative] = (int(version.modified) + 1, now)

    async def is_full(self, client: SFTPClient, directory: str) -> bool:
        """Fire with whether the file system of `directory` is known to be full."""
        # SFTP 3 has no code for it: a full disk is a failure like any other.
        if b"statvfs@openssh.com" not in client.extensions:
            return False
        try:
            return await client.free_bytes(self.path(directory)) < _LITTLE_SPACE
        except AssetError:
            return False
