"""Relaying of requests for the console to one of several processes."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, ResponseDone
from twisted.web._newclient import Request as ClientRequest
from twisted.web.client import FileBodyProducer
from twisted.web.http import Request
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from was_daemon.daemon.processes.monitor import Child
from was_daemon.web.console.visitors import FORWARDED, ConsoleRules, visitor_of

_PATIENCE_SECONDS = 30.0
"""Seconds to wait for the beginning of an answer."""

_NOT_FORWARDED = frozenset(
    {b"connection", b"content-length", b"expect", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Headers of the connection between client and parent (RFC 9110, section 7.6.1)."""


class ConsoleRelay:
    """Sends requests to the first process that serves, with what is known of their clients; `rules` are the present.

    Sessions are in the memory of that process: when it is replaced, one has to log in again.
    """

    def __init__(self, children: Sequence[Child], rules: Callable[[], ConsoleRules]) -> None:
        self._children = children
        self._rules = rules

    async def answer(self, request: Request) -> bytes:
        """Answer with what the process answers."""
        child = next((child for child in self._children if child.serves), None)
        if not child:
            request.setResponseCode(503)
            return b"no process answers\n"
        try:
            response = await Deferred.fromCoroutine(self._send(child, request)).addTimeout(_PATIENCE_SECONDS, _clock())
        except Exception:  # whatever keeps it from answering
            request.setResponseCode(502)
            return b"the process does not answer\n"
        request.setResponseCode(response.code)
        for name, values in response.headers.getAllRawHeaders():
            request.responseHeaders.setRawHeaders(name, values)
        if response.length is not UNKNOWN_LENGTH and request.method != b"HEAD":
            request.setHeader(b"Content-Length", b"%d" % response.length)
        body = _Body(request)
        response.deliverBody(body)
        await body.finished
        return b""

    async def _send(self, child: Child, request: Request) -> Any:
        from twisted.internet import reactor

        factory = Factory.forProtocol(HTTP11ClientProtocol)
        factory.noisy = False
        client: Any = await UNIXClientEndpoint(reactor, str(child.admin)).connect(factory)
        headers = Headers(
            {
                name: values
                for name, values in request.requestHeaders.getAllRawHeaders()
                if name.lower() not in _NOT_FORWARDED
            }
        )
        headers.setRawHeaders(FORWARDED, [visitor_of(request, self._rules()).header()])
        if not headers.hasHeader(b"host"):
            headers.setRawHeaders(b"host", [b"localhost"])
        content = request.content.read() if request.content else b""
        body = FileBodyProducer(BytesIO(content)) if content else None
        return await client.request(ClientRequest(request.method, request.uri, headers, body))


class _Body(Protocol):
    """The body of an answer, which the process sends as fast as the client takes it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.finished: Deferred[None] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        """See `Protocol`."""
        self._request.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what has arrived."""
        self._request.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the answer, or cut it off if it has come to no end."""
        # The client may have left, which takes its connection from the request.
        if self._request.channel:
            self._request.unregisterProducer()
            if not reason.check(ResponseDone):
                self._request.channel.forceAbortClient()
        if not self.finished.called:
            self.finished.callback(None)

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport:
            transport.stopProducing()


def _clock() -> IReactorTime:
    from twisted.internet import reactor

    return IReactorTime(reactor)
