"""Twisted's HTTP, without the errors that a client can cause in it."""

from twisted.web.http import HTTPChannel
from twisted.web.server import Request


class HardenedRequest(Request):
    """A request whose Host header cannot fail."""

    def getRequestHostname(self) -> bytes:
        """Return a fixed name: Klein asks for the host, and fails on hosts that are no domain names."""
        return b"localhost"


class HardenedChannel(HTTPChannel):
    """A connection on which a length may have any number of digits."""

    def headerReceived(self, line: bytes) -> bool:
        """Take a header; return False when the request is refused for it."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            # A Content-Length of more digits than int() converts. RFC 9110, section 8.6: expect such.
            self._respondToBadRequestAndDisconnect()
            return False
