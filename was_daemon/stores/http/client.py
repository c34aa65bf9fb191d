"""An HTTP client for stores: bodies are streams both ways, a stalled server is noticed, and errors are the store's.

`HTTPRemote` is treq over a pool of persistent connections. Those conveniences of treq that get in a store's way are
off: redirects (they would carry the login elsewhere), cookies, and compression (it changes ETags and lengths).
"""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import attrs
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError, RequestNotSent
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IPolicyForHTTPS, IResponse

from was_daemon.model.errors import AssetError, NoSpace, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.stores.http.auth import Login
from was_daemon.stores.http.body import Download, Upload
from was_daemon.stores.http.progress import Watchdog
from was_daemon.stores.http.transport import client, connection_pool
from was_daemon.telemetry.redaction import without_secrets

_PATIENCE = 1.0
"""Seconds a server has to ask for a body that cannot be sent twice: what curl gives it."""

_REFUSALS: dict[int, AssetError] = {
    401: StoreUnavailable("the store refused the login"),
    403: StoreUnavailable("the store denied permission"),
    408: StoreUnavailable("the store gave up on the request"),
    413: NoSpace("the store takes no file of this size"),
    423: StoreUnavailable("the asset is locked in the store"),
    429: StoreUnavailable("the store is overloaded"),
    502: StoreUnavailable("the store cannot be reached"),
    503: StoreUnavailable("the store is not available at the moment"),
    504: StoreUnavailable("the store cannot be reached"),
    507: NoSpace("no space left in the store"),
}


def refusal(code: int) -> AssetError:
    """The store's error for the status of a response that is no success."""
    known = _REFUSALS.get(code)
    if known:
        return type(known)(*known.args)
    return StoreFailed(
        "the store answered with a redirect" if 300 <= code < 400 else "the store answered with an error"
    )


def http_time(text: str | None) -> float | None:
    """Unix seconds of a date as HTTP writes it; None when it is none."""
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except ValueError:
        return None


@attrs.define(eq=False)
class Answer:
    """A response whose body is still to be read, or to be given up with `close`."""

    code: int
    headers: Headers
    length: int | None
    """Bytes in the body; None when the server does not say."""
    _request: str
    _download: Download
    _watchdog: Watchdog
    repeated: bool = False
    """Whether the request went out twice: the first one may have done its work, and only its answer was lost."""
    _log = Logger()

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None

    def expect(self, *codes: int) -> "Answer":
        """This answer; if its status is none of `codes`, it is closed and the store's error raised."""
        if self.code not in codes:
            self.close()
            self._log.warn("{request} was answered with {code}", request=self._request, code=self.code)
            raise refusal(self.code)
        return self

    async def content(self, limit: int = 1 << 24) -> bytes:
        """The body as a whole; raises as `chunks` does, and `StoreFailed` when it has more than `limit` bytes."""
        content = b""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > limit:
                    raise StoreFailed("the store's answer is too long")
        return content

    async def json(self, limit: int = 1 << 24) -> Any:
        """What the body says in JSON; raises as `content` does, and `StoreFailed` when it is none."""
        document = await self.content(limit)
        try:
            return json.loads(document)
        except ValueError:
            raise StoreFailed("the store gave no proper answer") from None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, in chunks of at most 1 MiB. `StoreUnavailable` when it breaks off, `StoreTimeout`."""
        try:
            async with aclosing(self._download.chunks(self._watchdog)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except StoreTimeout as error:
            self._log.warn("{request} was not answered in full: {error}", request=self._request, error=error)
            raise
        except _BROKEN as error:
            details = _details(error)
            self._log.warn("{request} was not answered in full: {error}", request=self._request, error=details)
            raise translated(error) from error
        finally:
            self.close()

    async def drain(self, limit: int = 65536) -> "Answer":
        """Read and forget the body, so that the connection can be used again; give it up when it is over `limit`.

        A body that breaks off is no error: status and headers are there.
        """
        with suppress(AssetError):
            async with aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    limit -= len(chunk)
                    if limit < 0:
                        break
        return self

    def close(self) -> None:
        """Release the connection, also in the middle of the body."""
        self._download.close()


class HTTPRemote:
    """One server, and the login to it. Errors are the store's; what an operator should know goes to the log."""

    _log = Logger()

    def __init__(self, login: Login, timeout: float, policy: IPolicyForHTTPS | None = None) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._login = login
        self._timeout = timeout
        self._invites = True
        self._pool = connection_pool(persistent=True)
        self._kept = client(policy, timeout, self._pool)
        # What cannot be repeated is never sent on a connection that the server may just be closing.
        self._fresh = client(policy, timeout, connection_pool(persistent=False))

    @property
    def may_be_challenged(self) -> bool:
        """Whether a login that the server took a moment ago may be asked for again, as those with a nonce are."""
        return not self._login.lasting

    async def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, upload: Upload | None = None
    ) -> Answer:
        """The server's answer, whatever its status; the body is still to be read or closed.

        Raises `StoreUnavailable`, `StoreFailed` or `StoreTimeout`, and what the upload's source raised. A request
        whose connection was lost before any answer, or that has to log in first, is repeated once if it can be. An
        upload that could not is held back until the server has seen the rest of the request, if it takes part in that.
        """
        target = urlsplit(url).path
        lost = challenged = False
        while True:
            authorisation = self._login.authorise(method, target)
            extra = {"Authorization": authorisation} if authorisation else {}
            if upload:
                upload.patience = self._patience(upload)
                extra |= {"Expect": "100-continue"} if upload.patience else {}
            try:
                # The second time on a new connection: those that are kept may all have been lost.
                at_once = upload and not upload.held and not upload.patience
                connections = self._fresh if lost or at_once else self._kept
                answer = await self._send(connections, method, url, (headers or {}) | extra, upload)
            except (UnansweredError, GarbledError):
                if lost or not _repeatable(upload):
                    raise
                lost = True
                continue
            answer.repeated = lost
            if answer.code == 417 and upload and upload.patience and upload.repeatable:
                self._invites = False
                continue
            offers = answer.headers.getRawHeaders("WWW-Authenticate") or []
            again = self._login.challenged(offers, authorisation) if answer.code == 401 else False
            if not again or challenged or not _repeatable(upload):
                return answer
            challenged = True
            await answer.drain()

    async def call(
        self, method: str, url: str, headers: dict[str, str] | None = None, upload: Upload | None = None
    ) -> Answer:
        """`request`, for answers of which only status and headers matter."""
        return await (await self.request(method, url, headers, upload)).drain()

    def _patience(self, upload: Upload) -> float | None:
        if upload.held or upload.length is UNKNOWN_LENGTH or not self._invites:
            return None
        return min(_PATIENCE, self._timeout / 2)

    async def _send(
        self, connections: HTTPClient, method: str, url: str, headers: dict[str, str], upload: Upload | None
    ) -> Answer:
        watchdog = Watchdog(self._clock, self._timeout)
        shown = without_secrets(url)
        if upload:
            upload.watchdog = watchdog
        # treq's types know the header dictionaries of bytes and str, and no dict is both.
        fields: Any = headers
        sent: Deferred[IResponse] = connections.request(  # type: ignore[assignment]  # treq's response is a proxy of it
            method, url, headers=fields, data=upload, allow_redirects=False, unbuffered=True
        )
        try:
            response = await watchdog.guard(sent)
            if upload and upload.patience and upload.size and not upload.invited:
                # One that lets us wait in vain is not waited for again.
                self._invites = False
            return _answer(f"{method} {shown}", response, watchdog)
        except Exception as error:
            if upload and upload.answer:
                if upload.answer.code < 300:
                    raise StoreFailed("the store did not wait for the whole upload") from None
                return _answer(f"{method} {shown}", upload.answer, watchdog, cut_off=True)
            if isinstance(error, StoreTimeout):
                self._log.warn("{method} {url} failed: {error}", method=method, url=shown, error=error)
            if isinstance(error, StoreTimeout | CancelledError):
                raise
            if upload and upload.error:
                raise upload.error from None
            if not isinstance(error, _BROKEN):
                raise
            self._log.warn("{method} {url} failed: {error}", method=method, url=shown, error=_details(error))
            raise translated(error) from error

    async def close(self) -> None:
        """Close the idle connections."""
        await self._pool.closeCachedConnections()


def _repeatable(upload: Upload | None) -> bool:
    return upload is None or upload.repeatable


class UnansweredError(StoreUnavailable):
    """The connection was lost before the server said anything."""


class GarbledError(StoreFailed):
    """The answer is no HTTP: wsgidav, for one, answers a HEAD with a body, which comes before the next answer."""


_BROKEN = (
    ConnectError,
    DNSLookupError,
    ConnectionLost,
    ConnectionDone,
    RequestNotSent,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)
"""What Twisted raises when a request comes to no good end."""


def translated(error: Exception) -> Exception:
    """The store's error for one of Twisted's."""
    causes = list(_causes(error))
    if any(isinstance(cause, SSL.Error | CertificateError | VerificationError) for cause in causes):
        return StoreUnavailable("no trusted connection to the store can be made")
    if isinstance(error, RequestNotSent | RequestTransmissionFailed | ResponseNeverReceived):
        return UnansweredError("the connection to the store was lost")
    if isinstance(error, ConnectError | DNSLookupError):
        return StoreUnavailable("the store cannot be reached")
    if any(isinstance(cause, ParseError) for cause in causes):
        return GarbledError("the store gave no proper answer")
    return StoreUnavailable("the connection to the store was lost")


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    for reason in getattr(error, "reasons", None) or []:
        yield from _causes(reason.value)


def _details(error: Exception) -> str:
    return " < ".join(f"{type(cause).__name__} {cause}" for cause in _causes(error) if not hasattr(cause, "reasons"))


def _answer(request: str, response: IResponse, watchdog: Watchdog, cut_off: bool = False) -> Answer:
    """The answer to `request` in `response`; when the connection was `cut_off` already, its body is empty."""
    download = Download()
    if cut_off:
        download.connectionLost(Failure(ResponseDone()))
    else:
        response.deliverBody(download)
    length = None if response.length is UNKNOWN_LENGTH else response.length
    return Answer(response.code, response.headers, length, request, download, watchdog)
