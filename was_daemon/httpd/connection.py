"""Connections: their time limits, and the answers to input that is no request."""

import time
from typing import cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IDelayedCall, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from was_daemon.httpd.address_counts import AddressCounts
from was_daemon.httpd.hardened import HardenedChannel
from was_daemon.httpd.request import LINGER_SECONDS, AssetRequest
from was_daemon.httpd.request_ids import new_id
from was_daemon.httpd.site_state import SiteState

_LEFT_TO_SEND = 1 << 16
"""Bytes of an answer that Twisted holds at most when it is complete."""

_MAX_SEND_BYTES = 1 << 19
"""Bytes of an answer that the network is offered at a time."""

_MAX_HEADERS = 100
_MAX_REQUESTS = 1000
"""Requests on one connection."""

_UNAVAILABLE = b"503 Service Unavailable\r\nRetry-After: 5"


class AssetChannel(HardenedChannel):
    """A connection; even input that cannot be parsed gets an answer that clients understand."""

    requestFactory = AssetRequest
    maxHeaders = _MAX_HEADERS
    state: SiteState
    _address_counts: AddressCounts

    def __init__(self) -> None:
        super().__init__()
        self.last_received = 0.0
        self._is_resuming = False
        self._headers_due: IDelayedCall | None = None
        self._has_head = False
        self._refused = False
        self._requests = 0

    def connectionMade(self) -> None:
        """Wait for a request, for a limited time; refuse a connection that is one too many of its address."""
        super().connectionMade()
        # A transport that speaks TLS ignores it.
        cast(FileDescriptor, self.transport).SEND_LIMIT = _MAX_SEND_BYTES
        self.state.open_connections.opened(self)
        self._address_counts = self.state.address_counts
        if self._address_counts.opened(self._peer()):
            self._refuse(_UNAVAILABLE, b"there are too many connections from this address")
        else:
            self._await_headers()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note that the connection is closed."""
        self._stop_awaiting_headers()
        self.state.open_connections.closed(self)
        self._address_counts.closed(self._peer())
        super().connectionLost(reason)

    def _peer(self) -> IAddress:
        return cast(IAddress, self.getPeer())

    def dataReceived(self, data: bytes) -> None:
        """Take a part of a request."""
        if self._refused:
            return
        if not self._is_resuming:
            self.last_received = time.time()
        is_idle = not self.requests
        self._has_head = False
        super().dataReceived(data)
        # Most heads arrive in one piece, and need no timer.
        if is_idle and not self._has_head and not self._headers_due and not self._refused:
            self._await_headers()

    def setLineMode(self, extra: bytes = b"") -> None:
        """Go on with the next request; `extra` arrived while the answer to the one before was made."""
        self._is_resuming = True
        try:
            super().setLineMode(extra)
        finally:
            self._is_resuming = False

    def lineReceived(self, line: bytes) -> None:
        """Take a line of a request's head."""
        if not self._refused:
            super().lineReceived(line)

    def _await_headers(self) -> None:
        self._headers_due = self.callLater(self.state.limits.header_timeout, self.timeoutConnection)

    def allHeadersReceived(self) -> None:
        """Begin a request, whose head is complete."""
        self._has_head = True
        self._stop_awaiting_headers()
        if not self._refused:
            super().allHeadersReceived()

    def _stop_awaiting_headers(self) -> None:
        due, self._headers_due = self._headers_due, None
        if due and due.active():
            due.cancel()

    def allContentReceived(self) -> None:
        """End the body of a request, unless its last piece was too late."""
        if not self._refused:
            super().allContentReceived()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Return whether another request may follow this one."""
        self._requests += 1
        open_connections = self.state.open_connections
        open_connections.used(self)
        if self._requests < _MAX_REQUESTS and not open_connections.draining:
            return bool(super().checkPersistence(request, version))
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Send the head of an answer in one piece; Twisted would look at each of some sixty."""
        lines = [b" ".join((version, code, reason))]
        lines += [b"%s: %s" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
        self.write(b"\r\n".join((*lines, b"", b"")))

    def timeoutConnection(self) -> None:
        """Refuse the request of a client that is silent or too slow, or close the connection between requests."""
        if self.requests and not self.requests[0].startedWriting:
            self._refuse(b"408 Request Timeout", b"the request took too long to arrive")
        else:
            self.loseConnection()

    def give_up(self) -> None:
        """Refuse the request that is arriving: its place goes to another upload."""
        self._refuse(_UNAVAILABLE, b"too many uploads are under way")

    def loseConnection(self) -> None:
        """Close the connection as soon as the client has all that was sent, and after some time in any case."""
        self.setTimeout(None)
        self._abort_after(self.state.limits.seconds_for(_LEFT_TO_SEND))
        super().loseConnection()

    def _abort_after(self, seconds: float) -> None:
        if not self._abortingCall:
            self._abortingCall = self.callLater(seconds, self.forceAbortClient)

    def forceAbortClient(self) -> None:
        """Close the connection now."""
        self._abortingCall = None
        ITCPTransport(self.transport).abortConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a header or a request line that is too long."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse(b"400 Bad Request", b"the request is not valid HTTP")

    def _refuse(self, status: bytes, text: bytes) -> None:
        """Answer once, whatever the client sends, and ignore the rest.

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
        self._abort_after(LINGER_SECONDS)
        if self.isSecure():
            # TLS closes in two steps by itself: it tells the client, and waits for its answer.
            super().loseConnection()
        else:
            ITCPTransport(self.transport).loseWriteConnection()

    def _answer_at_once(self, request: AssetRequest | None, status: bytes, text: bytes) -> None:
        number = int(status[:3])
        if request and request.id:
            self.write(_refusal(status, text, request.id))
            request.note_outcome(number)
        else:
            self.write(_refusal(status, text, new_id()))
            self.state.traffic.refused(number)


def _refusal(status: bytes, text: bytes, request_id: bytes) -> bytes:
    """Return a whole answer; `status` is the status line without the version, and may be followed by headers."""
    return (
        b"HTTP/1.1 %s\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\n"
        b"X-Timestamp: %d\r\n"
        b"X-Content-Type-Options: nosniff\r\n"
        b"X-Request-Id: %s\r\n"
        b"Access-Control-Allow-Origin: *\r\n"
        b"Cache-Control: no-store\r\n"
        b"Connection: close\r\n\r\n%s" % (status, len(text), time.time(), request_id, text)
    )
