"""Tokens: signatures of a file name and a time, made with the server's key (contract, section 2)."""

import hashlib
import hmac
import re

_TOKEN = re.compile(r"(?P<mac>[0-9a-fA-F]{32}):(?P<timestamp>[0-9]{1,15})", re.ASCII)


MISMATCH = "the token does not match"
"""The answer of `verify` to a token for another name, or signed with another key."""

TOO_FAR = "the token's time is too far from the server's"
"""The answer of `verify` to a token that is right, but too old or of the future."""


def sign(key: str, filename: str, timestamp: int) -> str:
    """Return the token for `filename` at `timestamp`, integer Unix seconds."""
    mac = hmac.new(key.encode(), f"{timestamp}{filename}".encode(), hashlib.md5)
    return f"{mac.hexdigest()}:{timestamp}"


def verify(key: str, filename: str, token: str, now: int, window: int) -> str | None:
    """Return why `token` does not allow `filename`, None when it does.

    `now` is when the head of the request was complete, in Unix seconds; `window` is the number of seconds by which a
    token's time may differ from it, 0 for any.
    """
    match = _TOKEN.fullmatch(token)
    if not match:
        return "the token is malformed"
    timestamp = match["timestamp"]
    mac = hmac.new(key.encode(), f"{timestamp}{filename}".encode(), hashlib.md5).hexdigest()
    if not hmac.compare_digest(mac, match["mac"].lower()):
        return MISMATCH
    if window and abs(now - int(timestamp)) > window:
        return TOO_FAR
    return None


def skew(token: str, now: int) -> int:
    """Return by how many seconds the time of a well-formed token is ahead of `now`, negative if it is behind."""
    return int(token.partition(":")[2]) - now
