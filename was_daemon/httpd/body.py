"""The body of a request, as a stream."""

import time
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import HTTPChannel

from was_daemon.httpd.limits import ConnectionLimits

_BUFFERED = 1 << 18
"""Bytes of a body that are held before its client is paused."""


class Body:
    """The body of one request, as it arrives; the client is paused while nobody reads.

    A client that sends more slowly than `limits` allow is disconnected, however steadily its bytes arrive.
    """

    def __init__(self, channel: HTTPChannel, limits: ConnectionLimits) -> None:
        self.complete = False
        self._channel = channel
        self._limits = limits
        self._chunks: list[bytes] = []
        self._size = 0
        self._received = 0
        self._begin = time.monotonic()
        self._paused: float | None = None
        self._discarding = False
        self._reader: Deferred[None] | None = None

    async def read(self) -> bytes:
        """Fire with the bytes that have arrived and were not read yet, at least one; empty at the end."""
        if not self._chunks and not self.complete:
            self._reader = Deferred()
            await self._reader
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._resume()
        return data

    def feed(self, data: bytes) -> None:
        """Take bytes from the network."""
        if self._discarding:
            return
        self._received += len(data)
        if self._paused is None and time.monotonic() - self._begin > self._limits.seconds_for(self._received):
            self._channel.timeoutConnection()
            return
        self._chunks.append(data)
        self._size += len(data)
        self._wake()
        if self._size >= _BUFFERED and self._paused is None:
            self._paused = time.monotonic()
            self._network().pauseProducing()
            # The time until the body is read on is not the client's.
            self._channel.setTimeout(None)

    def end(self) -> None:
        """Note that the body is complete."""
        self.complete = True
        self._wake()

    def discard(self) -> None:
        """Drop the bytes that have arrived, and all that follow."""
        self._discarding = True
        self._chunks.clear()
        self._resume()

    def detach(self) -> None:
        """Drop the reference to the connection and the bytes that have arrived: nobody reads on."""
        self._chunks.clear()
        self._paused = None
        del self._channel

    def _network(self) -> IPushProducer:
        return cast(IPushProducer, self._channel.transport)

    def _wake(self) -> None:
        if self._reader and not self._reader.called:
            self._reader.callback(None)

    def _resume(self) -> None:
        if self._paused is None:
            return
        self._begin += time.monotonic() - self._paused
        self._paused = None
        self._network().resumeProducing()
        if not self.complete:
            self._channel.setTimeout(self._channel.timeOut)
