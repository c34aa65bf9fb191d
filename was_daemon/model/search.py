"""Searches for originals: what may be asked. Pure values; `search_texts` reads them from what people write."""

import math
import re
from collections.abc import Mapping

import attrs

from was_daemon.model.folding import folded

_WILDCARD = re.compile(r"([*?])")
_MANY, _ONE = "*", "?"

METRES_OF_DEGREE = 111_195.0
"""Length of a degree of latitude."""

_EARTH_METRES = 6_371_008.8
"""Mean radius of the earth (IUGG)."""


@attrs.frozen
class Pattern:
    """Folded text in which `*` stands for any characters, and `?` for any one, unless it is `is_exact`."""

    text: str
    is_exact: bool = False

    @property
    def parts(self) -> list[str]:
        """Texts and the wildcards between them, in turn."""
        return [self.text] if self.is_exact else _WILDCARD.split(self.text)

    def matches(self, text: str | None) -> bool:
        """Return whether a text is as asked, whatever the case of its letters."""
        if text is None:
            return False
        return folded(text) == self.text if self.is_exact else _is_like(folded(text), self.text)


def _is_like(text: str, pattern: str) -> bool:
    # Not one expression: many wildcards would take it for ever.
    first, *others = (_expression(piece) for piece in pattern.split(_MANY))
    if not others:
        return bool(first.fullmatch(text))
    start = first.match(text)
    *middle, last = others
    position = start.end() if start else -1
    for piece in middle:
        found = piece.search(text, position) if position >= 0 else None
        position = found.end() if found else -1
    end = len(text) - len(pattern.rpartition(_MANY)[2])
    return 0 <= position <= end and bool(last.fullmatch(text, end))


def _expression(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if each == _ONE else re.escape(each) for each in piece), re.DOTALL)


@attrs.frozen
class Area:
    """Part of the earth between parallels and meridians, in degrees; `east` is less than `west` across the 180th.

    With `centre` and `metres`, only what is as near to that position.
    """

    south: float
    west: float
    north: float
    east: float
    centre: tuple[float, float] | None = None
    metres: float = 0.0

    @classmethod
    def around(cls, latitude: float, longitude: float, metres: float) -> "Area":
        """Return what is within `metres` of a position."""
        height = metres / METRES_OF_DEGREE
        south, north = max(-90.0, latitude - height), min(90.0, latitude + height)
        # Meridians come together towards the poles; around a pole there are all.
        narrowest = math.cos(math.radians(max(abs(south), abs(north))))
        width = height / narrowest if narrowest > 1e-6 else 180.0
        west, east = (-180.0, 180.0) if width >= 180 else (_wrapped(longitude - width), _wrapped(longitude + width))
        return cls(south, west, north, east, (latitude, longitude), metres)

    def holds(self, latitude: float, longitude: float) -> bool:
        """Return whether a position between the parallels and meridians is in the area."""
        return self.centre is None or _distance(self.centre, (latitude, longitude)) <= self.metres


def _wrapped(longitude: float) -> float:
    return (longitude + 180) % 360 - 180


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two positions in metres, on a sphere (haversine formula)."""
    (phi, lam), (psi, mu) = ((math.radians(each) for each in position) for position in (one, other))
    half = math.sin((phi - psi) / 2) ** 2 + math.cos(phi) * math.cos(psi) * math.sin((lam - mu) / 2) ** 2
    return 2 * _EARTH_METRES * math.asin(min(1.0, math.sqrt(half)))


@attrs.frozen
class Search:
    """Criteria of a search for originals; all that are not None have to be met.

    `media_type` is the beginning of one. `captured` are the first date and the beginning of the last, as `Facts` has
    them; `stored` the Unix times from which on and before which; `size` the least and the most bytes; `directories`
    those of the collections.
    """

    name: Pattern | None = None
    file_name: Pattern | None = None
    file_path: Pattern | None = None
    sha256: str | None = None
    md5: str | None = None
    media_type: str | None = None
    captured: tuple[str | None, str | None] | None = None
    stored: tuple[float | None, float | None] | None = None
    size: tuple[int | None, int | None] | None = None
    area: Area | None = None
    directories: tuple[str, ...] | None = None

    @property
    def patterns(self) -> Mapping[str, Pattern]:
        """The patterns that are asked for, by what they are of."""
        every = {"name": self.name, "file_name": self.file_name, "file_path": self.file_path}
        return {name: pattern for name, pattern in every.items() if pattern}
