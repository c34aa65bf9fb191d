"""The SFTP store: assets on any machine with an SSH server, in the layout of the filesystem store.

An upload is written to a `.staging` directory beside the assets, under a name that is marked as this daemon's; names
that start with a dot are never assets. It is moved to its place when the server has all of it on disk.
"""

import posixpath
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import AssetNotFound, BadName, NoSpace, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IMoves, ISizes, IUnfinished
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.places import Place
from was_daemon.stores.plugin import StorePlugin
from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.connecting import open_session
from was_daemon.stores.sftp.listing import files
from was_daemon.stores.sftp.login import SSHLogin
from was_daemon.stores.sftp.loop import EventLoop
from was_daemon.stores.sftp.reader import open_reader
from was_daemon.stores.sftp.reconnect import Reconnector
from was_daemon.stores.sftp.relocation import link, move
from was_daemon.stores.sftp.session import SFTPSession
from was_daemon.stores.sftp.staging import DIRECTORY as STAGING
from was_daemon.stores.sftp.tree import SFTPTree

_PARTING_SECONDS = 2.0
"""Time that a server has to finish its work when the store is closed."""

_TRIAL = b"written and read by the check of the store"
_log = Logger()


def _check_password(options: "SFTPOptions", _attribute: object, value: str | None) -> None:
    if value is not None and options.password_file is not None:
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
    password: str | None = attrs.field(default=None, repr=False, validator=_check_password)
    agent: bool = False
    known_hosts: Path = Path("~/.ssh/known_hosts")
    fingerprint: str | None = None
    layout: Layout = Layout.FLAT
    timeout: float = 30.0

    def place(self) -> Place:
        """Return where the files are; relative paths lead to other directories for other users."""
        begins = "" if self.path.startswith("/") else self.user
        parts = tuple(part for part in posixpath.normpath(self.path).split("/") if part not in ("", "."))
        return Place(("sftp", self.host.lower().rstrip("."), str(self.port), begins), parts)

    def login(self) -> SSHLogin:
        """Return the credentials, the password read from its file. Raises `StoreUnavailable`."""
        password = self.password
        if self.password_file is not None:
            try:
                password = self.password_file.text()
            except (OSError, UnicodeDecodeError) as error:
                _log.error(
                    "the password file {file} cannot be read: {error}", file=str(self.password_file), error=error
                )
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


@implementer(IAssetStore, IMoves, ISizes, IUnfinished)
class SFTPStore:
    """Assets as files below a directory of an SSH server."""

    def __init__(self, options: SFTPOptions) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._options = options
        self._server = f"{options.host}:{options.port}"
        self._layout = options.layout
        self._loop = EventLoop()
        self._connections = Reconnector(self._clock, self._connect, lambda client: client.connected)
        self._tree = SFTPTree(str(self), self._clock, self._connections, options.path)

    def __str__(self) -> str:
        return f"files on {self._server}, by SFTP, in {self._options.path or 'the directory of the login'}"

    async def _connect(self) -> SFTPClient:
        login = self._options.login()
        session = await self._loop.call(lambda: open_session(login, self._options.timeout), SFTPSession.abort)
        return SFTPClient(self._loop, session)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        return await self._tree.find(await self._connections.get(), self._layout.path(key), SFTPClient.look)

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        return await self._tree.find(await self._connections.get(), self._layout.path(key), open_reader)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        client = await self._connections.get()
        directory, depth = posixpath.join(collection, kind.value), 1
        if self._layout is Layout.SHARDED:
            depth = 3
            if len(prefix) >= 4:
                directory, depth = posixpath.dirname(self._layout.path(AssetKey(collection, kind, prefix))), 1
        async with aclosing(files(client, self._tree.path(directory), depth)) as listed:
            async for name, _ in listed:
                if name.startswith(prefix):
                    with suppress(BadName):
                        yield AssetKey(collection, kind, name)

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        client = await self._connections.get()
        directory = self._tree.path(posixpath.join(collection, Kind.ORIGINAL.value))
        async with aclosing(files(client, directory, 3 if self._layout is Layout.SHARDED else 1)) as listed:
            async for _, size in listed:
                if size is None:
                    raise StoreFailed("the store does not tell the sizes of its files")
                yield size

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`. Cancelling in the very last step may come too late to keep the old version."""
        client = await self._connections.get()
        directory = posixpath.join(key.collection, key.kind.value, STAGING)
        staged = await self._tree.stage(client, directory)
        try:
            written = await client.write(staged.file, chunks)
            return await self._tree.publish(staged, self._layout.path(key), written)
        except BaseException as error:
            try:
                # Asked before the file is removed, whose space is free again then.
                is_full = isinstance(error, StoreFailed) and await self._tree.is_full(client, directory)
            finally:
                staged.discard()
            if is_full:
                raise NoSpace("no space left in the store") from error
            raise

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`. SFTP has no means to wait until a deletion is on disk."""
        version = await self.stat(key)
        await self._tree.delete(await self._connections.get(), self._layout.path(key), version)

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        version, client = await self.stat(source), await self._connections.get()
        await move(self._tree, client, self._layout.path(source), self._layout.path(target), version, replace)

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`. Both are one file, which is never written to again."""
        await self.stat(source)
        client = await self._connections.get()
        await link(self._tree, client, self._layout.path(source), self._layout.path(target))

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`."""
        client = await self._connections.get()
        try:
            staged = await self._tree.stage(client, STAGING)
            try:
                await client.write(staged.file, _once(_TRIAL))
                await staged.close()
                reader = await open_reader(client, staged.path)
                try:
                    async with aclosing(reader.read()) as chunks:
                        kept = b"".join([chunk async for chunk in chunks])
                finally:
                    await reader.close()
            finally:
                staged.discard()
        except (AssetNotFound, StoreFailed, NoSpace) as error:
            raise StoreUnavailable(f"the store cannot be written to: {error}", error.reason) from error
        if kept != _TRIAL:
            raise StoreUnavailable("the store does not keep what is written to it")

    async def register(self, directory: Path) -> None:
        """See `IUnfinished`."""
        await self._tree.uploads.register(directory)

    async def clean(self) -> int:
        """See `IUnfinished`."""
        return await self._tree.uploads.clean()

    async def close(self) -> None:
        """See `IAssetStore`."""
        self._connections.close()
        with suppress(DeferredTimeout):
            await Deferred.fromCoroutine(self._tree.uploads.finish()).addTimeout(_PARTING_SECONDS, self._clock)
        client = self._connections.connection
        if client is not None:
            client.abort()
        await self._tree.uploads.close()
        await self._loop.close()


async def _once(chunk: bytes) -> AsyncGenerator[bytes, None]:
    yield chunk


sftp = StorePlugin("sftp", SFTPOptions, SFTPStore)
