"""Requests whose bodies are streams.

Twisted calls a resource when the whole body has arrived. An upload may be larger than the memory, and its first
fields may already show that it is refused, so here the resource is called when the headers are complete, and pulls
the body from `AssetRequest.body`. What it leaves unread is discarded after the answer: a client that still sends would
otherwise see its connection reset instead of the answer.
"""

import time
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, AnyStr, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IDelayedCall, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from was_daemon.httpd.body import Body
from was_daemon.httpd.hardened import HardenedChannel, HardenedRequest
from was_daemon.httpd.leave import OpenConnections
from was_daemon.httpd.limits import ConnectionLimits, Connections, is_proxy
from was_daemon.httpd.ranges import format_date
from was_daemon.httpd.request_ids import id_from, new_id
from was_daemon.httpd.target import BadTarget, resolve
from was_daemon.httpd.traffic import Traffic

_LINGER_SECONDS = 30
"""How long an answered client may go on sending."""

_LEFT_TO_SEND = 1 << 16
"""Bytes of an answer that Twisted holds at most when it is complete."""

_RECEIVED_AT_ONCE = 1 << 20
"""Bytes of a body that are taken from the network at a time, while they come quickly: what is done for each piece costs
more than the bytes. Much memory for little that comes would leave holes in the heap."""

_SENT_AT_ONCE = 1 << 19
"""Bytes of an answer that the network is offered at a time."""

_MAX_HEADERS = 100
_MAX_REQUESTS = 1000
"""Requests on one connection."""


class AssetRequest(HardenedRequest):
    """A request whose body, if it has one, is read from `body`."""

    defaultContentType = b"text/plain; charset=utf-8"

    def __init__(self, channel: "AssetChannel", *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self._site = channel.site
        self.limits = channel.site.limits
        self.body = Body(channel, self.limits)
        self.id = b""
        self.authority = ""
        """The host, maybe with a port, that the request is for; empty when it names none."""
        self.proxies = channel.site.proxies
        self._traffic = channel.site.traffic
        self._begun: float | None = None
        self._answered = False
        self._linger: IDelayedCall | None = None

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """The last header of that name. What is not UTF-8 is no reason to fail: it fits nothing that is expected."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        values = self.requestHeaders.getRawHeaders(key.encode("ascii"))
        return values[-1].decode("utf-8", "replace") if values else None

    def gotLength(self, length: int | None) -> None:
        """The headers are complete: call the resource."""
        if length == 0:
            self.body.end()
            return
        channel = self.channel
        self._begin(channel._command, channel._path, channel._version)
        if self._answered:
            # Nobody is going to read the body that the client offers to send.
            self.requestHeaders.removeHeader(b"Expect")

    def handleContentChunk(self, data: bytes) -> None:
        """Part of the body has arrived."""
        self._traffic.received(len(data))
        if not self.startedWriting:
            self._expect_as_much(len(data))
        self.body.feed(data)

    def _expect_as_much(self, size: int) -> None:
        transport = _descriptor(self.channel)
        if size >= transport.bufferSize:
            transport.bufferSize = min(4 * size, _RECEIVED_AT_ONCE)
        elif size < transport.bufferSize // 4:
            transport.bufferSize = FileDescriptor.bufferSize

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete. One without a body is processed only now."""
        if self.body.complete:
            self._begin(command, path, version)
            return
        self.body.end()
        if self._answered:
            self._stop_lingering()
            self._end()

    def parseCookies(self) -> None:
        """Nothing: nobody sets any, and nobody asks for them."""

    def _begin(self, command: bytes, uri: bytes, version: bytes) -> None:
        """Process the request. On Twisted's way there the query is parsed; here that is left to who needs it."""
        self.method, self.uri, self.clientproto = command, uri, version
        self.path = uri.partition(b"?")[0]
        self.process()

    def process(self) -> None:
        """Call the resource."""
        self._begun = self._traffic.begin()
        self.id = self._named()
        try:
            hosts = self.requestHeaders.getRawHeaders(b"Host", [])
            self.authority, self.path = resolve(self.method, self.uri, hosts, self.clientproto)
        except BadTarget as error:
            self._refuse(str(error).encode())
            return
        if self.path == b"*":
            super().process()
        else:
            self._call(self._site.resource)

    def _call(self, resource: IResource) -> None:
        """Have `resource` answer. It is all of the site, so that nothing has to be looked for, as Twisted would."""
        self.prepath = []
        self.postpath = list(map(unquote_to_bytes, self.path[1:].split(b"/")))
        try:
            self.render(resource)
        except Exception:
            self.processingFailed(Failure())

    def _named(self) -> bytes:
        given = super().getHeader(b"X-Request-Id")
        return id_from(given) if given and is_proxy(_peer(self.channel), self.proxies) else new_id()

    def _refuse(self, text: bytes) -> None:
        self.setResponseCode(400)
        self.setHeader(b"Access-Control-Allow-Origin", b"*")
        self.setHeader(b"Content-Length", b"%d" % len(text))
        self.write(text)
        self.finish()

    @property
    def is_abandoned(self) -> bool:
        """Whether the client is gone, so that nobody is there to be answered."""
        return bool(self._disconnected)

    def write(self, data: bytes) -> None:
        """Send `data`, after the headers that every answer has; nothing once the client is gone."""
        if self.is_abandoned:
            return
        if not self.startedWriting:
            # From here on it is what is held of the answer when the client is slow.
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
        before = self.sentLength
        super().write(data)
        self._traffic.sent(self.sentLength - before)

    def finish(self) -> None:
        """End the answer, and the request as soon as its body is complete."""
        if self.is_abandoned:
            super().finish()
            return
        if not self.startedWriting:
            self.write(b"")
        self.over(self.code)
        if self.body.complete:
            self._end()
            return
        self._answered = True
        self.body.discard()
        self._linger = self.channel.callLater(_LINGER_SECONDS, self.channel.forceAbortClient)

    def _end(self) -> None:
        """The answer and the body are complete."""
        super().finish()
        self._leave_connection()

    def _leave_connection(self) -> None:
        """Let go of the connection, and of what it has not sent.

        The request itself stays in memory until Python's collector comes by: Klein's functions hold it and each other.
        """
        self.transport = None
        self.body.leave()

    def give_up(self) -> None:
        """There is no place any more for the upload that this request is."""
        if self.channel:
            cast(AssetChannel, self.channel).give_up()

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone."""
        self._stop_lingering()
        self.over(self.code, is_whole=False)
        # Here, as there is no connection any more when the producer itself learns of it.
        self.unregisterProducer()
        super().connectionLost(reason)
        self._leave_connection()

    def unregisterProducer(self) -> None:
        """Ask the producer for no more; a second call, or one after the connection was lost, does nothing."""
        if self.producer:
            super().unregisterProducer()

    def over(self, status: int, is_whole: bool = True) -> None:
        """Note that the request was answered, or not wholly; only the first call counts."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self._traffic.end(self, begun, status, is_whole)

    def _stop_lingering(self) -> None:
        if self._linger and self._linger.active():
            self._linger.cancel()


class AssetChannel(HardenedChannel):
    """A connection; even what cannot be parsed gets an answer that clients understand."""

    requestFactory = AssetRequest  # type: ignore[assignment]  # Twisted's is a class, too, of any channel
    maxHeaders = _MAX_HEADERS
    site: "AssetSite"
    counted_by: Connections

    def __init__(self) -> None:
        super().__init__()
        self._headers_due: IDelayedCall | None = None
        self._has_head = False
        self._refused = False
        self._requests = 0

    def connectionMade(self) -> None:
        """Wait for a request, not for ever."""
        super().connectionMade()
        _descriptor(self).SEND_LIMIT = _SENT_AT_ONCE
        self.site.open_connections.opened(self)
        if self.site.is_too_many(self):
            self._refuse(
                b"503 Service Unavailable\r\nRetry-After: 5", b"there are too many connections from this address"
            )
        else:
            self._await_headers()

    def dataReceived(self, data: bytes) -> None:
        """Part of a request has arrived."""
        if self._refused:
            return
        is_idle = not self.requests
        self._has_head = False
        super().dataReceived(data)
        # Most heads arrive in one piece, and need no clock.
        if is_idle and not self._has_head and not self._headers_due and not self._refused:
            self._await_headers()

    def lineReceived(self, line: bytes) -> None:
        """A line of a request's head has arrived."""
        if not self._refused:
            super().lineReceived(line)

    def _await_headers(self) -> None:
        self._headers_due = self.callLater(self.site.limits.header_timeout, self.timeoutConnection)

    def allHeadersReceived(self) -> None:
        """A request's head is complete."""
        self._has_head = True
        self._stop_awaiting_headers()
        if not self._refused:
            super().allHeadersReceived()

    def _stop_awaiting_headers(self) -> None:
        due, self._headers_due = self._headers_due, None
        if due and due.active():
            due.cancel()

    def allContentReceived(self) -> None:
        """A request's body is complete, but maybe its last piece was too late."""
        if not self._refused:
            super().allContentReceived()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Whether another request may follow this one."""
        self._requests += 1
        open_connections = self.site.open_connections
        open_connections.used(self)
        if self._requests < _MAX_REQUESTS and not open_connections.leaving:
            return bool(super().checkPersistence(request, version))
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def timeoutConnection(self) -> None:
        """The client is silent, or too slow."""
        if self.requests and not self.requests[0].startedWriting:
            self._refuse(b"408 Request Timeout", b"the request took too long to arrive")
        else:
            self.loseConnection()

    def give_up(self) -> None:
        """There is no place any more for the request that is arriving."""
        self._refuse(b"503 Service Unavailable\r\nRetry-After: 5", b"too many uploads are under way")

    def loseConnection(self) -> None:
        """Close the connection as soon as the client has what was sent, and some time later in any case."""
        self.setTimeout(None)
        self._abort_after(self.site.limits.seconds_for(_LEFT_TO_SEND))
        super().loseConnection()

    def _abort_after(self, seconds: float) -> None:
        if not self._abortingCall:
            self._abortingCall = self.callLater(seconds, self.forceAbortClient)

    def forceAbortClient(self) -> None:
        """Close the connection now."""
        self._abortingCall = None
        ITCPTransport(self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed."""
        self._stop_awaiting_headers()
        self.site.open_connections.closed(self)
        self.site.forget(self)
        super().connectionLost(reason)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A header, or the request line, is too long."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse(b"400 Bad Request", b"the request is not valid HTTP")

    def _refuse(self, status: bytes, text: bytes) -> None:
        """Answer whatever the client sends, once, and ignore the rest.

        The connection is only half closed: a client that still sends would see a reset instead of the answer.
        """
        if self._refused:
            return
        self._refused = True
        self._stop_awaiting_headers()
        requests, self.requests = self.requests, []
        if not any(request.startedWriting for request in requests):
            self._answer_at_once(requests[0] if requests else None, status, text)
        for request in requests:
            request.connectionLost(Failure(ConnectionAborted()))
        self.setTimeout(None)
        self._abort_after(_LINGER_SECONDS)
        if self.isSecure():
            # TLS takes leave by itself, and waits for the client to do the same.
            super().loseConnection()
        else:
            ITCPTransport(self.transport).loseWriteConnection()

    def _answer_at_once(self, request: AssetRequest | None, status: bytes, text: bytes) -> None:
        number = int(status[:3])
        if request and request.id:
            self._write_answer(status, text, request.id)
            request.over(number)
        else:
            self._write_answer(status, text, new_id())
            self.site.traffic.refused(number)

    def _write_answer(self, status: bytes, text: bytes, request_id: bytes) -> None:
        self.write(
            b"HTTP/1.1 %s\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n"
            b"X-Timestamp: %d\r\n"
            b"X-Content-Type-Options: nosniff\r\n"
            b"X-Request-Id: %s\r\n"
            b"Access-Control-Allow-Origin: *\r\n"
            b"Connection: close\r\n\r\n%s" % (status, len(text), time.time(), request_id, text)
        )


class AssetSite(Site):
    """The factory of connections. `proxies` may open as many as they like."""

    protocol = AssetChannel  # type: ignore[assignment]  # Twisted wraps its own to offer HTTP/2
    requestFactory = AssetRequest
    displayTracebacks = False

    def __init__(
        self,
        resource: IResource,
        limits: ConnectionLimits,
        proxies: Sequence[IPv4Network | IPv6Network] = (),
        traffic: Traffic | None = None,
    ) -> None:
        self.limits = limits
        super().__init__(resource, timeout=self.limits.idle_timeout)
        self.proxies = proxies
        self.traffic = traffic or Traffic()
        self._connections = Connections(self.limits.per_address, proxies)
        self.open_connections = OpenConnections()

    def follow(
        self, resource: IResource, limits: ConnectionLimits, proxies: Sequence[IPv4Network | IPv6Network]
    ) -> None:
        """Have the next requests answered by `resource`, and hold the next connections to `limits`."""
        self.resource = resource
        self.limits = limits
        self.proxies = proxies
        self.timeOut = limits.idle_timeout
        # Those that are open stay counted where they were.
        self._connections = Connections(limits.per_address, proxies)

    def log(self, request: HttpRequest) -> None:
        """Nothing: the traffic knows of the request already, and of those that Twisted does not log."""

    def is_too_many(self, channel: AssetChannel) -> bool:
        """Whether the new connection is one too many of its address."""
        channel.counted_by = self._connections
        return channel.counted_by.opened(_peer(channel)) > 0

    def forget(self, channel: AssetChannel) -> None:
        """Note the end of a connection."""
        channel.counted_by.closed(_peer(channel))


def _peer(channel: HTTPChannel) -> IAddress:
    return cast(IAddress, channel.getPeer())


def _descriptor(channel: HTTPChannel) -> FileDescriptor:
    """The transport, whose sizes can be set; one that speaks TLS ignores them."""
    return cast(FileDescriptor, channel.transport)
