"""Requests and transfers of an SFTP session, by Deferreds."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import asyncssh
from twisted.internet.defer import Deferred

from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.sftp.loop import EventLoop
from was_daemon.stores.sftp.session import REFUSALS, SFTPSession
from was_daemon.stores.sftp.transfers import BATCH, Download, Upload
from was_daemon.stores.sftp.versions import OpenVersion, is_link, look, open_version, write_again

T = TypeVar("T")

Attributes = asyncssh.SFTPAttrs
"""`size`, `mtime`, `permissions`, ... as far as the server tells."""

File = asyncssh.SFTPClientFile
"""Open file of a session."""

_NAMES = 256
"""Names of a directory that leave the event loop at once, at most."""


class SFTPClient:
    """Requests of one SFTP session. Paths are bytes; the Deferreds fail as `SFTPSession` says, and may be cancelled."""

    def __init__(self, loop: EventLoop, session: SFTPSession) -> None:
        self._loop = loop
        self._session = session
        self.can_replace = session.can_replace
        """Whether the server announces that `replace` is possible."""
        self.is_openssh = session.software.startswith("OpenSSH_")
        """Whether the server is OpenSSH's, which does what it announces."""

    @property
    def connected(self) -> bool:
        """Whether the connection is still there."""
        return self._session.alive

    def _ask(self, what: str, request: Callable[[asyncssh.SFTPClient], Awaitable[T]], path: bytes = b"") -> Deferred[T]:
        session = self._session
        return self._loop.call(lambda: session.request(what, lambda: request(session.sftp), path))

    def open(self, path: bytes, flags: int) -> Deferred[File]:
        """Open a file; fire with its handle."""
        return self._loop.call(lambda: self._session.open(path, flags), lambda file: drop([self.close(file)]))

    def open_version(self, path: bytes) -> Deferred[OpenVersion]:
        """Open the regular file at `path`. Fails with `AssetNotFound`."""
        return self._loop.call(lambda: open_version(self._session, path), self.release)

    def release(self, version: OpenVersion) -> None:
        """Close a version that was opened, without waiting for the server."""
        if version.file is not None:
            drop([self.close(version.file)])

    def look(self, path: bytes) -> Deferred[AssetStat]:
        """Fire with the version of the regular file at `path`. Fails with `AssetNotFound`."""
        return self._loop.call(lambda: look(self._session, path))

    def close(self, file: File) -> Deferred[None]:
        """Close a file."""
        return self._ask("close a file (CLOSE)", lambda _: file.close())

    def lstat(self, path: bytes) -> Deferred[Attributes]:
        """Fire with the attributes of a file, of a link the link's own."""
        return self._loop.call(lambda: self._session.lstat(path))

    def set_modified(self, path: bytes, seconds: int) -> Deferred[None]:
        """Set the times of a file, in Unix seconds."""
        # By path: servers do not all do it by handle.
        return self._ask("set the times of a file (SETSTAT)", lambda sftp: sftp.utime(path, (seconds, seconds)), path)

    def write_again(self, path: bytes) -> Deferred[None]:
        """Write the first byte of a file once more, so that the server gives the file the current time."""
        return self._loop.call(lambda: write_again(self._session, path))

    def remove(self, path: bytes) -> Deferred[None]:
        """Remove a file or a link."""
        return self._loop.call(lambda: self._session.remove(path))

    def make_directory(self, path: bytes) -> Deferred[None]:
        """Make a directory, whose parent exists."""
        return self._ask("make a directory (MKDIR)", lambda sftp: sftp.mkdir(path), path)

    def rename(self, old: bytes, new: bytes) -> Deferred[None]:
        """Rename a file. Servers differ in what happens when `new` exists."""
        return self._ask("rename a file (RENAME)", lambda sftp: sftp.rename(old, new), new)

    def replace(self, old: bytes, new: bytes) -> Deferred[None]:
        """Rename a file over `new`, atomically, by an extension of OpenSSH's; fails without it."""
        return self._ask("replace a file (posix-rename)", lambda sftp: sftp.posix_rename(old, new), new)

    def link(self, old: bytes, new: bytes) -> Deferred[None]:
        """Give a file a further name, by an extension of OpenSSH's; fails without it, and when `new` exists."""
        return self._ask("link a file (hardlink)", lambda sftp: sftp.link(old, new), new)

    def sync(self, file: File) -> Deferred[None]:
        """Write the file's bytes to disk, by an extension of OpenSSH's; fails without it."""
        return self._ask("sync a file (fsync)", lambda _: file.fsync())

    async def free_bytes(self, path: bytes) -> int:
        """Fire with the free bytes of the file system of `path`, by an extension of OpenSSH's; fails without it."""
        answer = await self._ask("tell its free space (statvfs)", lambda sftp: sftp.statvfs(path), path)
        return answer.frsize * answer.bavail

    def is_link(self, path: bytes) -> Deferred[bool]:
        """Fire with whether `path` is a link, for servers whose attributes do not tell."""
        return self._loop.call(lambda: is_link(self._session, path))

    async def leads_somewhere(self, path: bytes) -> bool:
        """Fire with whether there is anything at `path`, or where it leads to if it is a link."""
        try:
            await self._ask("look at a directory (STAT)", lambda sftp: sftp.stat(path), path)
        except AssetNotFound:
            return False
        except REFUSALS:
            # Its code for what is missing, or it does not do this.
            return await self.exists(path)
        return True

    def exists(self, path: bytes) -> Deferred[bool]:
        """Fire with whether there is anything at `path`."""
        return self._loop.call(lambda: self._session.exists(path))

    async def entries(self, directory: bytes) -> AsyncGenerator[asyncssh.SFTPName, None]:
        """Yield the names in a directory, with their attributes; none when it does not exist."""
        names = self._session.sftp.scandir(directory)

        async def some() -> list[asyncssh.SFTPName]:
            found: list[asyncssh.SFTPName] = []
            async for name in names:
                found.append(name)
                if len(found) == _NAMES:
                    break
            return found

        try:
            while batch := await self._ask("list a directory (OPENDIR, READDIR)", lambda _: some(), directory):
                for name in batch:
                    yield name
        except AssetNotFound:
            return
        except AssetError:
            if await self.exists(directory):
                raise
        finally:
            drop([self._ask("close a directory (CLOSE)", lambda _: _end(names))])

    async def read(self, file: File, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes [start, stop) of an open file. Raises `StoreFailed` when it ends before."""

        download = Download(self._session, file, start, stop)
        while start < stop:
            for piece in await self._loop.call(download.take):
                start += len(piece)
                yield piece

    async def write(self, file: File, chunks: AsyncIterator[bytes]) -> int:
        """Write `chunks` from the beginning of an open file; fire with the number of bytes when the server has them."""

        upload = Upload(self._session, file)
        batch: list[bytes] = []
        async for chunk in chunks:
            batch.append(chunk)
            if sum(map(len, batch)) >= BATCH:
                await self._loop.call(partial(upload.put, batch))
                batch = []
        await self._loop.call(partial(upload.put, batch))
        return await self._loop.call(upload.end)

    def abort(self) -> None:
        """Close the connection at once; requests under way fail."""
        self._session.abort()


async def _end(names: AsyncIterator[asyncssh.SFTPName]) -> None:
    if isinstance(names, AsyncGenerator):
        await names.aclose()


def drop(answers: Iterable[Deferred[Any]]) -> None:
    """Ignore answers, good or bad. The requests are carried out all the same."""
    for answer in answers:
        answer.addErrback(lambda _: None)
        answer.cancel()
