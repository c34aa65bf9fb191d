"""Answers with an asset: headers, conditions, ranges, and bytes at the speed of the client."""

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from was_daemon.httpd.ranges import (
    Unsatisfiable,
    format_date,
    has_changed,
    is_unchanged,
    last_modified,
    parse_range,
    range_applies,
)
from was_daemon.httpd.request import AssetRequest
from was_daemon.library.redirects import AssetUrl, OpenAsset
from was_daemon.library.text_types import text_sample
from was_daemon.model.charset import text_type
from was_daemon.model.errors import OtherVersion, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.model.media import content_disposition, runs_scripts
from was_daemon.web.answers import text_answer
from was_daemon.web.caching import NO_STORE

P = ParamSpec("P")
Route = Callable[Concatenate[Any, AssetRequest, P], Awaitable[bytes]]

_ATTEMPTS = 3
_SMALL = 1 << 16
"""Bytes of an asset up to which it is sent in one go: the connection takes them in any case."""

_CONDITIONS = ("Range", "If-Match", "If-Unmodified-Since")
"""Headers that nginx would check against the file it finds, which may be a later version."""


def retry_when_replaced(route: Route[P]) -> Route[P]:
    """Decorate a route that sends an asset: when the asset is replaced before its first byte, the new one is sent.

    A store behind HTTP opens a version with one request and reads it with the next.
    """

    @wraps(route)
    async def sent(self: Any, request: AssetRequest, /, *args: P.args, **kwargs: P.kwargs) -> bytes:
        for _ in range(_ATTEMPTS - 1):
            try:
                return await route(self, request, *args, **kwargs)
            except VersionGone:
                if request.startedWriting:
                    raise
                request.setResponseCode(200)
                request.responseHeaders.removeHeader(b"Content-Range")
        return await route(self, request, *args, **kwargs)

    return sent


async def send(
    request: AssetRequest, asset: OpenAsset | AssetUrl, cache_control: str, download_name: str | None = None
) -> bytes:
    """Answer with an open asset, which is closed then, or with the URL to fetch it from; fires with the body's end.

    `cache_control` is for answers with the asset, or with 304. The bytes of a whole file are left to nginx where it has
    the file.
    """
    if isinstance(asset, AssetUrl):
        return _redirect(request, asset.url)
    reader, nginx_path = asset.reader, asset.nginx_path
    try:
        beginning = await text_sample(reader, asset.media_type)
        media_type = text_type(asset.media_type, beginning)
        try:
            span = _set_headers(request, reader, media_type, cache_control, download_name)
        except Unsatisfiable:
            return _refuse_range(request, reader.stat.size)
        if not span or request.method == b"HEAD":
            return b""
        if nginx_path and not any(map(request.getHeader, _CONDITIONS)):
            return _leave_to_nginx(request, nginx_path)
        if span[1] <= len(beginning):
            return beginning[slice(*span)]
        if span[1] - span[0] <= _SMALL:
            async with aclosing(reader.read(*span)) as chunks:
                return b"".join([chunk async for chunk in chunks])
        await _stream(request, reader, *span)
        return b""
    finally:
        await reader.close()


def _redirect(request: AssetRequest, url: str) -> bytes:
    request.setResponseCode(302)
    request.setHeader("Location", url)
    # The URL is for this client, and may soon be of no use.
    request.setHeader("Cache-Control", NO_STORE)
    return text_answer(request, "elsewhere")


def _leave_to_nginx(request: AssetRequest, path: str) -> bytes:
    request.setHeader("X-Accel-Redirect", path)
    request.setHeader("Content-Length", "0")
    # nginx adds its own.
    request.responseHeaders.removeHeader(b"Accept-Ranges")
    return b""


def _refuse_range(request: AssetRequest, size: int) -> bytes:
    text = f"the range is outside of the {size} bytes".encode()
    request.setResponseCode(416)
    request.setHeader("Cache-Control", NO_STORE)
    request.setHeader("Content-Range", f"bytes */{size}")
    request.setHeader("Content-Length", str(len(text)))
    return text


def is_known(request: AssetRequest, stat: AssetStat, cache_control: str) -> bool:
    """Return whether the client has this version already; then the headers of that answer are set."""
    now = time.time()
    unchanged = is_unchanged(
        request.getHeader("If-None-Match"), request.getHeader("If-Modified-Since"), stat.etag, stat.modified, now
    )
    if unchanged:
        _set_version(request, stat, cache_control, now)
        request.setResponseCode(304)
    return unchanged


def _set_version(request: AssetRequest, stat: AssetStat, cache_control: str, now: float) -> None:
    request.setHeader("ETag", f'"{stat.etag}"')
    date = last_modified(stat.modified, now)
    if date is not None:
        request.setHeader("Last-Modified", format_date(date))
    request.setHeader("Cache-Control", cache_control)


def _set_headers(
    request: AssetRequest, reader: IAssetReader, media_type: str, cache_control: str, download_name: str | None
) -> tuple[int, int] | None:
    """Set status and headers; return the range [start, stop) to send, None for no body.

    Raises `Unsatisfiable` or `OtherVersion`.
    """
    stat, now = reader.stat, time.time()
    # The order of the conditions is that of RFC 9110, section 13.2.2.
    if has_changed(request.getHeader("If-Match"), request.getHeader("If-Unmodified-Since"), stat.etag, stat.modified):
        raise OtherVersion("the asset is of another version")
    if is_known(request, stat, cache_control):
        return None
    _set_version(request, stat, cache_control, now)
    span = _requested_range(request, reader, now)
    request.setHeader("Content-Type", media_type)
    request.setHeader("Accept-Ranges", "bytes")
    if runs_scripts(media_type):
        request.setHeader("Content-Security-Policy", "sandbox")
    if download_name:
        request.setHeader("Content-Disposition", content_disposition(download_name))
    if span:
        request.setResponseCode(206)
        request.setHeader("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{stat.size}")
    start, stop = span or (0, stat.size)
    request.setHeader("Content-Length", str(stop - start))
    return start, stop


def _requested_range(request: AssetRequest, reader: IAssetReader, now: float) -> tuple[int, int] | None:
    header = request.getHeader("Range")
    # A range is defined for GET only (RFC 9110, section 14.2).
    if header is None or request.method != b"GET":
        return None
    if not range_applies(request.getHeader("If-Range"), reader.stat.etag, reader.stat.modified, now):
        return None
    return parse_range(header, reader.stat.size)


async def _stream(request: AssetRequest, reader: IAssetReader, start: int, stop: int) -> None:
    backpressure = _Backpressure(request)
    request.registerProducer(backpressure, True)
    try:
        async with aclosing(reader.read(start, stop)) as chunks:
            async for chunk in chunks:
                request.write(chunk)
                size = len(chunk)
                # A client that leaves now leaves this function to the collector, and a thousand of them would be much.
                del chunk
                await backpressure.ready(size)
    finally:
        request.unregisterProducer()


@implementer(IPushProducer)
class _Backpressure:
    """The pause of a coroutine that sends, while the connection has enough to send.

    A client that receives more slowly than the limits allow is disconnected.
    """

    def __init__(self, request: AssetRequest) -> None:
        self._request = request
        self._paused: Deferred[None] | None = None

    async def ready(self, sent: int) -> None:
        """Wait until the connection takes more than the `sent` bytes that were written to it last."""
        if not self._paused:
            return
        channel = self._request.channel
        due = channel.callLater(self._request.limits.seconds_for(sent), channel.forceAbortClient)
        try:
            await self._paused
        finally:
            if due.active():
                due.cancel()

    def pauseProducing(self) -> None:
        """See `IPushProducer`."""
        if not self._paused:
            self._paused = Deferred()

    def resumeProducing(self) -> None:
        """See `IPushProducer`."""
        paused, self._paused = self._paused, None
        if paused and not paused.called:
            paused.callback(None)

    def stopProducing(self) -> None:
        """See `IPushProducer`. The request is told next, and cancels the coroutine that waits."""
