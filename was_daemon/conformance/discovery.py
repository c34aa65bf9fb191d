"""Checks of the discovery document, the server's clock, and its key."""

import time
from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import uuid4
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from was_daemon.conformance.check import Check, refusal
from was_daemon.conformance.client import Answer
from was_daemon.conformance.results import CheckFailed, CheckSkipped, differences, expect
from was_daemon.conformance.server import Server

_ENDPOINT_TYPES = ("read", "write", "delete", "getmetadata", "testkey")
_CLOCK_TOLERANCE = 150
"""Seconds that a token's time may differ from the official server's clock."""

_SHOWN_KINDS = 5
_EXPIRED_AGE = 3600
"""Age of an expired token, in seconds."""


def _discovery(server: Server) -> str | None:
    answer = server.request("GET", server.url).expect(200, to="the discovery document's address")
    try:
        root = fromstring(answer.body)
    except (ParseError, DefusedXmlException) as error:
        raise CheckFailed("well-formed XML", f"{answer}: {error}") from None
    found = {str(url.get("type")): (url.text or "").strip() for url in root.iter("url")}
    missing = [kind for kind in _ENDPOINT_TYPES if not found.get(kind)]
    expect(not missing, "url elements of the types " + ", ".join(_ENDPOINT_TYPES), f"none for {', '.join(missing)}")
    relative = [url for kind, url in found.items() if kind in _ENDPOINT_TYPES and not _is_absolute(url)]
    expect(not relative, "absolute addresses", ", ".join(relative))
    server.endpoints.update(found)
    kinds = ("text/xml", "application/xml")
    return None if answer.media_type in kinds else f"Content-Type is {answer.media_type or 'missing'}, not text/xml"


def _is_absolute(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _clock(server: Server) -> str | None:
    answer = server.request("GET", server.url)
    stamp = str(answer.headers.get("X-Timestamp", "none"))
    # Specify 7 adds it to its own time without a look, and so does not start without it.
    expect(_is_time(stamp), "a header X-Timestamp with whole seconds", stamp)
    ahead = int(stamp) - int(time.time())
    server.clock_offset = ahead
    if abs(ahead) <= _CLOCK_TOLERANCE:
        return None
    return (
        f"the server's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} this one; clients allow for it"
    )


def _is_time(stamp: str) -> bool:
    return stamp.isascii() and stamp.isdigit()


def _endpoints(server: Server) -> str | None:
    document = urlsplit(server.url)
    urls = {kind: urlsplit(server.endpoints[kind]) for kind in _ENDPOINT_TYPES}
    insecure = [kind for kind, url in urls.items() if document.scheme == "https" and url.scheme == "http"]
    expect(not insecure, "https addresses in a document that came by https", f"http for {', '.join(insecure)}")
    elsewhere: dict[str, list[str]] = {}
    for kind, url in urls.items():
        if url.netloc != document.netloc:
            elsewhere.setdefault(url.netloc, []).append(kind)
    return differences(*(f"{_listed(kinds)} at {host}, not at {document.netloc}" for host, kinds in elsewhere.items()))


def _listed(kinds: Sequence[str]) -> str:
    *first, last = kinds
    return f"{', '.join(first)} and {last} are" if first else f"{last} is"


def _key(server: Server) -> str | None:
    server.require_key()
    random = str(uuid4())
    answer = server.get("testkey", {"random": random, "token": server.token(random)})
    answer.expect(200, to="testkey with a token of the key that was given")
    return None if answer.text == "Ok." else f"the answer is {answer}, not Ok."


def _wrong_key(server: Server) -> str | None:
    server.require_key()
    token = server.token("a")
    wrong = ("0" if token[0] != "0" else "1") + token[1:]
    return differences(
        refusal(server.get("testkey", {"random": "a", "token": wrong}), 403, "a wrong token"),
        refusal(server.get("testkey", {"random": "b", "token": token}), 403, "another name's token"),
        refusal(server.get("testkey", {"random": "a"}), 403, "no token"),
    )


def _malformed_token(server: Server) -> str | None:
    server.require_key()
    return differences(
        refusal(server.get("testkey", {"random": "a", "token": "a:b:c"}), 403, "the token a:b:c"),
        refusal(server.get("testkey", {"token": server.token("a")}), 400, "testkey without random"),
    )


def _expired_token(server: Server) -> str | None:
    server.require_key()
    answer = server.get("testkey", {"random": "a", "token": server.token("a", age=_EXPIRED_AGE)})
    return "tokens are good for ever" if answer.status == 200 else refusal(answer, 403, "an hour-old token")


def _non_ascii(server: Server) -> str | None:
    server.require_key()
    random = "Käfer 甲虫"
    answer = server.get("testkey", {"random": random, "token": server.token(random)})
    answer.expect(200, to=f"testkey for {random}")
    return None


def _timestamps(server: Server) -> str | None:
    """Check all answers received so far: clients set their clocks by any of them, errors too."""
    hosts = {urlsplit(url).netloc for url in (server.url, *server.endpoints.values())}
    answers = [each for each in server.answers if each.method != "OPTIONS" and urlsplit(each.url).netloc in hosts]
    if not answers:
        raise CheckSkipped("there were no answers")
    stamps = [(each, each.headers.get("X-Timestamp")) for each in answers]
    malformed = [each for each, stamp in stamps if stamp is not None and not _is_time(str(stamp))]
    expect(not malformed, "whole seconds as X-Timestamp", f"something else with {_kinds(malformed)}")
    # Clients go on with the time that they were told before.
    missing = [each for each, stamp in stamps if stamp is None]
    return f"no X-Timestamp with {_kinds(missing)}" if missing else None


def _kinds(answers: Sequence[Answer]) -> str:
    kinds = sorted({f"{each.method} {urlsplit(each.url).path} {each.status}" for each in answers})
    return ", ".join(kinds[:_SHOWN_KINDS])


_DISCOVERY = "discovery"
CHECKS = (
    Check(_DISCOVERY, "the discovery document names the five endpoints", _discovery, needs=None),
    Check("clock", "the server tells its time", _clock, _DISCOVERY),
    Check("endpoints", "the endpoints are where a browser may use them", _endpoints, _DISCOVERY),
    Check("key", "the key is the server's", _key, _DISCOVERY),
    Check("key-wrong", "a wrong token is refused", _wrong_key, "key"),
    Check("key-malformed", "a malformed question about the key is refused", _malformed_token, "key"),
    Check("key-old", "an old token is refused", _expired_token, "key"),
    Check("key-letters", "tokens may be for names with any letters", _non_ascii, "key"),
)
FINAL_CHECKS = (Check("timestamps", "every answer tells the time, errors too", _timestamps, _DISCOVERY),)
