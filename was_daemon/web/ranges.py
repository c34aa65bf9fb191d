"""Ranges and preconditions of requests for an asset (RFC 9110, sections 13 and 14): pure functions."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

_RANGE = re.compile(r"bytes=\s*(?P<first>[0-9]{0,4000})-(?P<last>[0-9]{0,4000})\s*", re.ASCII | re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(?:W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')


class Unsatisfiable(ValueError):
    """The range lies outside the asset."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The range [start, stop) of an asset of `size` bytes that `header` asks for.

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
    """An HTTP date, for Unix seconds."""
    return _format_seconds(int(modified))


@lru_cache(maxsize=1024)
def _format_seconds(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def parse_date(header: str) -> int | None:
    """Unix seconds, for an HTTP date; None when it is not one."""
    try:
        date = parsedate_to_datetime(header)
        return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def is_unchanged(if_none_match: str | None, if_modified_since: str | None, etag: str, modified: float) -> bool:
    """Whether the client's copy is still good and 304 is the answer.

    `etag` is the asset's opaque tag without quotes; `modified` is in Unix seconds.
    """
    if if_none_match is not None:
        return if_none_match.strip() == "*" or etag in _ENTITY_TAG.findall(if_none_match)
    since = parse_date(if_modified_since) if if_modified_since else None
    return since is not None and int(modified) <= since


def range_applies(if_range: str | None, etag: str, modified: float) -> bool:
    """Whether the version that the client has a part of is the current one."""
    if if_range is None:
        return True
    condition = if_range.strip()
    return condition == f'"{etag}"' or (not condition.endswith('"') and parse_date(condition) == int(modified))
