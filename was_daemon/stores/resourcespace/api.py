"""Signed calls of ResourceSpace's API: a query with the name of a function, and its SHA-256 with the user's key."""

import hashlib
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlencode

from twisted.logger import Logger

from was_daemon.model.errors import NoSpace, StoreFailed, StoreUnavailable
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

_REFUSALS: dict[int, str] = {
    401: "ResourceSpace refused the signature: compare user and key_file with the page of that user",
    403: "ResourceSpace allows no calls: $enable_remote_apis must be true, and the user approved",
    404: "there is no ResourceSpace at this address: url is without /api, and without /pages",
    405: "ResourceSpace takes no POST: a proxy before it may change requests",
}


class API:
    """Calls of the API at one address, by one user; no call is repeated unless it only reads."""

    _log = Logger()

    def __init__(self, url: str, user: str, key: Callable[[], str]) -> None:
        """Make calls to the ResourceSpace at `url`; `key` returns the user's private key, or raises."""
        self._url = url
        self._user = user
        self._key = key

    async def ask(self, remote: HTTPRemote, function: str, **arguments: Any) -> Any:
        """Call a function that only reads; fire with the JSON of its answer. Raises the store's errors."""
        body = self.form(function, arguments)
        return await self._result(function, await self._send(remote, function, _FORM, Upload(body)))

    async def act(self, remote: HTTPRemote, function: str, **arguments: Any) -> Any:
        """Call a function that changes something, once; fire with the JSON of its answer. Raises the store's errors.

        It is not called again when its answer is lost: a second deletion is for ever.
        """
        body = self.form(function, arguments)
        upload = Upload(b"", _once(body), len(body))
        return await self._result(function, await self._send(remote, function, _FORM, upload))

    async def post(self, remote: HTTPRemote, function: str, headers: dict[str, str], upload: Upload) -> Answer:
        """Send a form with a file, made with `fields`; fire with the answer. Raises the store's errors."""
        return await self._send(remote, function, headers, upload)

    async def check_taken(self, answer: Answer, size: int) -> None:
        """Raise the store's error for an answer to a file of `size` bytes, unless it was taken."""
        if answer.code == 204:
            await answer.drain()
            return
        if answer.code in (401, 413):
            # PHP drops all of a form that is too large, its signature too.
            setting = "upload_max_filesize" if answer.code == 413 else "post_max_size"
            await answer.drain()
            raise NoSpace(f"ResourceSpace takes no file of this size: see {setting} in its php.ini")
        self._refuse(answer)
        if not size:
            answer.close()
            raise StoreUnavailable("ResourceSpace takes no empty files")
        try:
            result = await self._json("upload_multipart", answer)
        except StoreFailed as error:
            message = "ResourceSpace failed to keep the file: its log tells why, such as a full disk"
            raise StoreUnavailable(message, error.reason) from error
        raise failure("the file, whose content must be what its extension says", result)

    def fields(self, function: str, arguments: dict[str, Any]) -> dict[str, str]:
        """Return the fields of a form that calls a function."""
        query = urlencode({"user": self._user, "function": function, **arguments})
        signature = hashlib.sha256(f"{self._key()}{query}".encode()).hexdigest()
        return {"query": query, "sign": signature, "user": self._user}

    def form(self, function: str, arguments: dict[str, Any]) -> bytes:
        """Return the body of a form that calls a function."""
        return urlencode(self.fields(function, arguments)).encode()

    async def _send(self, remote: HTTPRemote, function: str, headers: dict[str, str], upload: Upload) -> Answer:
        # The signature is in the body, which no server logs. PHP's code wants a query in the address.
        return await remote.request("POST", f"{self._url}/api/?function={function}", headers, upload)

    async def _result(self, function: str, answer: Answer) -> Any:
        self._refuse(answer)
        result = await self._json(function, answer.expect(200))
        if isinstance(result, dict) and result.get("status") == "fail":
            raise failure(function, result)
        return result

    def _refuse(self, answer: Answer) -> None:
        if answer.code in _REFUSALS:
            answer.close()
            raise StoreUnavailable(_REFUSALS[answer.code])

    async def _json(self, function: str, answer: Answer) -> Any:
        try:
            return await answer.json()
        except (StoreFailed, RecursionError) as error:
            reason = f"ResourceSpace's answer to {function}, with status {answer.code}, is no JSON"
            self._log.warn("{reason}: a page, or a warning of PHP ($display_errors), may be in it", reason=reason)
            raise StoreFailed("the store gave no proper answer", reason) from error


def failure(function: str, result: Any) -> StoreUnavailable:
    """Return the store's error for an answer with the status "fail" (JSend), which tells why in its language."""
    data = result.get("data") if isinstance(result, dict) else None
    told = data.get("message") if isinstance(data, dict) else None
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", str(told or "no reason is told"))).strip()[:200]
    return StoreUnavailable(f"ResourceSpace refused {function}: {words}")


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
