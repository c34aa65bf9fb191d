"""The access log: one line for each request, without a token in it."""

from twisted.web.iweb import IAccessLogFormatter
from zope.interface import provider

from was_daemon.redaction import without_tokens
from was_daemon.web.protocol import AssetRequest


@provider(IAccessLogFormatter)
def access_line(timestamp: str, request: AssetRequest) -> str:
    """The line for `request`: client, request, status, bytes, user agent."""
    client = getattr(request.getClientAddress(), "host", "-")
    line = _shown(f"{request.method.decode('latin-1')} {without_tokens(request.uri.decode('latin-1'))}")
    agent = _shown(without_tokens(request.getHeader("User-Agent") or "-"))
    return f'{client} "{line}" {request.code} {request.sentLength} "{agent}"'


def _shown(text: str) -> str:
    """`text` in printable ASCII, without the quotation marks that it will stand in."""
    return text.encode("unicode_escape").decode().replace('"', "'")
