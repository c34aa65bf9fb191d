"""The access log: one line for each request, without a token in it."""

import re

from twisted.web.iweb import IAccessLogFormatter
from zope.interface import provider

from was_daemon.web.protocol import AssetRequest

_TOKEN = re.compile(rb"([?&]token=)[^&]*")


@provider(IAccessLogFormatter)
def access_line(timestamp: str, request: AssetRequest) -> str:
    """The line for `request`: client, request, status, bytes, user agent."""
    client = getattr(request.getClientAddress(), "host", "-")
    uri = _TOKEN.sub(rb"\1...", request.uri).decode("ascii", "backslashreplace")
    agent = (request.getHeader("User-Agent") or "-").encode("unicode_escape").decode().replace('"', "'")
    return f'{client} "{request.method.decode("ascii")} {uri}" {request.code} {request.sentLength} "{agent}"'
