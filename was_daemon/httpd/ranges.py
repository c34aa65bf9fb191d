"""Ranges and preconditions of requests for an asset (RFC 9110, sections 13 and 14): pure functions."""

import math
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

_RANGE = re.compile(r"bytes=\s*(?P<first>[0-9]{0,4000})-(?P<last>[0-9]{0,4000})\s*", re.ASCII | re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')

_DATE = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|[A-Z][a-z]{5,8}, [0-9]{2}-[A-Z][a-z]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}"
)

_CLOCKS_DIFFER = 0.1
"""Seconds that a file's time may be behind ours: the kernel's clock ticks, and a file is dated before it is renamed."""


class Unsatisfiable(ValueError):
    """A range that lies outside the asset."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the range [start, stop) of an asset of `size` bytes that `header` asks for.

    None when the header is not a single range of bytes and is to be ignored; raises `Unsatisfiable`.
    """
    match = _RANGE.fullmatch(header)
    if not match or not (match["first"] or match["last"]):
        return None
    if not match["first"]:
        if not size and int(match["last"]):
            return None
        start, stop = max(0, size - int(match["last"])), size
    else:
        start = int(match["first"])
        stop = min(size, int(match["last"]) + 1) if match["last"] else size
        if match["last"] and int(match["last"]) < start:
            return None
    if start >= size:
        raise Unsatisfiable
    return start, stop


def format_date(modified: float) -> str:
    """Return the HTTP date of Unix seconds."""
    return _format_seconds(int(modified))


@lru_cache(maxsize=1024)
def _format_seconds(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def parse_date(header: str) -> int | None:
    """Return Unix seconds for a date in one of the formats of RFC 9110, section 5.6.7; None for anything else."""
    # The parser of e-mail dates also takes signs, underscores and time zones.
    if not _DATE.fullmatch(header):
        return None
    try:
        return int(parsedate_to_datetime(header).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        return None


def last_modified(modified: float, now: float) -> int | None:
    """Return the Last-Modified of a version, in Unix seconds; None when its store does not know its time.

    `modified` is the version's time, `now` that of the answer. While the second of `modified` lasts, another version
    may follow in it, so the date is too early to validate anything. Later it is the end of that second: a client that
    saw the asset then, or later, saw the last version of the second.
    """
    if modified <= 0:
        return None
    second = int(modified)
    return second + 1 if _distinct_from(modified) <= now - _CLOCKS_DIFFER else min(second - 1, int(now))


def is_unchanged(
    if_none_match: str | None, if_modified_since: str | None, etag: str, modified: float, now: float
) -> bool:
    """Return whether the client's copy is still good and 304 is the answer.

    `etag` is the asset's opaque tag without quotes; `modified` and `now` are in Unix seconds.
    """
    if if_none_match is not None:
        return if_none_match.strip() == "*" or etag in _tags(if_none_match, True)
    since = parse_date(if_modified_since) if if_modified_since else None
    # A date in the future comes from another clock.
    return since is not None and _distinct_from(modified) <= since <= now


def has_changed(if_match: str | None, if_unmodified_since: str | None, etag: str, modified: float) -> bool:
    """Return whether the client asks for a version other than this one, and 412 is the answer.

    `etag` and `modified` are as for `is_unchanged`.
    """
    if if_match is not None:
        return if_match.strip() != "*" and etag not in _tags(if_match, False)
    since = parse_date(if_unmodified_since) if if_unmodified_since else None
    # Without a time of its own a version has nothing to compare (RFC 9110, section 13.1.4).
    return since is not None and modified > 0 and since < _distinct_from(modified)


def range_applies(if_range: str | None, etag: str, modified: float, now: float) -> bool:
    """Return whether the version that the client has a part of is the current one."""
    if if_range is None:
        return True
    condition = if_range.strip()
    if condition.endswith('"'):
        return condition == f'"{etag}"'
    return parse_date(condition) == _distinct_from(modified) <= now


def _tags(header: str, weak: bool) -> list[str]:
    """Return the opaque tags in a list of entity tags, with or without the weak ones."""
    return [match["opaque"] for match in _ENTITY_TAG.finditer(header) if weak or not match["weak"]]


def _distinct_from(modified: float) -> float:
    """Return the second from which on no further version can have a time in the second of `modified`."""
    return int(modified) + 1 if modified > 0 else math.inf
