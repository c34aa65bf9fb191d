"""HTTP client that sends requests exactly as Specify's clients do.

Uses urllib, because the checks depend on every byte that is sent: parts of a form with their own charsets, in a given
order, and names with dots and slashes that other clients would normalise.
"""

import io
import ssl
from email.message import Message
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPErrorProcessor, HTTPRedirectHandler, Request, build_opener

import attrs

from was_daemon import __version__
from was_daemon.conformance.deadline import DeadlineHandler, TooSlow
from was_daemon.conformance.results import CheckFailed
from was_daemon.telemetry.redaction import without_tokens

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 80
"""Bytes of an answer that messages quote."""

_MAX_BODY = 16 << 20
"""Largest answer in bytes: four times the largest file that a check uploads."""

_ANSWER_TIMEOUTS = 10
"""Time for a whole answer, in multiples of the time without progress."""

_REDIRECTS = (301, 302, 303, 307, 308)


class Unanswered(Exception):
    """The server gave no answer, or an incomplete one; the message says why."""


@attrs.frozen(str=False)
class Answer:
    """Answer to a request; `url` is the address after redirections."""

    method: str
    url: str
    status: int
    headers: Message
    body: bytes

    def __str__(self) -> str:
        text = self.body[:_SHOWN].decode("utf-8", "replace").strip()
        is_text = text and text.partition("\n")[0].isprintable()
        return f'{self.status} "{text.partition(chr(10))[0]}"' if is_text else f"{self.status}, {len(self.body)} bytes"

    @property
    def text(self) -> str:
        """Body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def media_type(self) -> str:
        """Content-Type without parameters, in lower case; "" without one."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()

    @property
    def allowed_origin(self) -> str | None:
        """Access-Control-Allow-Origin; None without one."""
        value = self.headers.get("Access-Control-Allow-Origin")
        return None if value is None else str(value)

    def expect(self, *statuses: int, to: str) -> "Answer":
        """Return this answer; raise `CheckFailed` unless its status is one of `statuses`. `to` names the request."""
        if self.status not in statuses:
            raise CheckFailed(f"{' or '.join(map(str, statuses))} to {to}", self)
        return self

    def image(self) -> "Image":
        """Return the body as a fully decoded picture; raise `CheckFailed` when it is none."""
        from PIL import Image

        try:
            image = Image.open(io.BytesIO(self.body))
            image.load()
        except Exception as error:  # Pillow's decoders raise what they like
            raise CheckFailed("a whole picture", f"{self} that cannot be read: {error}") from None
        return image


class _AnyStatus(HTTPErrorProcessor):
    """Processor that returns answers of every status; only redirections are followed."""

    def http_response(self, request: Request, response: Any) -> Any:
        return super().http_response(request, response) if response.status in _REDIRECTS else response

    https_response = http_response


class _SameMethod(HTTPRedirectHandler):
    """Redirect handler that follows HEAD with HEAD; urllib would send GET, which an address may answer differently."""

    def redirect_request(self, request: Request, *details: Any) -> Request | None:
        followed = super().redirect_request(request, *details)
        if followed and request.get_method() == "HEAD":
            followed.method = "HEAD"
        return followed


class HttpClient:
    """HTTP client; `timeout` is in seconds without progress. A whole answer may take ten times that.

    An address that took longer once is not asked again: the next answers would take as long.
    """

    def __init__(self, timeout: float, ca_file: str | None = None) -> None:
        self._timeout = timeout
        self._too_slow: set[str] = set()
        handler = DeadlineHandler(_ANSWER_TIMEOUTS * timeout, ssl.create_default_context(cafile=ca_file))
        self._opener = build_opener(_AnyStatus, _SameMethod, handler)
        self._opener.addheaders = [("User-Agent", f"was-daemon-check/{__version__}")]

    def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request and return its answer; raise `Unanswered`."""
        address = url.partition("?")[0]
        if address in self._too_slow:
            raise Unanswered(f"{without_tokens(url)} is not asked: an earlier answer took too long")
        try:
            request = Request(url, body, headers or {}, method=method)  # noqa: S310  # the callers want http or https
            with self._opener.open(request, timeout=self._timeout) as response:
                return Answer(method, response.url, response.status, response.headers, _body(response))
        except HTTPError as error:
            # A redirection that cannot be followed is an answer too.
            with error:
                return Answer(method, error.url or url, error.code, error.headers, error.read(_SHOWN))
        except TooSlow as error:
            self._too_slow.add(address)
            raise Unanswered(f"no whole answer from {without_tokens(url)}: {error}") from None
        except URLError as error:
            if isinstance(error.reason, TooSlow):
                self._too_slow.add(address)
            raise Unanswered(f"no answer from {without_tokens(url)}: {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = without_tokens(str(error)) or type(error).__name__
            raise Unanswered(f"no whole answer from {without_tokens(url)}: {reason}") from None


def _body(response: Any) -> bytes:
    """Return the whole body; raise `ValueError` when it is too large or breaks off."""
    if response.length is None:
        body: bytes = response.read(_MAX_BODY + 1)
    else:
        # Read without a size, http.client raises an error for a body that breaks off.
        body = response.read() if response.length <= _MAX_BODY else b""
    if max(len(body), response.length or 0) > _MAX_BODY:
        raise ValueError(f"it is larger than the {_MAX_BODY >> 20} MiB that any of these could have")
    return body
