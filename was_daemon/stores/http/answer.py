"""Responses of HTTP servers to a store's requests."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from was_daemon.model.errors import AssetError, StoreFailed, StoreTimeout
from was_daemon.stores.http.body import Download
from was_daemon.stores.http.errors import BROKEN, details, refusal, translated
from was_daemon.stores.http.progress import Watchdog
from was_daemon.telemetry.redaction import without_secrets


def http_time(text: str | None) -> float | None:
    """Return the Unix seconds of a date as HTTP writes it, or ISO 8601 as some servers do; None when it is none."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, OverflowError):
            return read((text or "").strip()).timestamp()
    return None


@attrs.define(eq=False)
class Answer:
    """Response whose body is still to be read, or to be given up with `close`."""

    code: int
    headers: Headers
    length: int | None
    """Number of bytes in the body; None when the server does not tell it."""
    _request: str
    _download: Download
    _watchdog: Watchdog
    repeated: bool = False
    """Whether the request was sent twice: the first one may have been carried out, and only its answer lost."""
    _log = Logger()

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None

    def expect(self, *codes: int) -> "Answer":
        """Return this answer if its status is one of `codes`; otherwise close it, and raise the store's error."""
        if self.code not in codes:
            self.close()
            # Without its query, which may be a signature.
            location = (self.header("Location") or "").partition("?")[0]
            leads = f", a redirect to {without_secrets(location)}" if location else ""
            self._log.warn(
                "{request} was answered with {code}{leads}", request=self._request, code=self.code, leads=leads
            )
            raise refusal(self.code)
        return self

    async def content(self, limit: int = 1 << 24) -> bytes:
        """Fire with the whole body. Raises as `chunks` does, and `StoreFailed` when it has more than `limit` bytes."""
        content = b""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > limit:
                    raise StoreFailed("the store's answer is too long", f"the answer has more than {limit} bytes")
        return content

    async def json(self, limit: int = 1 << 24) -> Any:
        """Fire with the JSON document in the body. Raises as `content` does, and `StoreFailed` when it is none."""
        document = await self.content(limit)
        try:
            return json.loads(document)
        except ValueError:
            raise StoreFailed("the store gave no proper answer", "the answer is no JSON") from None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body in chunks of at most 1 MiB.

        Raises `StoreUnavailable` when it breaks off, and `StoreTimeout`.
        """
        try:
            async with aclosing(self._download.chunks(self._watchdog)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except StoreTimeout as error:
            self._log.warn("{request} was not answered in full: {error}", request=self._request, error=error)
            raise
        except BROKEN as error:
            self._log.warn("{request} was not answered in full: {error}", request=self._request, error=details(error))
            raise translated(error) from error
        finally:
            self.close()

    async def drain(self, limit: int = 65536) -> "Answer":
        """Read and drop the body, so that the connection can be used again; close it when it is over `limit` bytes.

        Fires with this answer. A body that breaks off is no error: status and headers are there.
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


def answer_to(request: str, response: IResponse, watchdog: Watchdog, cut_off: bool = False) -> Answer:
    """Return the answer to `request` in `response`; when the connection was `cut_off` already, its body is empty."""
    download = Download()
    if cut_off:
        download.connectionLost(Failure(ResponseDone()))
    else:
        response.deliverBody(download)
    length = None if response.length is UNKNOWN_LENGTH else response.length
    return Answer(response.code, response.headers, length, request, download, watchdog)
