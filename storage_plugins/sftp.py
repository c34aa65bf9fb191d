"""The SFTP store: assets on any machine with an SSH server, in the layout of the filesystem store.

What is being written lies in a `.staging` directory beside the assets, under a name that is marked as this daemon's;
names that start with a dot are never assets. It is moved to its place when the server has all of it on disk.

SFTP tells modification times in whole seconds and no inode, so that size and time alone would not tell two quick
versions of one asset apart. Therefore a new version is always given a time later than that of the version it
replaces, or that was deleted a moment ago, if need be one of the next second; size and time then make the etag.
"""

import posixpath
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TypeVar

import attrs
from twisted.conch.ssh.filetransfer import FXF_CREAT, FXF_EXCL, FXF_READ, FXF_WRITE
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import (
    AssetError,
    AssetNotFound,
    BadName,
    NoSpace,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
)
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, ISizes, IUnfinished
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.instances import Instance
from was_daemon.stores.plugin import StorePlugin
from was_daemon.stores.sftp.client import Attributes, SFTPClient, drop
from was_daemon.stores.sftp.reconnect import Reconnector
from was_daemon.stores.sftp.rename import forget, put_back, replace, replaces
from was_daemon.stores.sftp.ssh import SSHLogin, open_subsystem
from was_daemon.stores.sftp.staging import DIRECTORY as STAGING
from was_daemon.stores.sftp.staging import SFTPStaging, Staged

T = TypeVar("T")

log = Logger()

_NO_SHARDS = (b".", b"..", STAGING.encode())

_RECENT = 60.0
"""Seconds for which the time of a deleted asset is remembered."""

_ROOT_TRUST = 5.0
"""Seconds for which a root that was there is taken to be still there when an asset is not found."""

_PARTING = 2.0
"""Seconds a server may take to finish what it was asked for when the store is closed."""

_NO_ROOT = "the store's directory does not exist"

_TRIAL = b"written and read by the check of the store"

_NEW_FILE = FXF_WRITE | FXF_CREAT | FXF_EXCL

_LITTLE_SPACE = 1 << 20
"""Bytes: with less than this free, a write that failed did so for want of space."""


def _asset_stat(attributes: Attributes) -> AssetStat:
    if not stat.S_ISREG(attributes.get("permissions", stat.S_IFREG)):
        raise AssetNotFound("no such asset")
    size, modified = attributes.get("size", 0), attributes.get("mtime", 0)
    return AssetStat(size, float(modified), f"{modified:x}-{size:x}")


@implementer(IAssetReader)
class SFTPReader:
    """An open file at the far end. Deleting or replacing it leaves the open version readable."""

    def __init__(self, client: SFTPClient, handle: bytes, asset: AssetStat) -> None:
        self.stat = asset
        self._client = client
        self._handle = handle
        self._open = True

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        self._check_open()
        end = self.stat.size if stop is None else min(stop, self.stat.size)
        async with aclosing(self._client.read(self._handle, start, end)) as chunks:
            async for chunk in chunks:
                yield chunk
                # The server may have given the handle's number to another file by now.
                self._check_open()

    def _check_open(self) -> None:
        if not self._open:
            raise StoreFailed("the asset is not open any more")

    async def close(self) -> None:
        """See `IAssetReader`. Does not wait for the server."""
        if self._open:
            self._open = False
            drop([self._client.close(self._handle)])


@implementer(IAssetStore, ISizes, IUnfinished)
class SFTPStore:
    """Assets as files below a directory of an SSH server."""

    def __init__(self, options: "SFTPOptions") -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._options = options
        self._server = f"{options.host}:{options.port}"
        self._root = options.path.rstrip("/") if options.path != "/" else ""
        self._layout = options.layout
        self._timeout = options.timeout
        self._connections = Reconnector(self._clock, self._connect, lambda client: bool(client.connected))
        self._locks = KeyLocks[bytes]()
        self._deleted: dict[bytes, tuple[int, float]] = {}
        self._staging = SFTPStaging(self._connections.get, self._path, Instance(str(self)))
        self._root_seen = -_ROOT_TRUST

    def __str__(self) -> str:
        return f"files on {self._server}, by SFTP, in {self._options.path or 'the directory of the login'}"

    async def _connect(self) -> SFTPClient:
        client = SFTPClient(self._clock, self._timeout, self._server)
        opening = Deferred.fromCoroutine(open_subsystem(self._clock, self._options.login(), b"sftp", client))
        try:
            await opening.addTimeout(self._timeout, self._clock)
            await client.negotiate()
        except DeferredTimeout:
            log.warn("{server} did not answer in time", server=self._server)
            raise StoreTimeout("the store did not answer in time") from None
        except BaseException:
            client.abort()
            raise
        return client

    def _path(self, relative: str) -> bytes:
        return (f"{self._root}/{relative}" if self._root else relative).encode()

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        client, path = await self._connections.get(), self._path(self._layout.path(key))
        return await self._find(client, path, lambda: self._stat(client, path))

    async def _stat(self, client: SFTPClient, path: bytes) -> AssetStat:
        return _asset_stat(await client.lstat(path))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        client, path = await self._connections.get(), self._path(self._layout.path(key))
        return await self._find(client, path, lambda: self._open(client, path))

    async def _open(self, client: SFTPClient, path: bytes) -> SFTPReader:
        # Looking first keeps links from leading out of the store; both requests make one trip.
        looked, opened = client.lstat(path), client.open(path, FXF_READ)
        try:
            _asset_stat(await looked)
        except BaseException:
            drop([opened.addCallback(client.close)])
            raise
        handle = await opened
        try:
            return SFTPReader(client, handle, _asset_stat(await client.fstat(handle)))
        except BaseException:
            drop([client.close(handle)])
            raise

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        client = await self._connections.get()
        directory, depth = posixpath.join(collection, kind.value), 1
        if self._layout is Layout.SHARDED:
            depth = 3
            if len(prefix) >= 4:
                directory, depth = posixpath.dirname(self._layout.path(AssetKey(collection, kind, prefix))), 1
        async with aclosing(self._files(client, self._path(directory), depth)) as files:
            async for name, _ in files:
                if name.startswith(prefix):
                    with suppress(BadName):
                        yield AssetKey(collection, kind, name)

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        client = await self._connections.get()
        directory = self._path(posixpath.join(collection, Kind.ORIGINAL.value))
        async with aclosing(self._files(client, directory, 3 if self._layout is Layout.SHARDED else 1)) as files:
            async for _, size in files:
                if size is None:
                    raise StoreFailed("the store does not tell the sizes of its files")
                yield size

    async def _files(
        self, client: SFTPClient, directory: bytes, depth: int
    ) -> AsyncGenerator[tuple[str, int | None], None]:
        """The names of the files `depth` levels below `directory`, with their sizes if the server tells them."""
        wanted = stat.S_IFREG if depth == 1 else stat.S_IFDIR
        async with aclosing(client.entries(directory)) as entries:
            async for entry, attributes in entries:
                # A shard may begin with a dot; an asset may not.
                if entry in _NO_SHARDS or (depth == 1 and entry.startswith(b".")):
                    continue
                if stat.S_IFMT(attributes.get("permissions", wanted)) != wanted:
                    continue
                if depth == 1:
                    with suppress(UnicodeDecodeError):
                        yield entry.decode(), attributes.get("size")
                else:
                    async with aclosing(self._files(client, directory + b"/" + entry, depth - 1)) as files:
                        async for file in files:
                            yield file

    async def _find(self, client: SFTPClient, path: bytes, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` returns; where replacing takes several steps, never in between, nor after a crash there."""
        try:
            if replaces(client):
                return await attempt()
            async with self._locks.exclusive(path):
                try:
                    return await attempt()
                except AssetNotFound:
                    with suppress(StoreFailed):
                        await put_back(client, path)
                    return await attempt()
        except AssetNotFound:
            await self._check_root(client)
            raise

    async def _check_root(self, client: SFTPClient) -> None:
        """Where the root is missing, say so: on a volume that is not mounted nobody knows which assets exist."""
        now = self._clock.seconds()
        if now < self._root_seen + _ROOT_TRUST:
            return
        try:
            # The dot follows a link.
            await client.lstat(self._path("."))
        except AssetNotFound:
            raise StoreUnavailable(_NO_ROOT) from None
        self._root_seen = now

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`. Cancelling in the very last step may come too late to keep the old version."""
        client = await self._connections.get()
        directory = posixpath.join(key.collection, key.kind.value, STAGING)
        staged = await self._stage(client, directory)
        try:
            await client.write(staged.handle, chunks)
            if b"fsync@openssh.com" in client.extensions:
                await client.sync(staged.handle)
            relative = self._layout.path(key)
            return await self._locks.run(self._path(relative), lambda: self._publish(staged, relative))
        except BaseException as error:
            try:
                # Asked before the file is removed, whose space is free again then.
                is_full = isinstance(error, StoreFailed) and await self._is_full(client, self._path(directory))
            finally:
                staged.discard()
            if is_full:
                raise NoSpace("no space left in the store") from error
            raise

    async def _stage(self, client: SFTPClient, directory: str) -> Staged:
        path = await self._staging.new_path(directory)
        try:
            handle = await self._with_directory(client, directory, lambda: client.open(path, _NEW_FILE))
        except BaseException:
            # A cancelled request is carried out all the same: the client closes such a file, but does not remove it.
            drop([client.remove(path)])
            raise
        self._staging.tidy(client, directory)
        return self._staging.staged(client, path, handle)

    async def _with_directory(self, client: SFTPClient, directory: str, request: Callable[[], Awaitable[T]]) -> T:
        """What `request` returns; where the directory turns out to be missing, it is made."""
        try:
            return await request()
        except AssetNotFound:
            parts = directory.split("/")
            for count in range(1, len(parts) + 1):
                # Failure may mean that it exists. The root is not made: when it is missing, so is perhaps a volume.
                with suppress(StoreFailed, AssetNotFound):
                    await client.make_directory(self._path("/".join(parts[:count])))
        try:
            return await request()
        except AssetNotFound:
            raise StoreUnavailable(_NO_ROOT) from None

    async def _publish(self, staged: Staged, relative: str) -> AssetStat:
        client, path = staged.client, self._path(relative)
        asset = await self._date(staged, path)
        await staged.close()
        await self._with_directory(client, posixpath.dirname(relative), lambda: replace(client, staged.path, path))
        return asset

    async def _date(self, staged: Staged, path: bytes) -> AssetStat:
        """Give the new version a time of its own; see the module's text."""
        earliest, _ = self._deleted.get(path, (0, 0.0))
        with suppress(AssetNotFound):
            earliest = max(earliest, (await staged.client.lstat(path)).get("mtime", 0) + 1)
        attributes = await staged.client.fstat(staged.handle)
        if attributes.get("mtime", earliest) < earliest:
            with suppress(StoreFailed):  # a server that cannot: this version's etag may not be its own
                await staged.client.set_modified(staged.path, earliest)
            attributes = await staged.client.fstat(staged.handle)
        return _asset_stat(attributes)

    async def _is_full(self, client: SFTPClient, directory: bytes) -> bool:
        # SFTP 3 has no word for it: a full disk is a failure like any other.
        if b"statvfs@openssh.com" not in client.extensions:
            return False
        try:
            return await client.free_bytes(directory) < _LITTLE_SPACE
        except AssetError:
            return False

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`. SFTP has no means to wait until a deletion is on disk."""
        modified = (await self.stat(key)).modified
        client, path = await self._connections.get(), self._path(self._layout.path(key))
        async with self._locks.exclusive(path):
            await forget(client, path)
            await client.remove(path)
            now = self._clock.seconds()
            self._deleted = {other: entry for other, entry in self._deleted.items() if entry[1] > now - _RECENT}
            self._deleted[path] = (int(modified) + 1, now)

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`."""
        client = await self._connections.get()
        try:
            staged = await self._stage(client, STAGING)
            try:
                await client.write(staged.handle, _once(_TRIAL))
                await staged.close()
                written = self._staging.staged(client, staged.path, await client.open(staged.path, FXF_READ))
                async with aclosing(client.read(written.handle, 0, len(_TRIAL))) as chunks:
                    kept = b"".join([chunk async for chunk in chunks])
                await written.close()
            finally:
                staged.discard()
        except (AssetNotFound, StoreFailed, NoSpace) as error:
            raise StoreUnavailable("the store cannot be written to") from error
        if kept != _TRIAL:
            raise StoreUnavailable("the store does not keep what is written to it")

    async def settle(self, directory: Path) -> None:
        """See `IUnfinished`."""
        await self._staging.sweeper.settle(directory)

    async def clean(self) -> int:
        """See `IUnfinished`."""
        return await self._staging.sweeper.clean()

    async def close(self) -> None:
        """See `IAssetStore`."""
        self._staging.sweeper.cancel()
        self._connections.close()
        client = self._connections.connection
        if client is not None:
            # The answer to one more request says that those before it, like the removal of a staging file, are done.
            with suppress(AssetError, DeferredTimeout):
                await client.lstat(b".").addTimeout(_PARTING, self._clock)
            client.abort()
        await self._staging.sweeper.close()


async def _once(chunk: bytes) -> AsyncGenerator[bytes, None]:
    yield chunk


def _needed(instance: "SFTPOptions", _attribute: object, value: str | None) -> None:
    if value is not None and instance.password_file is not None:
        raise ValueError("give password or password_file, not both")


@attrs.frozen
class SFTPOptions:
    """`[stores.NAME]` with `plugin = "sftp"`.

    The login uses `identity_file`, the keys of the SSH `agent`, and the password, whichever are given. The server's key
    is looked up in `known_hosts` unless its `fingerprint` ("SHA256:...", as ssh-keygen -l prints it) is given.
    `path` is relative to where the login starts unless it begins with a slash; it must exist. `timeout` is in seconds
    without progress.
    """

    host: str
    user: str
    path: str = ""
    port: int = 22
    identity_file: SecretFile | None = None
    password_file: SecretFile | None = None
    password: str | None = attrs.field(default=None, repr=False, validator=_needed)
    agent: bool = False
    known_hosts: Path = Path("~/.ssh/known_hosts")
    fingerprint: str | None = None
    layout: Layout = Layout.FLAT
    timeout: float = 30.0

    def login(self) -> SSHLogin:
        """Reads the password's file; raises `StoreUnavailable`."""
        password = self.password
        if self.password_file is not None:
            try:
                password = self.password_file.expanduser().read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                log.error("the password file {file} cannot be read: {error}", file=str(self.password_file), error=error)
                raise StoreUnavailable("the password for the store cannot be read") from error
        return SSHLogin(
            host=self.host,
            user=self.user,
            port=self.port,
            identity_file=self.identity_file,
            password=password,
            agent=self.agent,
            known_hosts=self.known_hosts,
            fingerprint=self.fingerprint,
        )


sftp = StorePlugin("sftp", SFTPOptions, SFTPStore)
