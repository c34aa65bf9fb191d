"""The forms in which people write a search for originals, the same for a command and for an address."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from was_daemon.model.folding import folded
from was_daemon.model.search import Area, Pattern, Search

_MAX_PATTERN = 2000
_SEPARATOR = ".."
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[ T](\d\d)(?::(\d\d)(?::(\d\d))?)?)?)?)?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(i?)b|bytes)?", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DISTANCE = re.compile(r"(\d+(?:\.\d+)?)\s*(k?)m", re.IGNORECASE | re.ASCII)
_MAX_SIZE = 1 << 62
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.ASCII)


class BadSearch(ValueError):
    """A search that cannot be understood; the message says how to write it."""


def parse_search(texts: Mapping[str, str], directories: tuple[str, ...] | None = None) -> Search:
    """Return the search that texts ask for, by the names of `FIELDS`; raises `BadSearch`."""
    for name in texts:
        if name not in FIELDS:
            raise BadSearch(f"{name}: nobody can ask for that; there are {', '.join(FIELDS)}")
    if "near" in texts and "box" in texts:
        raise BadSearch("near, box: only one of them can be asked for")
    found: dict[str, Any] = {}
    for name, text in texts.items():
        attribute, parse = FIELDS[name]
        if not is_text(text):
            raise BadSearch(f"{name}: has characters that no text has")
        try:
            found[attribute] = parse(text.strip())
        except ValueError as error:
            raise BadSearch(f"{name}: {error}") from None
    return Search(**found, directories=directories)


def is_text(text: str) -> bool:
    """Return whether a database can compare a text with others: PostgreSQL cannot where it has NUL characters."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _pattern(text: str) -> Pattern:
    if not 1 <= len(text) <= _MAX_PATTERN:
        raise ValueError(f"is a text of 1 to {_MAX_PATTERN} characters")
    return Pattern(folded(text))


def _digest(digits: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        found = text.lower()
        if len(found) != digits or not _HEXADECIMAL.fullmatch(found):
            raise ValueError(f"has {digits} hexadecimal digits")
        return found

    return parse


def _media_type(text: str) -> str:
    if not text:
        raise ValueError('is a media type, or the beginning of one, such as "image/"')
    return text.lower()


def _ends(text: str) -> tuple[str, str]:
    """Return what stands before and behind the two dots; without them, the same twice."""
    first, separator, last = text.partition(_SEPARATOR)
    if not first and not last:
        raise ValueError("has nothing on either side of the dots")
    return (first.strip(), last.strip()) if separator else (first, first)


def _captured(text: str) -> tuple[str | None, str | None]:
    first, last = (_date_text(end) if end else None for end in _ends(text))
    return first, last


def _date_text(text: str) -> str:
    _moment(text)
    return text.replace("T", " ")


def _stored(text: str) -> tuple[float | None, float | None]:
    first, last = _ends(text)
    return _moment(first)[0].timestamp() if first else None, _moment(last)[1].timestamp() if last else None


def _moment(text: str) -> tuple[datetime, datetime]:
    """Return when a year, month, day, hour, minute or second begins and ends."""
    match = _DATE.fullmatch(text)
    if not match:
        raise ValueError('is a date such as "2024", "2024-05" or "2024-05-31 12:30", or two such as "2023..2024-05"')
    numbers = [int(part) for part in match.groups() if part is not None]
    try:
        begin = datetime(*(numbers + [1, 1][max(0, len(numbers) - 1) :]))  # type: ignore[arg-type]
        return begin, _end(begin, len(numbers))
    except (ValueError, OverflowError):
        raise ValueError(f"has no such date as {text}") from None


def _end(begin: datetime, precision: int) -> datetime:
    if precision == 1:
        return begin.replace(year=begin.year + 1)
    if precision == 2:
        return (begin + timedelta(days=31)).replace(day=1)
    return begin + (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))[precision - 3]


def _size(text: str) -> tuple[int | None, int | None]:
    first, last = (_bytes(end) if end else None for end in _ends(text))
    return first, last


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError('is a size such as "500 kB", "10 MiB", or two: "1 MB..2 GB", "..100 kB"')
    number, unit, is_binary = match.groups()
    factor: int = (1024 if is_binary else 1000) ** _POWERS[(unit or "").lower()]
    size = float(number) * factor
    if size >= _MAX_SIZE:
        raise ValueError("is more than a file can have")
    return round(size)


def _near(text: str) -> Area:
    parts = text.split(",")
    distance = _DISTANCE.fullmatch(parts[-1].strip())
    if len(parts) != 3 or not distance:
        raise ValueError('is latitude, longitude and distance, such as "12.11,-68.93,5 km"')
    latitude, longitude = _degrees(parts[0], 90), _degrees(parts[1], 180)
    return Area.around(latitude, longitude, float(distance[1]) * (1000 if distance[2] else 1))


def _box(text: str) -> Area:
    parts = text.split(",")
    if len(parts) != 4:
        raise ValueError('is south, west, north and east, such as "12.0,-69.2,12.4,-68.7"')
    south, west, north, east = (_degrees(part, most) for part, most in zip(parts, (90, 180, 90, 180), strict=True))
    if south > north:
        raise ValueError("has its south north of its north")
    return Area(south, west, north, east)


def _degrees(text: str, most: float) -> float:
    try:
        degrees = float(text)
    except ValueError:
        raise ValueError(f'"{text}" is no number of degrees') from None
    if not math.isfinite(degrees) or abs(degrees) > most:
        raise ValueError(f"{text.strip()} is more than {most} degrees")
    return degrees


FIELDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "name": ("name", _pattern),
    "file_name": ("file_name", _pattern),
    "file_path": ("file_path", _pattern),
    "sha256": ("sha256", _digest(64)),
    "md5": ("md5", _digest(32)),
    "type": ("media_type", _media_type),
    "captured": ("captured", _captured),
    "stored": ("stored", _stored),
    "size": ("size", _size),
    "near": ("area", _near),
    "box": ("area", _box),
}
"""What may be asked, by the name in an address: the attribute of `Search`, and what reads its text."""
