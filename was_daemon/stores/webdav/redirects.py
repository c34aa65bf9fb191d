"""Redirects of downloads: to another address of the server, or to one that it has signed elsewhere."""

from collections.abc import Callable
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.urls import as_sent, url_problem

_CODES = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3
"""Number of redirects that are followed, one after the other."""


async def followed(url: str, headers: dict[str, str], remote: HTTPRemote, stranger: Callable[[], HTTPRemote]) -> Answer:
    """GET `url` from `remote`, or from where it sends; fire with the answer.

    Another server is asked by the client that `stranger` returns, which has no login. A redirect that is not followed
    is the answer.
    """
    server = _server(url)
    answer = await remote.request("GET", url, headers)
    for _ in range(_MAX_REDIRECTS):
        target = redirected(url, answer.code, answer.header("Location"))
        if target is None:
            return answer
        await answer.drain()
        if _server(target) != server:
            # The login is not sent again, even if this server redirects back to the first one.
            remote = stranger()
        answer, url = await remote.request("GET", target, headers), target
    return answer


def redirected(url: str, code: int, location: str | None) -> str | None:
    """Return the absolute address that the answer to a GET of `url` sends to; None when it is not to be followed.

    Another host is asked by https only: what is inside of a network and gives things away to whoever asks, as the
    metadata services of clouds do, has no certificate.
    """
    if code not in _CODES or not location:
        return None
    try:
        parts = urlsplit(urljoin(url, location.strip()))
        if url_problem(f"{parts.scheme}://{parts.netloc}"):
            return None
        server = as_sent(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return None
    asked = urlsplit(url)
    if parts.scheme == "http" and (asked.scheme, asked.hostname) != ("http", parts.hostname):
        return None
    # Some servers send spaces and letters as they are.
    return server + quote(urlunsplit(("", "", parts.path, parts.query, "")), safe="!$%&'()*+,/:;=?@[]~")


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
