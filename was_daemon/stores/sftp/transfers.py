"""Transfers of open files with many requests in flight. Runs in the event loop."""

import asyncio
from collections import deque

import asyncssh

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.sftp.session import SFTPSession, ignore, read, write

_BLOCK = 32768
"""Bytes that every server takes in a request (draft-ietf-secsh-filexfer-02, section 3)."""

_LARGEST_BLOCK = 255 << 10
"""What OpenSSH's server takes with its packet's head; a piece as long as that costs less than eight of 32 KiB."""

_IN_FLIGHT = 4 << 20
"""Bytes asked for or sent and not answered yet, at most, in one transfer: 100 MB/s when an answer takes 40 ms."""

_FIRST = 4
"""Requests in flight when a transfer starts; it takes a few round trips to fill a long line."""

_QUEUEING_SECONDS = 0.25
"""When answers take longer, the line is full, and more requests would only hold up other transfers."""

BATCH = 1 << 20
"""Bytes that enter or leave the event loop at once: it has to wait for its turn."""


class _Window:
    """Number of requests that may be in flight: it grows while answers come soon, and shrinks when they queue."""

    def __init__(self, block: int) -> None:
        self._most = max(_FIRST, _IN_FLIGHT // block)
        self.size = _FIRST

    def answered(self, seconds: float, waited: bool) -> None:
        """Adapt `size` to the time that an answer took; one that nobody waited for says nothing of the line."""
        if waited:
            late = seconds > _QUEUEING_SECONDS
            self.size = max(_FIRST, self.size - 1) if late else min(self._most, self.size + 1)


class Download:
    """Bytes [start, stop) of an open file, in order."""

    def __init__(self, session: SFTPSession, file: asyncssh.SFTPClientFile, start: int, stop: int) -> None:
        self._session = session
        self._file = file
        self._next = start
        self._stop = stop
        self._block = _block(session.sftp.limits.max_read_len)
        self._window = _Window(self._block)
        self._loop = session.loop
        self._asked: deque[tuple[int, int, float, asyncio.Task[bytes]]] = deque()

    async def take(self) -> list[bytes]:
        """Return the next pieces that are there; none at the end. Raises `StoreFailed` when the file is shorter."""
        taken: list[bytes] = []
        size = 0
        self._ask_more()
        while self._asked and (not taken or (self._asked[0][3].done() and size < BATCH)):
            offset, length, since, answer = self._asked.popleft()
            waited = not answer.done()
            piece = await answer
            if not piece:
                raise StoreFailed("the file became shorter while it was read")
            self._window.answered(self._loop.time() - since, waited)
            taken.append(piece)
            size += len(piece)
            if len(piece) < length:
                # A server may send less than it was asked for; the missing bytes are asked for first.
                self._asked.appendleft(self._ask(offset + len(piece), length - len(piece)))
            self._ask_more()
        return taken

    def _ask_more(self) -> None:
        while self._next < self._stop and len(self._asked) < self._window.size:
            length = min(self._block, self._stop - self._next)
            self._asked.append(self._ask(self._next, length))
            self._next += length

    def _ask(self, offset: int, length: int) -> "tuple[int, int, float, asyncio.Task[bytes]]":
        task = asyncio.create_task(read(self._session, self._file, offset, length))
        task.add_done_callback(ignore)
        return offset, length, self._loop.time(), task


class Upload:
    """Bytes written to an open file from its beginning."""

    def __init__(self, session: SFTPSession, file: asyncssh.SFTPClientFile) -> None:
        self._session = session
        self._file = file
        self._block = _block(session.sftp.limits.max_write_len)
        self._window = _Window(self._block)
        self._loop = session.loop
        self._sent: deque[tuple[float, asyncio.Task[int]]] = deque()
        self._waiting = b""
        self._offset = 0

    async def put(self, chunks: list[bytes]) -> None:
        """Send `chunks`; return when there is room for more. Raises what earlier requests have failed with."""
        data = b"".join((self._waiting, *chunks))
        whole = len(data) - len(data) % self._block
        self._waiting = data[whole:]
        for start in range(0, whole, self._block):
            await self._send(data[start : start + self._block])

    async def _send(self, block: bytes) -> None:
        offset = self._offset
        self._offset += len(block)
        task = asyncio.create_task(write(self._session, self._file, offset, block))
        task.add_done_callback(ignore)
        self._sent.append((self._loop.time(), task))
        while len(self._sent) >= self._window.size or (self._sent and self._sent[0][1].done()):
            since, answer = self._sent.popleft()
            waited = not answer.done()
            await answer
            self._window.answered(self._loop.time() - since, waited)

    async def end(self) -> int:
        """Send what is left; return the number of bytes when the server has them all."""
        if self._waiting:
            await self._send(self._waiting)
        while self._sent:
            await self._sent.popleft()[1]
        return self._offset


def _block(limit: int) -> int:
    """Return the bytes in a request to a server that takes `limit`, or does not tell."""
    return max(_BLOCK, min(limit, _LARGEST_BLOCK))
