"""The access log: one line for each request, without a token in it."""

import json
import time

from twisted.logger import Logger

from was_daemon.httpd.clients import client_of
from was_daemon.httpd.request import AssetRequest
from was_daemon.httpd.traffic import FinishedRequest
from was_daemon.telemetry.logs import DaemonLog, iso_timestamp
from was_daemon.telemetry.redaction import without_tokens

_log = Logger()


class AccessLog:
    """The access log, written to `log`, or to Twisted's log without one."""

    def __init__(self, log: DaemonLog | None) -> None:
        self._log = log

    def __call__(self, finished: FinishedRequest) -> None:
        """Write the line of one request."""
        log = self._log
        if log is None:
            _log.info("{line}", line=text_line(finished))
        elif log.as_json:
            log.write(json_line(finished, iso_timestamp(time.time())))
        else:
            log.write(f"{log.timestamp()} [-] {text_line(finished)}")


def text_line(finished: FinishedRequest) -> str:
    """Return a line of text: client, request, status, bytes, milliseconds, the request's id, user agent.

    A request that was refused for a reason has that at the end.
    """
    request = finished.request
    status = str(finished.status) if finished.is_whole else "aborted"
    milliseconds = f"{finished.seconds * 1000:.1f}ms"
    client = _quotable(client_of(request, request.proxies))
    reason = f' "{_quotable(without_tokens(request.reason))}"' if request.reason else ""
    return (
        f'{client} "{_quotable(_method(request))} {_quotable(_target(request))}" '
        f'{status} {request.sentLength} {milliseconds} {request.id.decode()} "{_quotable(_agent(request))}"{reason}'
    )


def json_line(finished: FinishedRequest, moment: str) -> str:
    """Return a JSON object in a line; `moment` is the time in it."""
    request = finished.request
    document = {
        "time": moment,
        "level": "info",
        "logger": "request",
        "method": _method(request),
        "path": _target(request),
        "status": finished.status if finished.is_whole else None,
        "bytes": request.sentLength,
        "milliseconds": round(finished.seconds * 1000, 1),
        "client": client_of(request, request.proxies),
        "agent": _agent(request),
        "request_id": request.id.decode(),
        **({"reason": without_tokens(request.reason)} if request.reason else {}),
    }
    return json.dumps(document)


def _method(request: AssetRequest) -> str:
    return request.method.decode("latin-1")


def _target(request: AssetRequest) -> str:
    return without_tokens(request.uri.decode("latin-1"))


def _agent(request: AssetRequest) -> str:
    return without_tokens(request.getHeader("User-Agent") or "-")


def _quotable(text: str) -> str:
    """Return `text` in printable ASCII, without the quotation marks that are put around it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode().replace('"', "'")
