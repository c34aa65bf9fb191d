"""The access log: one line for each request, without a token in it."""

import json
import time

from twisted.logger import Logger

from was_daemon.httpd.origin import client_of
from was_daemon.httpd.protocol import AssetRequest
from was_daemon.httpd.traffic import Answered
from was_daemon.telemetry.logs import DaemonLog, precise
from was_daemon.telemetry.redaction import without_tokens

_log = Logger()


class RequestLog:
    """Tells `log` of each request; Twisted's log when there is none."""

    def __init__(self, log: DaemonLog | None) -> None:
        self._log = log

    def __call__(self, answered: Answered) -> None:
        """Write a line."""
        log = self._log
        if log is None:
            _log.info("{line}", line=text_line(answered))
        elif log.as_json:
            log.write(json_line(answered, precise(time.time())))
        else:
            log.write(f"{log.timestamp()} [-] {text_line(answered)}")


def text_line(answered: Answered) -> str:
    """Client, request, status, bytes, milliseconds, name of the request, user agent."""
    request = answered.request
    status = str(answered.status) if answered.is_whole else "aborted"
    milliseconds = f"{answered.seconds * 1000:.1f}ms"
    client = _quotable(client_of(request, request.proxies))
    return (
        f'{client} "{_quotable(_method(request))} {_quotable(_target(request))}" '
        f'{status} {request.sentLength} {milliseconds} {request.id.decode()} "{_quotable(_agent(request))}"'
    )


def json_line(answered: Answered, moment: str) -> str:
    """The same as a JSON object; `moment` is the time it carries."""
    request = answered.request
    document = {
        "time": moment,
        "level": "info",
        "logger": "request",
        "method": _method(request),
        "path": _target(request),
        "status": answered.status if answered.is_whole else None,
        "bytes": request.sentLength,
        "milliseconds": round(answered.seconds * 1000, 1),
        "client": client_of(request, request.proxies),
        "agent": _agent(request),
        "request_id": request.id.decode(),
    }
    return json.dumps(document)


def _method(request: AssetRequest) -> str:
    return request.method.decode("latin-1")


def _target(request: AssetRequest) -> str:
    return without_tokens(request.uri.decode("latin-1"))


def _agent(request: AssetRequest) -> str:
    return without_tokens(request.getHeader("User-Agent") or "-")


def _quotable(text: str) -> str:
    """`text` in printable ASCII, without the quotation marks that it will stand in."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode().replace('"', "'")
