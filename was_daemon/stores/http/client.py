"""HTTP client for stores: streams both ways, a time-out without progress, and the store's errors.

`HTTPRemote` is treq over a pool of persistent connections. Conveniences of treq that get in a store's way are off:
redirects (they would carry the login elsewhere), cookies, and compression (it changes ETags and lengths).
"""

from typing import Any
from urllib.parse import urlsplit

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import UNKNOWN_LENGTH, IPolicyForHTTPS, IResponse

from was_daemon.model.errors import StoreFailed, StoreTimeout
from was_daemon.stores.http.answer import Answer, answer_to
from was_daemon.stores.http.auth import Login
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.errors import BROKEN, GarbledError, UnansweredError, details, translated
from was_daemon.stores.http.progress import Watchdog
from was_daemon.stores.http.transport import client, connection_pool
from was_daemon.telemetry.redaction import without_secrets

_INVITATION_SECONDS = 1.0
"""Time that a server has to ask for a body that cannot be sent twice: as long as curl waits."""


class HTTPRemote:
    """Client of one server, with a login to it. Raises the store's errors; details for the operator go to the log."""

    _log = Logger()

    def __init__(self, login: Login, timeout: float, policy: IPolicyForHTTPS | None = None) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._login = login
        self._timeout = timeout
        self._invites = True
        self._pool = connection_pool(persistent=True)
        self._kept = client(policy, timeout, self._pool)
        # A request that cannot be repeated is never sent on a connection that the server may just be closing.
        self._fresh = client(policy, timeout, connection_pool(persistent=False))

    @property
    def may_be_challenged(self) -> bool:
        """Whether the server may ask again for a login that it has just accepted, as it does with a nonce."""
        return not self._login.is_lasting

    async def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, upload: Upload | None = None
    ) -> Answer:
        """Send a request; fire with the answer, whatever its status, whose body is still to be read or closed.

        Raises `StoreUnavailable`, `StoreFailed` or `StoreTimeout`, and the errors of the upload's source. A request
        whose connection was lost before any answer, or that has to log in first, is repeated once if its upload can be
        sent twice. An upload that cannot is held back until the server asks for it, if the server supports that.
        """
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lost = challenged = False
        while True:
            authorisation = self._login.authorise(method, target)
            extra = {"Authorization": authorisation} if authorisation else {}
            if upload:
                upload.patience = self._patience_for(upload)
                extra |= {"Expect": "100-continue"} if upload.patience else {}
            try:
                # The second time on a new connection: those that are kept may all have been lost.
                at_once = upload and not upload.is_in_memory and not upload.patience
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
            # Some servers say 403 to strangers, and name no scheme.
            refused = answer.code == 401 or (answer.code == 403 and not authorisation and not offers)
            again = refused and self._login.challenged(offers, authorisation)
            if not again or challenged or not _repeatable(upload):
                return answer
            challenged = True
            await answer.drain()

    async def call(
        self, method: str, url: str, headers: dict[str, str] | None = None, upload: Upload | None = None
    ) -> Answer:
        """Send a request; fire with the answer, whose body has been read and dropped."""
        return await (await self.request(method, url, headers, upload)).drain()

    def _patience_for(self, upload: Upload) -> float | None:
        if upload.is_in_memory or upload.length is UNKNOWN_LENGTH or not self._invites:
            return None
        return min(_INVITATION_SECONDS, self._timeout / 2)

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
                # A server that did not ask for the body is not waited for again.
                self._invites = False
            return answer_to(f"{method} {shown}", response, watchdog)
        except Exception as error:
            if upload and upload.answer:
                if upload.answer.code < 300:
                    raise StoreFailed("the store did not wait for the whole upload") from None
                return answer_to(f"{method} {shown}", upload.answer, watchdog, cut_off=True)
            if isinstance(error, StoreTimeout):
                self._log.warn("{method} {url} failed: {error}", method=method, url=shown, error=error)
            if isinstance(error, StoreTimeout | CancelledError):
                raise
            if upload and upload.error:
                raise upload.error from None
            if not isinstance(error, BROKEN):
                raise
            self._log.warn("{method} {url} failed: {error}", method=method, url=shown, error=details(error))
            raise translated(error) from error

    async def close(self) -> None:
        """Close the idle connections."""
        await self._pool.closeCachedConnections()


def _repeatable(upload: Upload | None) -> bool:
    return upload is None or upload.repeatable
