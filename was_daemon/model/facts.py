"""Facts about the content of an original, as the catalogue has them. Pure values."""

import math
import re
from typing import Any

import attrs

FACTS_VERSION = 1
"""Version of what `Facts` tell. What the catalogue knows from an earlier one is read again."""

_MEDIA_TYPE = re.compile(r"[a-z]+/[\w.+-]{1,90}", re.ASCII)
_CAPTURED = re.compile(r"\d{4}(-\d\d(-\d\d( \d\d:\d\d:\d\d)?)?)?", re.ASCII)
_MOST = 2**31 - 1


@attrs.frozen
class Facts:
    """Facts about a file; None for what it does not tell.

    `media_type` is found in its bytes. `width` and `height` are those of the upright picture in pixels, of a document
    those of its first page as deep zoom shows it. `pages` counts at most `MAX_PAGE`, and is 1 for any other picture.
    `captured` is "YYYY-MM-DD HH:MM:SS" in the time of the place, or its beginning as far as it is known; the position
    is in degrees.
    """

    media_type: str | None = None
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    captured: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Facts":
        """Return the facts that `attrs.asdict` made a document of; a worker that a file has taken over may have."""
        latitude, longitude = _position(document["latitude"], document["longitude"])
        return cls(
            _text(document["media_type"], _MEDIA_TYPE),
            _count(document["width"]),
            _count(document["height"]),
            _count(document["pages"]),
            _text(document["captured"], _CAPTURED),
            latitude,
            longitude,
        )


NO_FACTS = Facts()
"""What is known of a file that no worker can read."""


def _text(value: Any, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value <= _MOST else None


def _position(latitude: Any, longitude: Any) -> tuple[float, float] | tuple[None, None]:
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in (latitude, longitude)):
        return None, None
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else (None, None)
