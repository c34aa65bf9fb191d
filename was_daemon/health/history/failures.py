"""The last failures of all processes, as they are kept from one start to the next. Pure functions."""

import json
from collections.abc import Hashable, Iterable
from typing import Any, TypeAlias, TypeVar

import attrs

from was_daemon.telemetry.recent_errors import FailedRequest, LogLine, Occurrences, RecentErrors

_MOST = 100
"""Kinds of each sort that are kept."""

T = TypeVar("T", bound=Hashable)
Noted: TypeAlias = list[tuple[T, Occurrences]]


@attrs.frozen
class Failures:
    """Kinds of failed requests, and lines of the log, each with its occurrences, the last ones first."""

    requests: "Noted[FailedRequest]" = attrs.field(factory=list)
    lines: "Noted[LogLine]" = attrs.field(factory=list)

    def text(self) -> str:
        """Return them as JSON."""
        return json.dumps({"requests": _rows(self.requests), "lines": _rows(self.lines)}, ensure_ascii=False)


def failures_of(recent: RecentErrors) -> Failures:
    """Return what a process has noted since its start."""
    return Failures(recent.requests.newest_first(), recent.lines.newest_first())


def parse_failures(text: str) -> Failures:
    """Return the failures in a text that `Failures.text` has made; none of another text."""
    try:
        found = json.loads(text)
        return Failures(
            [(FailedRequest(*kind), Occurrences(*times)) for kind, times in found["requests"]],
            [(LogLine(*kind), Occurrences(*times)) for kind, times in found["lines"]],
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Failures()


def merged(parts: Iterable[Failures]) -> Failures:
    """Return the failures of several processes, or of several runs, together."""
    parts = list(parts)
    return Failures(
        _merged(each for part in parts for each in part.requests),
        _merged(each for part in parts for each in part.lines),
    )


def _merged(noted: Iterable[tuple[T, Occurrences]]) -> "Noted[T]":
    found: dict[T, Occurrences] = {}
    for kind, times in noted:
        known = found.get(kind)
        found[kind] = _together(known, times) if known else times
    return sorted(found.items(), key=lambda each: each[1].last, reverse=True)[:_MOST]


def _together(one: Occurrences, other: Occurrences) -> Occurrences:
    newer = one if one.last >= other.last else other
    return attrs.evolve(newer, number=one.number + other.number, first=min(one.first, other.first))


def _rows(noted: Iterable[tuple[Any, Occurrences]]) -> list[Any]:
    return [[attrs.astuple(kind), attrs.astuple(times)] for kind, times in noted]
