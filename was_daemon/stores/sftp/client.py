"""conch's SFTP client with OpenSSH's extensions, the store's errors, a time-out, and many requests in flight."""

import struct
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, cast

from twisted.conch.ssh import filetransfer as ft
from twisted.conch.ssh.common import NS, getNS
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.model.errors import AssetError, AssetNotFound, NoSpace, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.stores.sftp.ssh import Subsystem, SubsystemProtocol

_BLOCK = 32768
"""Bytes that every server takes in a request (draft-ietf-secsh-filexfer-02, section 3)."""

_IN_FLIGHT = 4 << 20
"""Bytes asked for or sent and not answered yet, at most, in one transfer: 100 MB/s when an answer takes 40 ms."""

_FIRST = 4
"""Requests in flight when a transfer starts; it takes a few round trips to fill a long line."""

_QUEUEING = 0.25
"""Seconds: when answers take longer, the line is full, and more requests would only hold up other transfers."""

_MAX_PACKET = 1 << 20

_TIMES = ft.FILEXFER_ATTR_ACMODTIME

# Newer drafts' codes for what SFTP 3 calls a failure; some servers send them all the same.
_NO_SPACE = (14, 15)

Attributes = dict[str, Any]
"""`size`, `mtime`, `permissions`, ... as far as the server tells."""


class SFTPClient(ft.FileTransferClient, SubsystemProtocol):
    """The client end of one SFTP session. Paths are bytes; methods return Deferreds, which may be cancelled.

    They fail with `AssetNotFound`, `StoreUnavailable` (also: permission denied), `NoSpace`, `StoreFailed`, and with
    `StoreTimeout` when the server leaves requests unanswered and nothing moves for `patience` seconds; the connection
    is dropped then. An idle one is tried every `patience` seconds.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, patience: float, server: str) -> None:
        super().__init__()
        self._server = server
        self._clock = clock
        self._patience = patience
        self._alarm: IDelayedCall | None = None
        self._received = bytearray()
        self._problem: AssetError | None = None
        self.ready: Deferred[None] = Deferred()
        self.extensions: dict[bytes, bytes] = {}
        self.block = _BLOCK

    # -- requests ------------------------------------------------------------------------------------------------------

    def open(self, path: bytes, flags: int) -> Deferred[bytes]:
        """Open a file; fires with its handle."""
        return self._sendRequest(ft.FXP_OPEN, NS(path) + struct.pack("!LL", flags, 0))

    def close(self, handle: bytes) -> Deferred[object]:
        return self._sendRequest(ft.FXP_CLOSE, NS(handle))

    def lstat(self, path: bytes) -> Deferred[Attributes]:
        return self._sendRequest(ft.FXP_LSTAT, NS(path))

    def fstat(self, handle: bytes) -> Deferred[Attributes]:
        return self._sendRequest(ft.FXP_FSTAT, NS(handle))

    def set_modified(self, path: bytes, seconds: int) -> Deferred[None]:
        # By path: servers, conch's among them, do not all do it by handle.
        return self._sendRequest(ft.FXP_SETSTAT, NS(path) + struct.pack("!LLL", _TIMES, seconds, seconds))

    def remove(self, path: bytes) -> Deferred[object]:
        return self._sendRequest(ft.FXP_REMOVE, NS(path))

    def make_directory(self, path: bytes) -> Deferred[object]:
        return self._sendRequest(ft.FXP_MKDIR, NS(path) + struct.pack("!L", 0))

    def rename(self, old: bytes, new: bytes) -> Deferred[object]:
        """Servers differ in what happens when `new` exists."""
        return self._sendRequest(ft.FXP_RENAME, NS(old) + NS(new))

    def replace(self, old: bytes, new: bytes) -> Deferred[object]:
        """`rename` that replaces `new`, atomically; needs the extension `posix-rename@openssh.com`."""
        return self._extended(b"posix-rename@openssh.com", NS(old) + NS(new))

    def sync(self, handle: bytes) -> Deferred[object]:
        """Have the file's bytes on disk; needs the extension `fsync@openssh.com`."""
        return self._extended(b"fsync@openssh.com", NS(handle))

    async def free_bytes(self, path: bytes) -> int:
        """Space left where `path` is; needs the extension `statvfs@openssh.com`."""
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
        """The names in a directory, with their attributes; none when it does not exist."""
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
        """The bytes [start, stop) of an open file; `StoreFailed` when it ends before."""
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
                    # A server may send less than it was asked for; what is missing goes first.
                    offset, length = offset + len(chunk), length - len(chunk)
                    asked.appendleft((offset, length, self._clock.seconds(), self._read(handle, offset, length)))
        except EOFError:
            raise StoreFailed("the file became shorter while it was read") from None
        finally:
            drop(answer for _, _, _, answer in asked)

    def _extended(self, name: bytes, data: bytes) -> Deferred[Any]:
        return self._sendRequest(ft.FXP_EXTENDED, NS(name) + data)

    def _read(self, handle: bytes, offset: int, length: int) -> Deferred[bytes]:
        return self._sendRequest(ft.FXP_READ, NS(handle) + struct.pack("!QL", offset, length))

    async def write(self, handle: bytes, chunks: AsyncIterator[bytes]) -> int:
        """Write `chunks` from the beginning of an open file; returns the number of bytes, which the server has."""
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

    # -- the protocol --------------------------------------------------------------------------------------------------

    def gotServerVersion(self, version: int, extensions: dict[bytes, bytes]) -> None:
        self.extensions = extensions
        self.ready.callback(None)

    def _sendRequest(self, kind: int, data: bytes) -> Deferred[Any]:
        number = self.counter

        def abandon(_: Deferred[Any]) -> None:
            late: Deferred[Any] = Deferred()
            opened = kind in (ft.FXP_OPEN, ft.FXP_OPENDIR)
            late.addCallback(self._close_late if opened else lambda _: None).addErrback(lambda _: None)
            self.openRequests[number] = late

        answer: Deferred[Any] = Deferred(abandon)
        if not self.connected:
            answer.errback(self._problem or StoreUnavailable("the connection to the store was lost"))
            return answer
        if not self.openRequests:
            self._set_alarm()
        self.openRequests[number] = answer
        self.counter = (number + 1) & 0xFFFFFFFF
        cast(Subsystem, self.transport).write(b"".join((struct.pack("!LBL", len(data) + 5, kind, number), data)))
        return answer

    def _close_late(self, handle: bytes) -> None:
        drop([self.close(handle)])

    def dataReceived(self, data: bytes) -> None:
        # conch's own copies everything behind a packet for each packet, and logs each.
        self.progressed()
        received = self._received
        received += data
        start, end = 0, len(received)
        with memoryview(received) as view:
            while end - start >= 9:
                length, kind, number = struct.unpack_from("!LBL", received, start)
                if length > _MAX_PACKET:
                    self._give_up(StoreFailed("the store sent something that is no SFTP"))
                    return
                if end - start < 4 + length:
                    break
                if kind == ft.FXP_DATA:
                    self.openRequests.pop(number).callback(bytes(view[start + 13 : start + 4 + length]))
                else:
                    getattr(self, f"packet_{self.packetTypes[kind]}")(bytes(view[start + 5 : start + 4 + length]))
                start += 4 + length
        del received[:start]

    def packet_STATUS(self, data: bytes) -> None:
        answer, data = self._parseRequest(data)
        (code,) = struct.unpack_from("!L", data)
        if code == ft.FX_OK:
            answer.callback(None)
        else:
            answer.errback(self._error(code, getNS(data[4:])[0] if len(data) >= 8 else b""))

    def _error(self, code: int, message: bytes) -> Exception:
        if code == ft.FX_EOF:
            return EOFError()
        if code == ft.FX_NO_SUCH_FILE:
            return AssetNotFound("no such asset")
        self._log.debug("the SFTP server says {code}: {message!r}", code=code, message=message)
        if code == ft.FX_PERMISSION_DENIED:
            return StoreUnavailable("the store denied permission")
        if code in _NO_SPACE or b"no space left" in message.lower():
            return NoSpace("no space left in the store")
        if code == ft.FX_OP_UNSUPPORTED:
            return StoreFailed("the store cannot do what is needed")
        return StoreFailed("the store reported a failure")

    def progressed(self) -> None:
        if self._alarm is not None:
            self._alarm.reset(self._patience)

    def _set_alarm(self) -> None:
        if self._alarm is None:
            self._alarm = self._clock.callLater(self._patience, self._nothing_moved)
        else:
            self._alarm.reset(self._patience)

    def _nothing_moved(self) -> None:
        self._alarm = None
        if self.openRequests:
            self._give_up(StoreTimeout("the store made no progress in time"))
        else:
            drop([self.lstat(b".")])

    def _give_up(self, problem: AssetError) -> None:
        self._problem = problem
        self._log.warn("the connection to {server} is given up: {problem}", server=self._server, problem=problem)
        self.abort()

    def abort(self) -> None:
        """Close the connection at once; requests under way fail."""
        if self.connected:
            cast(Subsystem, self.transport).abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = False
        self._log.info(
            "the connection to {server} ended: {reason}", server=self._server, reason=reason.getErrorMessage()
        )
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        failure = Failure(self._problem) if self._problem else reason
        if not self.ready.called:
            self.ready.errback(failure)
        # Whoever gets the first failure may well drop the other requests: those are others then.
        while self.openRequests:
            self.openRequests.pop(next(iter(self.openRequests))).errback(failure)


class _Window:
    """How many requests may be in flight: more while answers come soon, fewer when they queue."""

    def __init__(self, clock: IReactorTime, most: int) -> None:
        self._clock = clock
        self._most = most
        self.size = _FIRST

    async def answered(self, answer: Deferred[Any], since: float) -> Any:
        """Wait for the answer of a request sent at `since`, and learn from how long it took."""
        # An answer that is already there says nothing: whoever asked is the slower one.
        waited = not answer.called
        result = await answer
        if waited:
            late = self._clock.seconds() - since > _QUEUEING
            self.size = max(_FIRST, self.size - 1) if late else min(self._most, self.size + 1)
        return result


async def _regrouped(chunks: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """`chunks` in blocks of `size` bytes, the last one shorter."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


def drop(answers: Iterable[Deferred[Any]]) -> None:
    """Nobody wants these answers any more, good or bad. The requests are carried out all the same."""
    for answer in answers:
        answer.addErrback(lambda _: None)
        answer.cancel()
