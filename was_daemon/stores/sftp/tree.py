"""Directory tree of a store on an SFTP server: found again when it is mounted, and replaced file by file.

SFTP tells modification times in whole seconds and no inode, so that size and time alone would not tell two quick
versions of one asset apart. Therefore a new version is always given a time later than that of the version it
replaces, or that was deleted a moment ago, if need be one of the next second; size and time then make the etag. Where
the server lets no times be set, the new version is written to once more after that second.
"""

import posixpath
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import asyncssh
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.sftp.client import File, SFTPClient, drop
from was_daemon.stores.sftp.reconnect import Reconnector
from was_daemon.stores.sftp.rename import Replacements
from was_daemon.stores.sftp.session import REFUSALS, Denied, Refused
from was_daemon.stores.sftp.staging import DIRECTORY as STAGING
from was_daemon.stores.sftp.staging import SFTPStaging, StagedFile
from was_daemon.stores.sftp.versions import asset_stat

T = TypeVar("T")

_DELETED_SECONDS = 60.0
"""Time for which the version of a deleted asset is remembered."""

_ROOT_SECONDS = 5.0
"""Time after which a root that was there is looked for again when an asset is not found."""

_NO_ROOT = "the store's directory does not exist"

_CREATE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
_NEW_FILE = (_CREATE | asyncssh.FXF_EXCL, _CREATE | asyncssh.FXF_TRUNC, _CREATE)
"""Flags to open a new file with; servers refuse the first, or the second."""

_REWRITES = 8
_REWRITE_SECONDS = 0.25
"""Attempts to get another time for a version, and the pauses before: a file system may tell times by two seconds."""

_LITTLE_SPACE = 1 << 20
"""Free bytes below which a write that failed did so for want of space."""


class SFTPTree:
    """Files below the directory `root` of a server. Paths are relative to it."""

    _log = Logger()

    def __init__(self, store: str, clock: IReactorTime, connections: Reconnector[SFTPClient], root: str) -> None:
        """Make the tree of `store`, which is at `root`; an empty root is the directory of the login."""
        self._clock = clock
        self._store = store
        self._root = root.rstrip("/") or root[:1]
        self.replacements = Replacements()
        self._new_file: tuple[int, ...] = _NEW_FILE
        self._syncs = True
        self._warned_of_times = False
        self.locks = KeyLocks[str]()
        self._deleted: dict[str, tuple[AssetStat, float]] = {}
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
            if self.replacements.are_at_once(client):
                return await look(client, path)
            async with self.locks.exclusive(relative):
                return await self._find_or_restore(client, path, look)
        except AssetNotFound:
            await self._check_root(client)
            raise

    async def _find_or_restore(
        self, client: SFTPClient, path: bytes, look: Callable[[SFTPClient, bytes], Awaitable[T]]
    ) -> T:
        try:
            return await look(client, path)
        except AssetNotFound as missing:
            # A daemon may have been killed between the steps.
            try:
                await self.replacements.restore_old_version(client, path)
            except REFUSALS:
                raise missing from None
            return await look(client, path)

    async def _check_root(self, client: SFTPClient) -> None:
        """Raise `StoreUnavailable` when the root is missing: on an unmounted volume no asset can be called missing."""
        now = self._clock.seconds()
        if now < self._root_seen + _ROOT_SECONDS:
            return
        # The dot follows a link.
        if not await client.exists(self.path(".")):
            raise StoreUnavailable(_NO_ROOT)
        self._root_seen = now

    async def stage(self, client: SFTPClient, directory: str) -> StagedFile:
        """Create a file in the staging directory `directory`, which is made when it is missing."""
        path = await self._staging.new_path(directory)
        try:
            file = await self.with_directory(client, directory, lambda: self._create(client, self.path(path)))
        except BaseException:
            # A cancelled request is carried out all the same: the client closes such a file, but does not remove it.
            drop([client.remove(self.path(path))])
            raise
        self.uploads.sweep_if_due(directory)
        return self._staging.staged(client, path, file)

    async def _create(self, client: SFTPClient, path: bytes) -> File:
        """Open a new file. Its name is nobody else's, so that the flags matter to the server only."""
        for flags in self._new_file[:-1]:
            with suppress(Refused, Denied):
                file = await client.open(path, flags)
                self._new_file = _NEW_FILE[_NEW_FILE.index(flags) :]
                return file
        return await client.open(path, self._new_file[-1])

    async def with_directory(self, client: SFTPClient, directory: str, request: Callable[[], Awaitable[T]]) -> T:
        """Fire with the result of `request`; make the directory when it turns out to be missing."""
        try:
            return await request()
        except REFUSALS:
            if not await client.leads_somewhere(self.path(directory)):
                await self._make_directory(client, directory)
        # Also when it is there: another upload may have made it since.
        return await request()

    async def _make_directory(self, client: SFTPClient, directory: str) -> None:
        parts = directory.split("/")
        for count in range(1, len(parts) + 1):
            path = self.path("/".join(parts[:count]))
            try:
                await client.make_directory(path)
            except REFUSALS:
                # That is what it says when there is one, too. The root is not made: when it is missing, so is perhaps
                # a volume.
                if not await client.leads_somewhere(path):
                    if await client.exists(self.path(".")):
                        raise
                    raise StoreUnavailable(_NO_ROOT) from None

    async def publish(self, staged: StagedFile, relative: str, size: int) -> AssetStat:
        """Move a staged file of `size` bytes to its place, when the server has it on disk; fire with its version.

        Cancelling does not stop this half-way.
        """
        await self._sync(staged)
        return await self.locks.run(relative, lambda: self._publish(staged, relative, size))

    async def _sync(self, staged: StagedFile) -> None:
        """Have the server write the file to disk, if it is one that does so on request."""
        if not self._syncs:
            return
        try:
            await staged.client.sync(staged.file)
        except (Refused, Denied) as refusal:
            if isinstance(refusal, Refused) and refusal.code == asyncssh.FX_OP_UNSUPPORTED:
                return
            # An empty file tells a server that refuses the request from a disk that failed.
            if await self._syncs_an_empty_file(staged.client):
                raise
            self._syncs = False
            self._log.warn("{store} does not confirm that files are on its disk", store=self._store)

    async def _syncs_an_empty_file(self, client: SFTPClient) -> bool:
        empty = await self.stage(client, STAGING)
        try:
            await client.sync(empty.file)
        except REFUSALS:
            return False
        finally:
            empty.discard()
        return True

    async def _publish(self, staged: StagedFile, relative: str, size: int) -> AssetStat:
        client, path = staged.client, self.path(relative)
        await staged.close()
        version = await self._date(staged, relative)
        if version.size != size:
            raise StoreFailed("the store did not keep all that was written")
        directory = posixpath.dirname(relative)
        try:
            await self.with_directory(client, directory, lambda: self.replacements.replace(client, staged.path, path))
        except REFUSALS:
            # No two versions are the same: this one is there, whatever the server says.
            if not await client.exists(path) or asset_stat(await client.lstat(path)) != version:
                raise
        return version

    async def _date(self, staged: StagedFile, relative: str) -> AssetStat:
        """Give the new version a modification time of its own; see the module's text."""
        client, path = staged.client, self.path(relative)
        before = [self._deleted[relative][0]] if relative in self._deleted else []
        with suppress(AssetNotFound):
            before.append(asset_stat(await client.lstat(path)))
        earliest = max((int(version.modified) + 1 for version in before), default=0)
        try:
            attributes = await client.lstat(staged.path)
            if (attributes.mtime or earliest) < earliest:
                with suppress(*REFUSALS):
                    await client.set_modified(staged.path, earliest)
                attributes = await client.lstat(staged.path)
            if attributes.mtime is None:
                return asset_stat(attributes)
            return await self._rewrite_until_new(staged, asset_stat(attributes), {version.etag for version in before})
        except AssetNotFound:
            raise StoreFailed("the store did not keep what was written") from None

    async def _rewrite_until_new(self, staged: StagedFile, version: AssetStat, taken: set[str]) -> AssetStat:
        """Have the server give the staged file another time as long as its etag is one of `taken`.

        Servers that set no times on request do so when a file is written. Empty versions have one content.
        """
        attempts = _REWRITES if version.size else 0
        while version.etag in taken and attempts:
            attempts -= 1
            await deferLater(self._clock, _REWRITE_SECONDS)
            with suppress(*REFUSALS):
                await staged.client.write_again(staged.path)
            version = asset_stat(await staged.client.lstat(staged.path))
        if version.etag in taken and version.size and not self._warned_of_times:
            self._warned_of_times = True
            self._log.warn(
                "{store} gives files no new times: of two versions of an asset that have one size, clients may take "
                "the second for the first",
                store=self._store,
            )
        return version

    async def delete(self, client: SFTPClient, relative: str, version: AssetStat) -> None:
        """Remove the file, whose latest version was `version`. Raises `AssetNotFound`."""
        async with self.locks.exclusive(relative):
            await self.replacements.remove_old_version(client, self.path(relative))
            await client.remove(self.path(relative))
            self.remember_deleted(relative, version)

    def remember_deleted(self, relative: str, version: AssetStat) -> None:
        """Note that the version at a path is gone, so that the next one gets a later time."""
        now = self._clock.seconds()
        self._deleted = {path: entry for path, entry in self._deleted.items() if entry[1] > now - _DELETED_SECONDS}
        self._deleted[relative] = (version, now)

    async def is_full(self, client: SFTPClient, directory: str) -> bool:
        """Fire with whether the file system of `directory` is known to be full."""
        # SFTP 3 has no code for it: a full disk is a failure like any other.
        try:
            return await client.free_bytes(self.path(directory)) < _LITTLE_SPACE
        except AssetError:
            return False
