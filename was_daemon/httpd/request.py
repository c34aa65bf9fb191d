"""Requests whose bodies are streams.

Twisted calls a resource when the whole body has arrived. An upload may be larger than the memory, and its first
fields may already show that it is refused, so here the resource is called when the headers are complete, and reads the
body from `AssetRequest.body`. The part that is left unread is discarded after the answer: a client that still sends
would otherwise see its connection reset instead of the answer.
"""

import time
from http import HTTPStatus
from typing import Any, AnyStr, Protocol, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource

from was_daemon.httpd.body import Body
from was_daemon.httpd.clients import is_proxy
from was_daemon.httpd.hardened import HardenedRequest
from was_daemon.httpd.ranges import format_date
from was_daemon.httpd.request_ids import id_from, new_id
from was_daemon.httpd.site_state import SiteState
from was_daemon.httpd.target import BadTarget, resolve
from was_daemon.model.via import call_for, is_circle

LINGER_SECONDS = 30
"""Seconds for which a client that was answered may go on sending."""

_MAX_READ_BYTES = 1 << 20
"""Bytes of a body that are taken from the network at a time, while they arrive quickly: handling a piece costs more
than its bytes. Much memory for a slow client would leave holes in the heap."""


class RequestConnection(Protocol):
    """The parts of a connection that its requests need beside those of Twisted's `HTTPChannel`.

    `last_received` is when its last bytes arrived, in Unix seconds.
    """

    state: SiteState
    last_received: float

    def give_up(self) -> None:
        """Answer the request that is arriving with 503, and close."""


class AssetRequest(HardenedRequest):
    """A request whose body, if it has one, is read from `body`.

    `id` names it in the log; `authority` is the host, maybe with a port, that it is for, empty when it names none.
    `arrived` is when its head was complete, in Unix seconds. `reason` is why it was refused, for the log;
    `problem` is that, or what the client was told.
    """

    reason = ""
    problem = ""

    defaultContentType = b"text/plain; charset=utf-8"

    def __init__(self, channel: HTTPChannel, *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self._state = cast(RequestConnection, channel).state
        self.limits = self._state.limits
        self.proxies = self._state.proxies
        self.body = Body(channel, self.limits)
        self.id = b""
        self.authority = ""
        self.arrived = 0.0
        self._traffic = self._state.traffic
        self._begun: float | None = None
        self._answered = False
        self._linger: IDelayedCall | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether the client is gone, so that nobody is there to be answered."""
        return bool(self._disconnected)

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """Return the last header of that name; bytes that are not UTF-8 are replaced, and so match nothing expected."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        values = self.requestHeaders.getRawHeaders(key.encode("ascii"))
        return values[-1].decode("utf-8", "replace") if values else None

    def parseCookies(self) -> None:
        """Do nothing: no cookie is ever set or read."""

    def gotLength(self, length: int | None) -> None:
        """Call the resource, as the headers are complete, unless the request has no body."""
        if length == 0:
            self.body.end()
            return
        channel = self.channel
        self._begin(channel._command, channel._path, channel._version)
        if self._answered:
            # Nobody is going to read the body that the client offers to send.
            self.requestHeaders.removeHeader(b"Expect")

    def handleContentChunk(self, data: bytes) -> None:
        """Take a part of the body."""
        self._traffic.received(len(data))
        if not self.startedWriting:
            self._adapt_read_size(len(data))
        self.body.feed(data)

    def _adapt_read_size(self, size: int) -> None:
        transport = _descriptor(self.channel)
        if size >= transport.bufferSize:
            transport.bufferSize = min(4 * size, _MAX_READ_BYTES)
        elif size < transport.bufferSize // 4:
            transport.bufferSize = FileDescriptor.bufferSize

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Note that the request is complete; one without a body is processed only now."""
        if self.body.complete:
            self._begin(command, path, version)
            return
        self.body.end()
        if self._answered:
            self._stop_lingering()
            self._end()

    def _begin(self, command: bytes, uri: bytes, version: bytes) -> None:
        """Process the request. Twisted would parse the query first; here the routes do that."""
        self.method, self.uri, self.clientproto = command, uri, version
        self.path = uri.partition(b"?")[0]
        # A pipelined request may have waited for the answer to the one before.
        self.arrived = cast(RequestConnection, self.channel).last_received
        self.process()

    def process(self) -> None:
        """Check the target and call the resource."""
        self._begun = self._traffic.begin()
        self.id = self._choose_id()
        try:
            hosts = self.requestHeaders.getRawHeaders(b"Host", [])
            self.authority, self.path = resolve(self.method, self.uri, hosts, self.clientproto)
        except BadTarget as error:
            self._refuse(400, str(error).encode())
            return
        if self.path == b"*":
            super().process()
        elif via := b", ".join(self.requestHeaders.getRawHeaders(b"Via", [])):
            self._pass_on(via)
        else:
            self._call(self._state.resource)

    def _pass_on(self, via: bytes) -> None:
        """Call the resource for a request that came by other servers, unless it goes round in a circle."""
        if is_circle(via):
            self._refuse(508, b"asset servers ask each other for this: a store of one is the other")
        else:
            call_for(via, lambda: self._call(self._state.resource))

    def _choose_id(self) -> bytes:
        given = super().getHeader(b"X-Request-Id")
        peer = cast(IAddress, self.channel.getPeer())
        return id_from(given) if given and is_proxy(peer, self.proxies) else new_id()

    def _call(self, resource: IResource) -> None:
        """Have `resource` answer. It is all of the site, so that no child has to be looked up, as Twisted would."""
        self.prepath = []
        self.postpath = list(map(unquote_to_bytes, self.path[1:].split(b"/")))
        try:
            self.render(resource)
        except Exception:
            self.processingFailed(Failure())

    def _refuse(self, status: int, text: bytes) -> None:
        self.setResponseCode(status, HTTPStatus(status).phrase.encode())
        self.setHeader(b"Access-Control-Allow-Origin", b"*")
        self.setHeader(b"Cache-Control", b"no-store")
        self.setHeader(b"Content-Length", b"%d" % len(text))
        self.write(text)
        self.finish()

    def write(self, data: bytes) -> None:
        """Send `data`, after the headers that every answer has; do nothing once the client is gone."""
        if self.is_abandoned:
            return
        if not self.startedWriting:
            self._begin_answer()
        before = self.sentLength
        super().write(data)
        self._traffic.sent(self.sentLength - before)

    def _begin_answer(self) -> None:
        # From here on this is the size of the part of the answer that is held for a slow client.
        _descriptor(self.channel).bufferSize = FileDescriptor.bufferSize
        headers, now = self.responseHeaders, time.time()
        headers.setRawHeaders(b"Server", [b"was-daemon"])
        headers.setRawHeaders(b"Date", [format_date(now).encode()])
        headers.setRawHeaders(b"X-Timestamp", [b"%d" % now])
        headers.setRawHeaders(b"X-Content-Type-Options", [b"nosniff"])
        headers.setRawHeaders(b"X-Request-Id", [self.id])
        if not self.body.complete:
            self.channel.persistent = False
        if not self.channel.persistent:
            headers.setRawHeaders(b"Connection", [b"close"])

    def finish(self) -> None:
        """End the answer, and the request as soon as its body is complete."""
        if self.is_abandoned:
            super().finish()
            return
        if not self.startedWriting:
            self.write(b"")
        self.note_outcome(self.code)
        if self.body.complete:
            self._end()
            return
        self._answered = True
        self.body.discard()
        self._linger = self.channel.callLater(LINGER_SECONDS, self.channel.forceAbortClient)

    def _end(self) -> None:
        """End the request, as the answer and the body are complete."""
        super().finish()
        self._detach()

    def _detach(self) -> None:
        """Drop the references to the connection, and to the bytes that it has not sent.

        The request itself stays in memory until Python's collector runs: Klein's functions hold it and each other.
        """
        self.transport = None
        self.body.detach()

    def give_up(self) -> None:
        """Answer with 503: the place of this upload goes to another."""
        if self.channel:
            cast(RequestConnection, self.channel).give_up()

    def connectionLost(self, reason: Failure) -> None:
        """Note that the client is gone."""
        self._stop_lingering()
        self.note_outcome(self.code, is_whole=False)
        # Done here, as there is no connection any more when the producer itself learns of it.
        self.unregisterProducer()
        super().connectionLost(reason)
        self._detach()

    def unregisterProducer(self) -> None:
        """Ask the producer for no more; a second call, or one after the connection was lost, does nothing."""
        if self.producer:
            super().unregisterProducer()

    def note_outcome(self, status: int, is_whole: bool = True) -> None:
        """Note that the request was answered with `status`, or not wholly; only the first call counts."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self._traffic.end(self, begun, status, is_whole)

    def _stop_lingering(self) -> None:
        if self._linger and self._linger.active():
            self._linger.cancel()


def _descriptor(channel: HTTPChannel) -> FileDescriptor:
    """Return the transport, whose buffer size can be set; one that speaks TLS ignores it."""
    return cast(FileDescriptor, channel.transport)
