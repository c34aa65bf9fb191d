"""Durations and numbers of things, as people write and read them."""

import re

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|min|h|days?|weeks?)?")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86_400, "days": 86_400, "week": 604_800, "weeks": 604_800}

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60))


def seconds_in(text: str, unit: str = "") -> float:
    """Return the seconds in a duration such as "90 days" or "5 min"; `unit` is that of a bare number.

    Raises ValueError for another text, and for a bare number without `unit`.
    """
    match = _DURATION.fullmatch(text.strip())
    named = match and (match[2] or unit)
    if not match or not named:
        raise ValueError("no duration")
    return float(match[1]) * _SECONDS[named]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural ends in s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def exactly(seconds: float) -> str:
    """Return a duration that somebody has chosen in words, in the largest unit of which it has a whole number."""
    for unit, length in (*_UNITS, ("second", 1)):
        if seconds >= length and seconds % length == 0:
            return counted(int(seconds // length), unit)
    return f"{seconds:g} seconds"


def in_words(seconds: float) -> str:
    """Return how long something has taken, or takes, in words, in its largest unit."""
    for unit, length in _UNITS:
        if seconds >= length:
            return counted(int(seconds // length), unit)
    return "less than a minute"
