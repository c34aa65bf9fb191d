"""Answers to errors: the status, headers and text of each (contract, section 3)."""

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from was_daemon.concurrency.frames import release_frames
from was_daemon.httpd.request import AssetRequest
from was_daemon.model import errors
from was_daemon.telemetry.redaction import without_secrets
from was_daemon.web.caching import NO_STORE

_log = Logger()

_STATUS: dict[type[errors.AssetError], int] = {
    errors.BadRequest: 400,
    errors.Forbidden: 403,
    errors.AssetNotFound: 404,
    errors.UnknownCollection: 404,
    errors.AssetExists: 409,
    errors.OtherVersion: 412,
    errors.UploadTooLarge: 413,
    errors.UploadWithdrawn: 503,
    errors.NoThumbnail: 415,
    errors.BrokenImage: 422,
    errors.NotImplementedHere: 501,
    errors.StoreFailed: 502,
    errors.Interrupted: 503,
    errors.Overloaded: 503,
    errors.StoreUnavailable: 503,
    errors.StoreTimeout: 504,
    errors.NoSpace: 507,
}

_HEADERS_OF_ASSETS = (
    b"Accept-Ranges",
    b"Content-Disposition",
    b"Content-Range",
    b"Content-Security-Policy",
    b"ETag",
    b"Last-Modified",
    b"Link",
)
"""Headers that a download may have set before its store failed: no cache shall keep the error as the asset."""

_EXPLAINED = (
    errors.Forbidden,
    errors.NoSpace,
    errors.StoreFailed,
    errors.StoreTimeout,
    errors.StoreUnavailable,
)
"""Errors whose reasons are in the line of the access log: an administrator has to do something about these."""

_RETRY_SECONDS = b"5"


async def answer_error(request: AssetRequest, failure: Failure) -> bytes:
    """Set the status and headers of `failure` and return its one line of text."""
    if request.startedWriting:
        if not failure.check(errors.AssetError):
            _report(failure)
        release_frames(failure)
        # The client has part of an asset. Only a broken connection tells it that the rest will not come.
        request.channel.forceAbortClient()
        await request.notifyFinish().addErrback(lambda _: None)
        return b""
    for name in _HEADERS_OF_ASSETS:
        request.responseHeaders.removeHeader(name)
    status, text = _describe(request, failure)
    request.problem = request.reason or text
    release_frames(failure)
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    # Some statuses may be kept by default, such as 404 (RFC 9110, section 15.1).
    request.setHeader(b"Cache-Control", NO_STORE.encode())
    body = text.encode()
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def status_of(error: errors.AssetError) -> int:
    """Return the status of an answer to a request that failed with `error`."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def without_client(failure: Failure, request: AssetRequest) -> object:
    """Return an empty answer instead of `failure` when the client of `request` is gone: then only a bug is an error."""
    if not request.is_abandoned:
        return failure
    if not failure.check(errors.AssetError, CancelledError):
        _report(failure)
    release_frames(failure)
    return b""


def _describe(request: AssetRequest, failure: Failure) -> tuple[int, str]:
    error = failure.value
    if isinstance(error, errors.AssetError):
        if isinstance(error, _EXPLAINED):
            request.reason = _explanation(error)
        status = status_of(error)
        if status == 503:
            request.setHeader(b"Retry-After", _RETRY_SECONDS)
        return status, str(error)
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        request.setHeader(b"Allow", allowed.encode())
        return 405, f"use one of {allowed}"
    if isinstance(error, NotFound):
        return 404, "no such page"
    if isinstance(error, HTTPException) and error.code:
        return error.code, error.name.lower()
    _report(failure)
    return 500, "internal error"


def _explanation(error: errors.AssetError) -> str:
    if isinstance(error, errors.Forbidden | errors.NoSpace) or not error.reason:
        # These reasons are whole sentences.
        return error.reason or str(error)
    return f"{error} ({error.reason})"


def _report(failure: Failure) -> None:
    # The messages of other libraries' errors may quote addresses and logins.
    _log.error("A request could not be processed:\n{details}", details=without_secrets(failure.getTraceback()))
