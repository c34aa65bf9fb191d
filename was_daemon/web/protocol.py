"""Requests whose bodies are streams.

Twisted calls a resource when the whole body has arrived. An upload may be larger than the memory, and its first
fields may already show that it is refused, so here the resource is called when the headers are complete, and pulls
the body from `AssetRequest.body`. What it leaves unread is discarded after the answer: a client that still sends would
otherwise see its connection reset instead of the answer.
"""

import time
from typing import Any, AnyStr

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request, Site

_BUFFERED = 1 << 18
"""Bytes of a body that are held before its sender is made to wait."""

_LINGER_SECONDS = 30
"""How long an answered client may go on sending."""


class Body:
    """The body of one request, as it arrives; the sender waits for whoever reads."""

    def __init__(self, channel: HTTPChannel) -> None:
        self.complete = False
        self._channel = channel
        self._chunks: list[bytes] = []
        self._size = 0
        self._paused = False
        self._discarding = False
        self._reader: Deferred[None] | None = None

    async def read(self) -> bytes:
        """What has arrived and was not read yet, at least one byte; empty at the end."""
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
        self._chunks.append(data)
        self._size += len(data)
        if self._size >= _BUFFERED and not self._paused:
            self._paused = True
            self._network().pauseProducing()
            # It is not the client who is slow now.
            self._channel.setTimeout(None)
        self._wake()

    def end(self) -> None:
        """Note that the body is complete."""
        self.complete = True
        self._wake()

    def discard(self) -> None:
        """Drop what has arrived and what will."""
        self._discarding = True
        self._chunks.clear()
        self._resume()

    def _network(self) -> IPushProducer:
        return IPushProducer(self._channel.transport)

    def _wake(self) -> None:
        if self._reader and not self._reader.called:
            self._reader.callback(None)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._network().resumeProducing()
            if not self.complete:
                self._channel.setTimeout(self._channel.timeOut)


class AssetRequest(Request):
    """A request whose body, if it has one, is read from `body`."""

    defaultContentType = b"text/plain; charset=utf-8"

    def __init__(self, channel: HTTPChannel, *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self.body = Body(channel)
        self._answered = False
        self._linger: IDelayedCall | None = None

    def getRequestHostname(self) -> bytes:
        """A fixed name: routes do not depend on the host, and Klein chokes on hosts that are no domain names."""
        return b"localhost"

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """The last header of that name. What is not UTF-8 is no reason to fail: it fits nothing that is expected."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        values = self.requestHeaders.getRawHeaders(key.encode("ascii"))
        return values[-1].decode("utf-8", "replace") if values else None

    def gotLength(self, length: int | None) -> None:
        """The headers are complete: call the resource."""
        super().gotLength(0)
        if length == 0:
            self.body.end()
            return
        channel = self.channel
        super().requestReceived(channel._command, channel._path, channel._version)
        if self._answered:
            # Nobody is going to read the body that the client offers to send.
            self.requestHeaders.removeHeader(b"Expect")

    def handleContentChunk(self, data: bytes) -> None:
        """Part of the body has arrived."""
        self.body.feed(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete. One without a body is processed only now."""
        if self.body.complete:
            super().requestReceived(command, path, version)
            return
        self.body.end()
        if self._answered:
            self._stop_lingering()
            super().finish()

    def process(self) -> None:
        """Call the resource."""
        hosts = list(self.requestHeaders.getRawHeaders(b"Host", []))
        if len(hosts) > 1 or (not hosts and self.clientproto == b"HTTP/1.1"):
            self._refuse(b"the request needs one Host header")
            return
        if self.path.startswith((b"http://", b"https://")):
            # The form that proxies use (RFC 9112, section 3.2.2).
            self.path = b"/" + self.path.partition(b"://")[2].partition(b"/")[2]
        if self.path == b"*" and self.method != b"OPTIONS":
            # Twisted has an answer of its own for these. This way they find no route, and get ours.
            self.path = b"/*"
        super().process()

    def _refuse(self, text: bytes) -> None:
        self.setResponseCode(400)
        self.setHeader(b"Access-Control-Allow-Origin", b"*")
        self.setHeader(b"Content-Length", b"%d" % len(text))
        self.write(text)
        self.finish()

    def write(self, data: bytes) -> None:
        """Send `data`, after the headers that every answer has."""
        if not self.startedWriting:
            headers = self.responseHeaders
            headers.setRawHeaders(b"Server", [b"was-daemon"])
            headers.setRawHeaders(b"X-Timestamp", [b"%d" % time.time()])
            headers.setRawHeaders(b"X-Content-Type-Options", [b"nosniff"])
            if not self.body.complete:
                headers.setRawHeaders(b"Connection", [b"close"])
                self.channel.persistent = False
        super().write(data)

    def finish(self) -> None:
        """End the answer, and the request as soon as its body is complete."""
        if self.body.complete or self._disconnected:
            super().finish()
            return
        self._answered = True
        if not self.startedWriting:
            self.write(b"")
        self.body.discard()
        self._linger = self.channel.callLater(_LINGER_SECONDS, self.channel.forceAbortClient)

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone."""
        self._stop_lingering()
        super().connectionLost(reason)

    def _stop_lingering(self) -> None:
        if self._linger and self._linger.active():
            self._linger.cancel()


class AssetChannel(HTTPChannel):
    """A connection; even what cannot be parsed gets an answer that clients understand."""

    requestFactory = AssetRequest

    def lineLengthExceeded(self, line: bytes) -> None:
        """A header, or the request line, is too long."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        assert self.transport is not None  # noqa: S101  # something was received
        text = b"the request is not valid HTTP"
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n"
            b"X-Timestamp: %d\r\n"
            b"X-Content-Type-Options: nosniff\r\n"
            b"Access-Control-Allow-Origin: *\r\n"
            b"Connection: close\r\n\r\n%s" % (len(text), time.time(), text)
        )
        self.loseConnection()


class AssetSite(Site):
    """The factory of connections."""

    protocol = AssetChannel  # type: ignore[assignment]  # Twisted wraps its own to offer HTTP/2
    requestFactory = AssetRequest
    displayTracebacks = False
