"""Checks of endpoints that are on other servers than the discovery document."""

import time
from urllib.parse import urlsplit

from was_daemon.conformance.check import Check
from was_daemon.conformance.client import Answer, Unanswered
from was_daemon.conformance.results import CheckFailed, differences, expect
from was_daemon.conformance.server import Server

_CLOCK_DIFFERENCE = 30
"""Seconds between two clocks that are no trouble: a token may be five times as old on the official server."""


def _elsewhere(server: Server) -> str | None:
    """Ask each server that is not the document's for what nobody has, with a token of the document's time."""
    document = urlsplit(server.url).netloc
    requests = {
        "read": lambda name: server.original(name),
        "delete": lambda name: server.delete(name),
        "getmetadata": lambda name: server.metadata(name, "json"),
    }
    remarks = []
    for kind, request in requests.items():
        host = urlsplit(server.endpoints[kind]).netloc
        if host == document:
            continue
        try:
            answer = request(server.new_name())
        except Unanswered as error:
            raise CheckFailed(f"an answer of {host}, which is named for {kind}", error) from None
        expect(
            answer.status not in (401, 403),
            f"{host}, which is named for {kind}, to take a token of the key",
            f"{answer}: it has another key, or its clock is wrong",
        )
        remarks.append(_clock(server, answer, host))
    return differences(*dict.fromkeys(remarks))


def _clock(server: Server, answer: Answer, host: str) -> str | None:
    stamp = str(answer.headers.get("X-Timestamp", ""))
    if not (stamp.isascii() and stamp.isdigit()):
        return None
    ahead = int(stamp) - int(time.time()) - server.clock_offset
    if abs(ahead) <= _CLOCK_DIFFERENCE:
        return None
    return (
        f"the clock of {host} is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} that of the document's server"
    )


CHECKS = (Check("endpoints-key", "servers of other addresses have the same key and the same time", _elsewhere, "key"),)
