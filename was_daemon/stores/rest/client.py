"""Requests to a server whose API is described by templates, and what its answers say."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import attrs
from twisted.logger import Logger

from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.auth import FixedLogin
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.errors import refusal
from was_daemon.stores.http.transport import trusted_only
from was_daemon.stores.http.urls import as_sent
from was_daemon.stores.rest.settings import RestSettings
from was_daemon.stores.rest.templates import Request, Template, Values, absolute, origin
from was_daemon.stores.rest.values import MISSING, Condition, Pointer, any_holds
from was_daemon.telemetry.redaction import without_secrets

_SUCCESS = (200, 201, 202, 203, 204)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5

_ERROR_BYTES = 1 << 16
_MESSAGE_LENGTH = 300


@attrs.frozen(eq=False)
class Reply:
    """Answer whose body was read; `document` is the JSON in it, `MISSING` if it is none."""

    answer: Answer
    document: Any

    @property
    def status(self) -> int:
        """The status."""
        return self.answer.code


class RestClient:
    """Client of the server of a store, and of the servers that it sends the store to."""

    _log = Logger()

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._base = as_sent(settings.url)
        self._own: HTTPRemote | None = None
        self._other: HTTPRemote | None = None
        self._secrets: dict[str, str] = {}
        self._missing = _conditions(settings.missing)
        self._no_results = _conditions(settings.no_results)
        self._failed = _conditions(settings.failed)
        self._message = Pointer(settings.message) if settings.message is not None else None

    # -- requests ------------------------------------------------------------------------------------------------------

    def prepare(self, name: str, variables: Mapping[str, Any], document: Any = MISSING) -> Request:
        """Return the request `name` of the settings for these variables; `document` is what its pointers lead into."""
        self._connect()
        values = Values({**variables, **self._secrets}, document)
        return self._settings.requests[name].fill(values, self._base)

    def text(self, template: str, variables: Mapping[str, Any], encoded: bool = False) -> str:
        """Return a text of the settings with its placeholders filled; if `encoded`, all but secrets percent-encoded."""
        self._connect()
        values = Values({**variables, **self._secrets})
        return Template(template).fill(
            values, lambda name, text: quote(text, "") if encoded and name not in self._secrets else text
        )

    async def send(
        self, request: Request, headers: Mapping[str, str] | None = None, upload: Upload | None = None
    ) -> Answer:
        """Send a request; fire with the answer, whatever its status, whose body is still to be read or closed.

        A GET or HEAD that is redirected to a server that the store may ask is sent there. Login and headers of the
        settings go to the server of the settings only.
        """
        url, body = request.url, upload
        if body is None and request.body is not None:
            body = Upload(request.body)
        extra = dict(headers or {})
        if request.content_type:
            extra["Content-Type"] = request.content_type
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._send_to(request.method, url, extra, body)
            if answer.code not in _REDIRECTS or request.method not in ("GET", "HEAD") or not answer.header("Location"):
                return answer
            await answer.drain()
            url = absolute(url, answer.header("Location") or "")
        raise StoreFailed("the store redirects without an end")

    async def _send_to(self, method: str, url: str, headers: Mapping[str, str], body: Upload | None) -> Answer:
        own, other = self._connect()
        if not self._settings.may_be_asked(url):
            shown = origin(url)
            self._log.error("{store} leads to {shown}, which is not in origins", store=self._settings.url, shown=shown)
            raise StoreFailed("the store leads to another server", f"{shown} is not in origins")
        if origin(url) != origin(self._settings.url):
            return await other.request(method, url, dict(headers), body)
        own_headers = {name: self.text(text, {}) for name, text in self._settings.headers.items()}
        return await own.request(method, url, {**own_headers, **headers}, body)

    # -- answers -------------------------------------------------------------------------------------------------------

    async def ask(
        self, request: Request, headers: Mapping[str, str] | None = None, upload: Upload | None = None
    ) -> Reply:
        """Send a request about one asset; fire with the reply.

        Raises `AssetNotFound` when the reply says so by the condition `missing`, and `StoreFailed` or
        `StoreUnavailable` when it says anything but success.
        """
        reply = await self._reply(request, headers, upload)
        if any_holds(self._missing, reply.status, reply.document):
            raise AssetNotFound("no such asset")
        return self._expect_success(request, reply)

    async def search(self, request: Request) -> Reply | None:
        """Send a request for results; fire with the reply, None when it says by `no_results` that there are none."""
        reply = await self._reply(request)
        if any_holds(self._no_results, reply.status, reply.document):
            return None
        self._expect_success(request, reply)
        if reply.document is MISSING:
            raise StoreFailed("the store gave no proper answer", "its results are no JSON")
        return reply

    async def step(
        self, request: Request, headers: Mapping[str, str] | None = None, upload: Upload | None = None
    ) -> Reply:
        """Send a request of an upload; fire with the reply. Raises `StoreFailed` or `StoreUnavailable`."""
        return self._expect_success(request, await self._reply(request, headers, upload))

    async def _reply(
        self, request: Request, headers: Mapping[str, str] | None = None, upload: Upload | None = None
    ) -> Reply:
        answer = await self.send(request, headers, upload)
        if answer.code in _SUCCESS:
            document = await _json_in(answer)
        else:
            document = await self._error_document(answer)
        return Reply(answer, document)

    async def _error_document(self, answer: Answer) -> Any:
        try:
            return await _json_in(answer, _ERROR_BYTES)
        except AssetError:
            # The status says enough.
            return MISSING

    def _expect_success(self, request: Request, reply: Reply) -> Reply:
        failed = any_holds(self._failed, reply.status, reply.document)
        if reply.status in _SUCCESS and not failed:
            return reply
        said = self._said(reply.document)
        self._log.warn(
            "{method} {url} was answered with {status}{said}",
            method=request.method,
            url=without_secrets(request.url),
            status=reply.status,
            said=f": {said}" if said else "",
        )
        error = refusal(reply.status)
        error.reason = said or f"status {reply.status}"
        raise error

    def _said(self, document: Any) -> str:
        """Return what an answer says of an error, in one line and without secrets; "" if it says nothing."""
        value = MISSING if self._message is None else self._message.find(document)
        if value is MISSING or value is None:
            return ""
        text = " ".join(str(value).split())
        for secret in filter(None, self._secrets.values()):
            text = text.replace(secret, "...")
        return without_secrets(text)[:_MESSAGE_LENGTH]

    # -- connections ---------------------------------------------------------------------------------------------------

    def _connect(self) -> tuple[HTTPRemote, HTTPRemote]:
        """Return the clients for the server of the settings and for all others."""
        if self._own is None or self._other is None:
            settings = self._settings
            try:
                self._secrets = {name: file.text().strip() for name, file in settings.secrets.items()}
                policy = trusted_only(settings.ca_file.read_bytes()) if settings.ca_file else None
                login = settings.login()
            except (OSError, ValueError) as error:
                self._log.error("The files named for {url} are no use: {error}", url=settings.url, error=error)
                raise StoreUnavailable("the store's secret or certificate file cannot be read") from error
            self._own = HTTPRemote(login, settings.timeout, policy)
            self._other = HTTPRemote(FixedLogin(None), settings.timeout, policy)
        return self._own, self._other

    async def close(self) -> None:
        """Close the idle connections."""
        for remote in (self._own, self._other):
            if remote:
                await remote.close()


def _conditions(texts: Iterable[str]) -> list[Condition]:
    return [Condition.parse(text) for text in texts]


async def _json_in(answer: Answer, limit: int = 1 << 24) -> Any:
    """Fire with the JSON document in the body, `MISSING` when it is none. Raises as `Answer.content` does."""
    content = await answer.content(limit)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return MISSING
