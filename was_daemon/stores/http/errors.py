"""Errors of HTTP clients, and statuses of HTTP servers, as the store's errors."""

from collections.abc import Iterator

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.web._newclient import ParseError, RequestNotSent
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)

from was_daemon.model.errors import AssetError, NoSpace, StoreFailed, StoreUnavailable


class Forbidden(StoreUnavailable):
    """Refusal of a request that the login does not allow."""


_REFUSALS: dict[int, AssetError] = {
    401: StoreUnavailable("the store refused the login"),
    403: Forbidden("the store denied permission"),
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
    """Return the store's error for the status of a response that is no success."""
    known, reason = _REFUSALS.get(code), f"HTTP status {code}"
    if known:
        return type(known)(str(known), reason)
    message = "the store answered with a redirect" if 300 <= code < 400 else "the store answered with an error"
    return StoreFailed(message, reason)


class UnansweredError(StoreUnavailable):
    """Loss of the connection before any byte of an answer."""


class GarbledError(StoreFailed):
    """Answer that is no HTTP: wsgidav, for one, answers a HEAD with a body, which comes before the next answer."""


BROKEN = (
    ConnectError,
    DNSLookupError,
    ConnectionLost,
    ConnectionDone,
    RequestNotSent,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)
"""Errors of Twisted for a request or a response that breaks off."""


def translated(error: Exception) -> Exception:
    """Return the store's error for one of Twisted's, whose causes are its reason."""
    causes, reason = list(_causes(error)), details(error)
    if any(isinstance(cause, SSL.Error | CertificateError | VerificationError) for cause in causes):
        return StoreUnavailable("no trusted connection to the store can be made", reason)
    if isinstance(error, RequestNotSent | RequestTransmissionFailed | ResponseNeverReceived):
        return UnansweredError("the connection to the store was lost", reason)
    if isinstance(error, ConnectError | DNSLookupError):
        return StoreUnavailable("the store cannot be reached", reason)
    if any(isinstance(cause, ParseError) for cause in causes):
        return GarbledError("the store gave no proper answer", reason)
    return StoreUnavailable("the connection to the store was lost", reason)


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    for reason in getattr(error, "reasons", None) or []:
        yield from _causes(reason.value)


def details(error: Exception) -> str:
    """Return the causes of an error in one line, for the log."""
    return " < ".join(f"{type(cause).__name__} {cause}" for cause in _causes(error) if not hasattr(cause, "reasons"))
