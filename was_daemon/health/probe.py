"""Requests to a running daemon, to find out whether it answers."""

import json
import re
from http.client import HTTPException
from ssl import SSLCertVerificationError, SSLError
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from was_daemon.config.endpoints import TCPAddress, tcp_address
from was_daemon.config.settings import ServerSettings

_VERSION = re.compile(r"was_daemon ([0-9][^\s<]*[0-9a-z])")
NO_ANSWER, NO_TLS = "no answer", "no connection with TLS"
"""Beginnings of the problem of an address at which nobody answers, or with whom TLS fails."""

_MAX_ANSWER = 1 << 20
"""Bytes of an answer that are read."""

_ALL_INTERFACES = ("", "0.0.0.0", "::")  # noqa: S104  # compared with, not listened on


def addresses_of(server: ServerSettings) -> list[str]:
    """Return the URLs at which a daemon with these settings answers, the public one and that of its health included.

    Leaves out endpoints without a TCP port of their own (systemd and Unix sockets) and those with TLS, whose
    certificate is for the public address.
    """
    listening = [url for description in server.listen if (url := _url(description))]
    health = [f"{url}/healthz" for each in server.admin_listen if (url := _url(each))]
    public = [server.public_url] if server.public_url else []
    return list(dict.fromkeys((*listening, *public, *health)))


def _url(description: str) -> str | None:
    """Return the URL of a TCP endpoint for clients on this machine; None for other endpoints."""
    # HAProxy's protocol is spoken on "haproxy:tcp:8080".
    address = tcp_address(description) if description.startswith(("tcp:", "tcp6:")) else None
    return url_of(address) if address else None


def url_of(address: TCPAddress) -> str:
    """Return the URL of an address to listen on for clients on this machine."""
    interface = address.interface
    host = "localhost" if interface in _ALL_INTERFACES else f"[{interface}]" if ":" in interface else interface
    return f"http://{host}:{address.port}"


def probe(url: str, timeout: float) -> dict[str, Any]:
    """Ask the daemon at `url` whether all is well.

    Return a dict with `url`, `ok`, and as far as they are known `problem`, `version` and `health`, the report of a
    health check. `timeout` is in seconds.
    """
    answer: dict[str, Any] = {"url": url, "ok": False}
    try:
        # The version is only in the page for browsers.
        with urlopen(Request(url, headers={"Accept": "text/html"}), timeout=timeout) as response:  # noqa: S310  # by design
            is_ours, body = "X-Timestamp" in response.headers, response.read(_MAX_ANSWER)
    except HTTPError as error:
        return answer | _problem(error.code, error.read(_MAX_ANSWER))
    except (OSError, HTTPException, ValueError) as error:
        return answer | {"problem": _unanswered(getattr(error, "reason", error))}
    health = _health(body)
    if not is_ours and not health:
        return answer | {"problem": "something else answers there"}
    version = _VERSION.search(body.decode("utf-8", "replace"))
    return answer | {"ok": True, **({"version": version[1]} if version else {}), **health}


def _unanswered(error: object) -> str:
    if isinstance(error, SSLCertVerificationError):
        return f"{NO_TLS}: its certificate is refused, as {error.verify_message}"
    return f"{NO_TLS if isinstance(error, SSLError) else NO_ANSWER}: {error}"


def _problem(code: int, body: bytes) -> dict[str, Any]:
    """Return what is wrong at an address that answers with an error, with the reasons of a health check."""
    health = _health(body)
    reasons = health.get("health", {}).get("problems", [])
    told = ": " + "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else ""
    return {"problem": f"answers {code}{told}", **health}


def _health(body: bytes) -> dict[str, Any]:
    """Return the report of a health check; empty if the answer is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return {"health": document} if isinstance(document, dict) else {}
