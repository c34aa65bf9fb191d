"""Error codes of S3 servers as the store's errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]

from was_daemon.model.errors import AssetError, AssetExists, NoSpace, StoreFailed, StoreUnavailable
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.errors import refusal

_LONGEST = 1 << 16


class Denied(StoreUnavailable):
    """Refusal of a request that the credentials, which are valid, do not allow."""


class Conflict(StoreUnavailable):
    """Refusal of a conditional write while another write of the same object is under way."""


_OVERLOADED = StoreUnavailable("the store is overloaded")
_EXPIRED = StoreUnavailable("the credentials for the store have expired")
_DAMAGED = StoreFailed("the upload arrived damaged in the store")
_ELSEWHERE = StoreUnavailable("the bucket is in another region than the settings say")
_FULL = NoSpace("no space left in the store")

_ERRORS: dict[str, AssetError] = {
    "AccessDenied": Denied("the store denied permission"),
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "BadDigest": _DAMAGED,
    "ConditionalRequestConflict": Conflict("the asset was changed by somebody else at the same time"),
    "EntityTooLarge": NoSpace("the store takes no file of this size"),
    "ExpiredToken": _EXPIRED,
    "InsufficientCapacity": _FULL,
    "InternalError": StoreFailed("the store answered with an error"),
    "InvalidAccessKeyId": StoreUnavailable("the store does not know the access key"),
    "InvalidDigest": _DAMAGED,
    "InvalidObjectState": StoreUnavailable("the asset is in an archive of the store's, and has to be restored first"),
    "InvalidToken": _EXPIRED,
    "NoSuchBucket": StoreUnavailable("the bucket does not exist"),
    "OperationAborted": StoreUnavailable("the asset was changed by somebody else at the same time"),
    "PermanentRedirect": _ELSEWHERE,
    "PreconditionFailed": AssetExists("an asset of this name exists"),
    "QuotaExceeded": _FULL,
    "RequestTimeTooSkewed": StoreUnavailable("the clocks of this machine and of the store differ too much"),
    "RequestTimeout": StoreUnavailable("the store gave up on the request"),
    "SignatureDoesNotMatch": StoreUnavailable("the store refused the login: the secret key is wrong"),
    "SlowDown": _OVERLOADED,
    "TemporaryRedirect": StoreUnavailable("the bucket is not to be found at this endpoint yet"),
    "TooManyRequests": _OVERLOADED,
    "XAmzContentChecksumMismatch": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "XMinioStorageFull": _FULL,
}

_NO_CHECKSUMS = "the store refused a request with a checksum: it may need checksums = false"

_TEMPORARY = frozenset(
    {"BadDigest", "OperationAborted", "RequestTimeout", "SlowDown", "TooManyRequests"}
    | {"XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
)
"""Codes after which the same request may succeed, as after statuses of 500 and more, and 429."""

_CREDENTIAL_ERRORS = frozenset({"ExpiredToken", "InvalidAccessKeyId", "InvalidToken"})
"""Codes of requests that may succeed with new credentials."""


@attrs.frozen
class Problem:
    """Error in an answer."""

    code: str
    """Code of S3, or the status."""
    details: str
    """Message of the server, for the log."""
    error: AssetError
    is_temporary: bool
    """Whether the same request, repeated, may succeed."""

    @property
    def is_credential_error(self) -> bool:
        """Whether the credentials are not, or no longer, valid."""
        return self.code in _CREDENTIAL_ERRORS

    @property
    def may_be_credential_error(self) -> bool:
        """Whether the credentials may be the reason: the answer to a HEAD does not tell it."""
        return self.code in ("400", "401", "403")


async def problem_of(answer: Answer, takes_checksums: bool = True) -> Problem:
    """Read the answer's body; return the problem in it.

    Without `takes_checksums` the request had a checksum, which may be what the server does not know.
    """
    problem = problem_in(await _body(answer), answer)
    if takes_checksums or answer.code not in (400, 501) or problem.code in _ERRORS:
        return problem
    return attrs.evolve(problem, error=StoreFailed(_NO_CHECKSUMS), is_temporary=False)


async def late_problem(answer: Answer) -> Problem | None:
    """Read the body of an answer that reports success; return the problem in it, None if it is no error document."""
    body = await _body(answer)
    try:
        is_error = fromstring(body.strip(), forbid_dtd=True).tag.rpartition("}")[2] == "Error"
    except (ParseError, DefusedXmlException, ValueError):
        return None
    return problem_in(body.strip(), answer) if is_error else None


async def _body(answer: Answer) -> bytes:
    try:
        return await answer.content(_LONGEST)
    except AssetError:
        return b""


def problem_in(body: bytes, answer: Answer) -> Problem:
    """Return the problem in the document `body`, or that of the status: the answer to a HEAD has no body."""
    code, details, region = "", "", answer.header("x-amz-bucket-region") or ""
    try:
        document = fromstring(body, forbid_dtd=True)
        code = document.findtext("{*}Code") or ""
        details = document.findtext("{*}Message") or ""
        region = document.findtext("{*}Region") or region
    except (ParseError, DefusedXmlException, ValueError):
        pass
    status = answer.code
    # Some proxies send the status alone.
    known = _ERRORS.get(code or ("PreconditionFailed" if status == 412 else ""))
    error: AssetError = type(known)(*known.args) if known else refusal(status)
    if known is None and status == 403:
        error = Denied("the store denied permission", error.reason)
    if (known is _ELSEWHERE or status == 301) and re.fullmatch(r"[a-z0-9-]{1,40}", region):
        error = StoreUnavailable(f"the bucket is in the region {region}, the settings say another one")
    is_temporary = (
        code in _TEMPORARY
        or (status >= 500 and status != 501)
        or status == 429
        or (known is not None and code == "InternalError")
    )
    if is_temporary and isinstance(error, NoSpace):
        is_temporary = False
    return Problem(code or str(status), " ".join(details.split())[:300], error, is_temporary)


@contextmanager
def needing(permission: str) -> Iterator[None]:
    """Name the permission in errors that are raised for want of it."""
    try:
        yield
    except Denied as error:
        raise StoreUnavailable(f"the store denied permission: the credentials need {permission}") from error
