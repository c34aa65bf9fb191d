"""Setup of treq for stores: its pool of connections, without cookies and compression."""

import re
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import attrs
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.logger import Logger, LogPublisher
from twisted.web._newclient import STATUS, HTTP11ClientProtocol, Request
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from was_daemon.stores.http.body import Upload

_CONNECTIONS = 16
"""Idle connections kept to one server."""

_IDLE = 4
"""Seconds for which an idle connection is kept: less than the five after which Apache, as shipped, closes it."""

_BUFFER = 1 << 18
"""Bytes read from or written to a connection at a time: more than Twisted's 64 and 128 KiB, for fewer turns."""

_SILENT = Logger(observer=LogPublisher())


def connection_pool(persistent: bool) -> HTTPConnectionPool:
    """Return a pool of connections to one server, which are kept for the next request if `persistent`."""
    from twisted.internet import reactor

    pool: HTTPConnectionPool = _Pool(reactor, persistent)
    pool.maxPersistentPerHost = _CONNECTIONS
    pool.cachedConnectionTimeout = _IDLE
    # Twisted would repeat a DELETE without telling; `HTTPRemote` repeats more, and tells.
    pool.retryAutomatically = False
    return pool


def client(policy: IPolicyForHTTPS | None, timeout: float, pool: HTTPConnectionPool) -> HTTPClient:
    """Return treq over `pool`, without cookies and compression; `timeout` is the seconds for making a connection."""
    from twisted.internet import reactor

    agent = Agent(reactor, policy or BrowserLikePolicyForHTTPS(), connectTimeout=timeout, pool=pool)
    return HTTPClient(_Uncompressed(agent), IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[])))


def trusted_only(pem: bytes) -> IPolicyForHTTPS:
    """Return a policy that trusts only the certificate authorities in `pem`. Raises ValueError when it holds none."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", pem, re.DOTALL)
    if not blocks:
        raise ValueError("no certificate in PEM format")
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates([Certificate.loadPEM(block) for block in blocks]))


@implementer(IAgent)
@attrs.frozen
class _Uncompressed:
    """Agent without the offer of gzip that treq adds to every request.

    What is encoded all the same is a file that is kept compressed, `a.csv.gz`: those are the bytes of the asset.
    Without the header treq leaves them as they are.
    """

    _agent: Agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803 - Twisted's name
    ) -> Deferred[IResponse]:
        headers = headers.copy() if headers else Headers()
        headers.setRawHeaders("Accept-Encoding", ["identity"])
        answered: Deferred[IResponse] = self._agent.request(method, uri, headers, bodyProducer)
        return answered.addCallback(_as_it_is)


def _as_it_is(response: IResponse) -> IResponse:
    response.headers.removeHeader("Content-Encoding")
    return response


class _Connection(HTTP11ClientProtocol):
    """Connection on which a server may answer before it has the whole upload, and may ask for the upload.

    Twisted's own goes on sending to a server that has answered, and when that server then closes the connection, its
    answer is lost. It ignores "100 Continue", and logs that each time.
    """

    transport: Any
    _latest: Request | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.bufferSize = self.transport.SEND_LIMIT = _BUFFER

    def request(self, request: Request) -> Deferred[IResponse]:
        self._latest = request
        finished = super().request(request)
        if isinstance(request.bodyProducer, Upload) and self._parser and self._responseDeferred:
            self._parser._log = _SILENT
            self._responseDeferred.addCallback(self._answered, request)
        return finished

    def dataReceived(self, data: bytes) -> None:
        asked = self._latest
        super().dataReceived(data)
        # Bytes came that are no answer. At worst they are half of its first line, and the body is sent too early.
        unanswered = asked is self._latest and self._parser and self._parser.state == STATUS
        if unanswered and asked and isinstance(asked.bodyProducer, Upload):
            asked.bodyProducer.invite()

    def _answered(self, response: IResponse, request: Request) -> IResponse:
        # The next request may have been sent already.
        if self._latest is request and self.state.startswith("TRANSMITTING"):
            request.bodyProducer.answer = response
            self._cut()
        return response

    def _finishResponse(self, rest: bytes) -> None:
        # HTTP/1.0 ends a connection after each answer unless both sides keep it (RFC 9112, section 9.3). Twisted
        # would keep it, and find it closed at the next request.
        parser = self._parser
        is_old = parser and parser.response.version[1:] == (1, 0)
        if is_old and parser and self._currentRequest and not _is_kept(parser.connHeaders):
            self._currentRequest.persistent = False
        super()._finishResponse(rest)

    def abort(self) -> Any:
        # A server that hangs would never take part in the TLS close that Twisted waits for.
        closed = super().abort()
        self._cut()
        return closed

    def _cut(self) -> None:
        # The pool keeps connections that the server has closed, and Twisted's TLS cannot abort what is closed.
        if self.state != "CONNECTION_LOST":
            self.transport.abortConnection()


def _is_kept(headers: Headers) -> bool:
    values = headers.getRawHeaders(b"Connection") or []
    return any(value.strip().lower() == b"keep-alive" for value in values)


class _Factory(_HTTP11ClientFactory):
    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> HTTP11ClientProtocol:
        return _Connection(self._quiescentCallback)


class _Pool(HTTPConnectionPool):
    _factory = _Factory
