"""Requests to the admin endpoints."""

import time
from collections.abc import Sequence
from typing import AnyStr
from urllib.parse import unquote_to_bytes

from was_daemon.httpd.clients import Network
from was_daemon.httpd.hardened import HardenedRequest
from was_daemon.httpd.limits import ConnectionLimits

_LARGEST_BODY = 1 << 20
"""Bytes of a form. Who is not logged in could fill the disk otherwise: Twisted keeps bodies in files."""

_IDLE_SECONDS = 60.0
_MIN_RATE = 1 << 10


class AdminRequest(HardenedRequest):
    """A request whose body is a form at most, and is there when a route is called.

    It has what routes that send assets need of an `AssetRequest`, by the same names.
    """

    reason = ""
    proxies: Sequence[Network] = ()
    limits = ConnectionLimits(0, _IDLE_SECONDS, _IDLE_SECONDS, _MIN_RATE)

    @property
    def is_abandoned(self) -> bool:
        """Whether the client is gone, so that nobody is there to be answered."""
        return bool(self._disconnected)

    @property
    def arrived(self) -> float:
        """Unix time at which the request was complete: it is small."""
        return time.time()

    @property
    def authority(self) -> str:
        """The host, maybe with a port, that the request names."""
        return self.getHeader("Host") or ""

    def process(self) -> None:
        """Call the resource, unless the path is no text, which Klein would log as an error of the server."""
        try:
            unquote_to_bytes(self.path).decode()
        except UnicodeDecodeError:
            self.setResponseCode(400)
            self.setHeader("Content-Type", "text/plain; charset=utf-8")
            self.write(b"the path is not valid UTF-8\n")
            self.finish()
        else:
            super().process()

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body; cut the connection if it is too much."""
        if self.content and self.content.tell() + len(data) <= _LARGEST_BODY:
            super().handleContentChunk(data)
        elif self.channel:
            self.channel.forceAbortClient()

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """Return the last header of that name; bytes that are not UTF-8 are replaced, and so match nothing expected."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        values = self.requestHeaders.getRawHeaders(key.encode("ascii"))
        return values[-1].decode("utf-8", "replace") if values else None
