"""Requests to a bucket, which are signed, and repeated where that may help."""

import random
from base64 import b64encode
from collections.abc import Collection, Mapping
from urllib.parse import quote, urlencode, urlsplit

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.iweb import IPolicyForHTTPS

from was_daemon.model.errors import AssetExists
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.auth import FixedLogin
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.errors import GarbledError, UnansweredError
from was_daemon.stores.s3.credentials import AccessKey, CredentialCache
from was_daemon.stores.s3.errors import Problem, late_problem, problem_of
from was_daemon.stores.s3.integrity import Payload

ATTEMPTS = 4
"""Number of times that a request is sent which fails for a temporary reason."""

_SHORTEST, _LONGEST = 0.2, 3.0
"""Seconds: the limits between which the pause before the next attempt doubles. Each is shortened by chance."""

_OLD = 60
"""Age in seconds at which a key that is refused without a reason is looked for anew."""

NOTHING = Payload.now(b"")

Query = Mapping[str, str]


@attrs.frozen
class ObjectUrls:
    """URLs of the objects of a bucket: below a path of its endpoint, or on a host of their own."""

    _endpoint: str
    _bucket: str
    _virtual: bool

    def of(self, name: str, query: Query | None = None) -> str:
        """Return the URL of an object, or of the bucket when `name` is empty; it must not be encoded again."""
        parts = urlsplit(self._endpoint)
        host, path = parts.netloc, parts.path.rstrip("/")
        if self._virtual:
            host = f"{self._bucket}.{host}"
        else:
            path += f"/{self._bucket}"
        path += "/" + quote(name, safe="/~") if name or self._virtual else ""
        asked = "?" + urlencode(query, quote_via=quote, safe="~") if query else ""
        return f"{parts.scheme}://{host}{path}{asked}"


async def pause(clock: IReactorTime, attempt: int) -> None:
    """Wait after attempt number `attempt`, which counts from 0; chance keeps clients apart that failed together."""
    await deferLater(clock, random.uniform(0.5, 1) * min(_SHORTEST * 2**attempt, _LONGEST))  # noqa: S311 - no secret


def _has_checksum(headers: Mapping[str, str] | None) -> bool:
    return any(name.startswith("x-amz-checksum-") for name in headers or {})


class Bucket:
    """Client of one bucket. Raises the store's errors; details for the operator go to the log."""

    _log = Logger()

    def __init__(
        self, addresses: ObjectUrls, region: str, keys: CredentialCache, timeout: float, policy: IPolicyForHTTPS | None
    ) -> None:
        """Make a client; `timeout` is in seconds without progress."""
        from twisted.internet import reactor

        # Imported here, as botocore is only installed where an S3 store is wanted.
        from was_daemon.stores.s3.signing import Signer

        self.clock = IReactorTime(reactor)
        self._addresses = addresses
        self._keys = keys
        self._signer = Signer(region)
        self._remote = HTTPRemote(FixedLogin(None), timeout, policy)

    async def request(
        self,
        method: str,
        name: str,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        payload: Payload = NOTHING,
        accept: Collection[int] = (200,),
    ) -> Answer:
        """Send a request about the object `name`, or about the bucket when that is empty; fire with the answer.

        Its body is still to be read. Every request may be sent more than once: the object may have been deleted, or the
        upload completed, by an earlier attempt. Raises `StoreUnavailable`, `StoreFailed`, `StoreTimeout` or `NoSpace`
        for a status that is not in `accept`.
        """
        url = self._addresses.of(name, query)
        for attempt in range(ATTEMPTS):
            key = await self._keys.current()
            try:
                answer = await self._send(key, method, url, headers or {}, payload)
            except (UnansweredError, GarbledError):
                if attempt + 1 == ATTEMPTS:
                    raise
            else:
                answer.repeated = answer.repeated or attempt > 0
                if answer.code in accept:
                    return answer
                problem = await problem_of(answer, takes_checksums=not _has_checksum(headers))
                if not isinstance(problem.error, AssetExists):
                    self._report(method, url, answer, problem)
                if attempt == 0 and self._lapsed(key, problem):
                    continue
                if not problem.is_temporary or attempt + 1 == ATTEMPTS:
                    raise problem.error
            await pause(self.clock, attempt)
        raise AssertionError("unreachable")

    async def call(
        self,
        method: str,
        name: str,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        payload: Payload = NOTHING,
        accept: Collection[int] = (200,),
    ) -> Answer:
        """Send a request; fire with the answer, whose body has been read and dropped.

        Raises as `request` does, also for an error that the body tells after a status of success, as proxies and
        gateways send it that have to answer before they know.
        """
        for attempt in range(ATTEMPTS):
            answer = await self.request(method, name, query, headers, payload, accept)
            if answer.code != 200 or method == "HEAD":
                return await answer.drain()
            problem = await late_problem(answer)
            if problem is None:
                return answer
            self._report(method, self._addresses.of(name), answer, problem)
            if not problem.is_temporary or attempt + 1 == ATTEMPTS:
                raise problem.error
            await pause(self.clock, attempt)
        raise AssertionError("unreachable")

    async def _send(
        self, key: AccessKey, method: str, url: str, headers: Mapping[str, str], payload: Payload
    ) -> Answer:
        if payload.content:
            headers = {**headers, "Content-MD5": b64encode(payload.md5).decode()}
        signed = self._signer.headers(key, method, url, headers, payload.sha256)
        body = Upload(payload.content) if method in ("PUT", "POST") else None
        return await self._remote.request(method, url, signed, body)

    def _lapsed(self, key: AccessKey, problem: Problem) -> bool:
        """Forget the key if another one may help; return whether that is so."""
        if problem.is_credential_error:
            return self._keys.forget(key)
        return problem.may_be_credential_error and self._keys.forget(key, _OLD)

    def _report(self, method: str, url: str, answer: Answer, problem: Problem) -> None:
        self._log.warn(
            "{method} {url} was answered with {status}: {code} {details}",
            method=method,
            url=url.partition("?")[0],
            status=answer.code,
            code=problem.code,
            details=problem.details,
        )

    async def address(self, public: ObjectUrls, name: str, query: Query, seconds: int) -> str:
        """Return a signed URL of an object, at the `public` address, that is valid for so many seconds."""
        key = await self._keys.current()
        return self._signer.address(key, public.of(name, query), seconds)

    async def close(self) -> None:
        """Close the idle connections."""
        await self._remote.close()
