"""Requests of SFTP and of OpenSSH's extensions, and transfers with many requests in flight."""

import struct
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from twisted.conch.ssh import filetransfer as ft
from twisted.conch.ssh.common import NS
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from was_daemon.model.errors import AssetNotFound, StoreFailed
from was_daemon.stores.sftp.session import SFTPSession, drop

_BLOCK = 32768
"""Bytes that every server takes in a request (draft-ietf-secsh-filexfer-02, section 3)."""

_IN_FLIGHT = 4 << 20
"""Bytes asked for or sent and not answered yet, at most, in one transfer: 100 MB/s when an answer takes 40 ms."""

_FIRST = 4
"""Requests in flight when a transfer starts; it takes a few round trips to fill a long line."""

_QUEUEING_SECONDS = 0.25
"""When answers take longer, the line is full, and more requests would only hold up other transfers."""

_TIMES = ft.FILEXFER_ATTR_ACMODTIME

Attributes = dict[str, Any]
"""`size`, `mtime`, `permissions`, ... as far as the server tells."""


class SFTPClient(SFTPSession):
    """Requests of one SFTP session. Paths are bytes; the Deferreds fail as `SFTPSession` says."""

    block = _BLOCK
    """Bytes in a request to read or write."""

    def open(self, path: bytes, flags: int) -> Deferred[bytes]:
        """Open a file; fire with its handle."""
        return self._sendRequest(ft.FXP_OPEN, NS(path) + struct.pack("!LL", flags, 0))

    def close(self, handle: bytes) -> Deferred[object]:
        """Close a file."""
        return self._sendRequest(ft.FXP_CLOSE, NS(handle))

    def lstat(self, path: bytes) -> Deferred[Attributes]:
        """Fire with the attributes of a file, of a link the link's own."""
        return self._sendRequest(ft.FXP_LSTAT, NS(path))

    def fstat(self, handle: bytes) -> Deferred[Attributes]:
        """Fire with the attributes of an open file."""
        return self._sendRequest(ft.FXP_FSTAT, NS(handle))

    def set_modified(self, path: bytes, seconds: int) -> Deferred[None]:
        """Set the times of a file, in Unix seconds."""
        # By path: servers, conch's among them, do not all do it by handle.
        return self._sendRequest(ft.FXP_SETSTAT, NS(path) + struct.pack("!LLL", _TIMES, seconds, seconds))

    def remove(self, path: bytes) -> Deferred[object]:
        """Remove a file or a link."""
        return self._sendRequest(ft.FXP_REMOVE, NS(path))

    def make_directory(self, path: bytes) -> Deferred[object]:
        """Make a directory, whose parent exists."""
        return self._sendRequest(ft.FXP_MKDIR, NS(path) + struct.pack("!L", 0))

    def rename(self, old: bytes, new: bytes) -> Deferred[object]:
        """Rename a file. Servers differ in what happens when `new` exists."""
        return self._sendRequest(ft.FXP_RENAME, NS(old) + NS(new))

    def replace(self, old: bytes, new: bytes) -> Deferred[object]:
        """Rename a file over `new`, atomically; needs the extension `posix-rename@openssh.com`."""
        return self._extended(b"posix-rename@openssh.com", NS(old) + NS(new))

    def sync(self, handle: bytes) -> Deferred[object]:
        """Write the file's bytes to disk; needs the extension `fsync@openssh.com`."""
        return self._extended(b"fsync@openssh.com", NS(handle))

    async def free_bytes(self, path: bytes) -> int:
        """Fire with the free bytes of the file system of `path`; needs the extension `statvfs@openssh.com`."""
        answer = await self._extended(b"statvfs@openssh.com", NS(path))
        _bsize, fragment, _blocks, _free, available = struct.unpack_from("!5Q", answer)
        return int(fragment * available)

    async def negotiate(self) -> None:
        """Wait for the server's greeting, and learn how large requests may be."""
        await self.ready
        if b"limits@openssh.com" in self.extensions:
            answer = await self._extended(b"limits@openssh.com", b"")
            _packet, read, write, _handles = struct.unpack_from("!4Q", answer)
            self.block = max(_BLOCK, min(4 * _BLOCK, read or _BLOCK, write or _BLOCK))

    async def entries(self, directory: bytes) -> AsyncGenerator[tuple[bytes, Attributes], None]:
        """Yield the names in a directory, with their attributes; none when it does not exist."""
        try:
            handle = await self._sendRequest(ft.FXP_OPENDIR, NS(directory))
        except AssetNotFound:
            return
        asked: deque[Deferred[list[tuple[bytes, bytes, Attributes]]]] = deque()
        try:
            while True:
                while len(asked) < _FIRST:
                    asked.append(self._sendRequest(ft.FXP_READDIR, NS(handle)))
                for name, _line, attributes in await asked.popleft():
                    yield name, attributes
        except EOFError:
            return
        finally:
            drop([*asked, self.close(handle)])

    async def read(self, handle: bytes, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes [start, stop) of an open file. Raises `StoreFailed` when it ends before."""
        window = _Window(self._clock, _IN_FLIGHT // self.block)
        asked: deque[tuple[int, int, float, Deferred[bytes]]] = deque()
        try:
            while start < stop or asked:
                while start < stop and len(asked) < window.size:
                    length = min(self.block, stop - start)
                    asked.append((start, length, self._clock.seconds(), self._read(handle, start, length)))
                    start += length
                offset, length, since, answer = asked.popleft()
                chunk = await window.answered(answer, since)
                yield chunk
                if len(chunk) < length:
                    # A server may send less than it was asked for; the missing bytes are asked for first.
                    offset, length = offset + len(chunk), length - len(chunk)
                    asked.appendleft((offset, length, self._clock.seconds(), self._read(handle, offset, length)))
        except EOFError:
            raise StoreFailed("the file became shorter while it was read") from None
        finally:
            drop(answer for _, _, _, answer in asked)

    async def write(self, handle: bytes, chunks: AsyncIterator[bytes]) -> int:
        """Write `chunks` from the beginning of an open file; fire with the number of bytes when the server has them."""
        window = _Window(self._clock, _IN_FLIGHT // self.block)
        sent: deque[tuple[float, Deferred[object]]] = deque()
        offset = 0
        try:
            async with aclosing(_regrouped(chunks, self.block)) as blocks:
                async for block in blocks:
                    request = b"".join((NS(handle), struct.pack("!QL", offset, len(block)), block))
                    sent.append((self._clock.seconds(), self._sendRequest(ft.FXP_WRITE, request)))
                    offset += len(block)
                    while len(sent) >= window.size or (sent and sent[0][1].called):
                        since, answer = sent.popleft()
                        await window.answered(answer, since)
            while sent:
                await sent.popleft()[1]
        finally:
            drop(answer for _, answer in sent)
        return offset

    def _extended(self, name: bytes, data: bytes) -> Deferred[Any]:
        return self._sendRequest(ft.FXP_EXTENDED, NS(name) + data)

    def _read(self, handle: bytes, offset: int, length: int) -> Deferred[bytes]:
        return self._sendRequest(ft.FXP_READ, NS(handle) + struct.pack("!QL", offset, length))


class _Window:
    """Number of requests that may be in flight: it grows while answers come soon, and shrinks when they queue."""

    def __init__(self, clock: IReactorTime, most: int) -> None:
        self._clock = clock
        self._most = most
        self.size = _FIRST

    async def answered(self, answer: Deferred[Any], since: float) -> Any:
        """Fire with the answer of a request sent at `since`, and adapt `size` to the time it took."""
        # An answer that is already there says nothing: the reader or writer here is the slower end.
        waited = not answer.called
        result = await answer
        if waited:
            late = self._clock.seconds() - since > _QUEUEING_SECONDS
            self.size = max(_FIRST, self.size - 1) if late else min(self._most, self.size + 1)
        return result


async def _regrouped(chunks: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """Yield `chunks` as blocks of `size` bytes, the last one shorter."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)
