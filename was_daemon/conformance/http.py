"""Requests as Specify's clients send them.

urllib, because the checks depend on what is sent to the last byte: parts of a form with charsets of their own, in an
order of their own, and names with dots and slashes that better clients would tidy up.
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
from was_daemon.conformance.hasty import HastyHandler
from was_daemon.conformance.results import CheckFailed
from was_daemon.telemetry.redaction import without_tokens

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 80
_MOST = 16 << 20
"""Bytes of an answer: four times the largest file that is ever asked for."""

_PATIENCE = 10
"""How many times the time without progress an answer may take."""

_REDIRECTS = (301, 302, 303, 307, 308)


class Unanswered(Exception):
    """There was no answer, or no whole one; the message says why."""


@attrs.frozen(str=False)
class Answer:
    """The answer to a request; `url` is where it came from in the end."""

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
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def media_type(self) -> str:
        """What the answer says that it is, without parameters."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()

    @property
    def allowed_origin(self) -> str | None:
        """The origin whose pages may read the answer; None when none may."""
        value = self.headers.get("Access-Control-Allow-Origin")
        return None if value is None else str(value)

    def expect(self, *statuses: int, to: str) -> "Answer":
        """This answer, if its status is one of these; raises `CheckFailed`. `to` says what the answer is to."""
        if self.status not in statuses:
            raise CheckFailed(f"{' or '.join(map(str, statuses))} to {to}", self)
        return self

    def image(self) -> "Image":
        """The body as a picture, decoded to its end; raises `CheckFailed`."""
        from PIL import Image

        try:
            image = Image.open(io.BytesIO(self.body))
            image.load()
        except Exception as error:  # Pillow's decoders raise what they like
            raise CheckFailed("a whole picture", f"{self} that cannot be read: {error}") from None
        return image


class _Everything(HTTPErrorProcessor):
    """Hands on answers of every status; only redirections are followed."""

    def http_response(self, request: Request, response: Any) -> Any:
        return super().http_response(request, response) if response.status in _REDIRECTS else response

    https_response = http_response


class _Alike(HTTPRedirectHandler):
    """Follows HEAD with HEAD: urllib's own way is GET, which an address may be good for when it is not for HEAD."""

    def redirect_request(self, request: Request, *details: Any) -> Request | None:
        followed = super().redirect_request(request, *details)
        if followed and request.get_method() == "HEAD":
            followed.method = "HEAD"
        return followed


class Http:
    """Sends requests; `timeout` is in seconds without progress. An answer as a whole may take ten times that."""

    def __init__(self, timeout: float, ca_file: str | None = None) -> None:
        self._timeout = timeout
        handler = HastyHandler(_PATIENCE * timeout, ssl.create_default_context(cafile=ca_file))
        self._opener = build_opener(_Everything, _Alike, handler)
        self._opener.addheaders = [("User-Agent", f"was-daemon-check/{__version__}")]

    def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """The answer to one request; raises `Unanswered`."""
        try:
            request = Request(url, body, headers or {}, method=method)  # noqa: S310  # the callers want http or https
            with self._opener.open(request, timeout=self._timeout) as response:
                return Answer(method, response.url, response.status, response.headers, _body(response))
        except HTTPError as error:
            # A redirection that cannot be followed is an answer too.
            with error:
                return Answer(method, error.url or url, error.code, error.headers, error.read(_SHOWN))
        except URLError as error:
            raise Unanswered(f"no answer from {without_tokens(url)}: {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = without_tokens(str(error)) or type(error).__name__
            raise Unanswered(f"no whole answer from {without_tokens(url)}: {reason}") from None


def _body(response: Any) -> bytes:
    """The whole body; raises `ValueError` when there is no end to it."""
    if response.length is None:
        body: bytes = response.read(_MOST + 1)
    else:
        # Without a size, a body that breaks off is told.
        body = response.read() if response.length <= _MOST else b""
    if max(len(body), response.length or 0) > _MOST:
        raise ValueError(f"it is larger than the {_MOST >> 20} MiB that any of these could have")
    return body
